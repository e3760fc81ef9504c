"""One of several processes of a trial: `rendezvous.py X ROLE`.

They find each other as the operator of their job tells them, and add up what each knows: X times its rank from 1. The
leader prints that as the loss; what anybody else prints is no metric of the trial.
"""

import json
import os
import socket
import sys
import time

x, role = float(sys.argv[1]), sys.argv[2]
give_up = time.monotonic() + 120


def of_lists(config, order, address):
    """Rank and size among the tasks of a cluster, and where the first of them is."""
    tasks = [(kind, n, address(it)) for kind in order for n, it in enumerate(config["cluster"].get(kind, []))]
    own = (config["task"]["type"], config["task"]["index"])
    rank = [(kind, n) for kind, n, _ in tasks].index(own)
    return rank, len(tasks), tasks[0][2]


def meeting():
    """Rank, size and meeting point, by what the environment holds."""
    env = os.environ
    if "TF_CONFIG" in env:
        return of_lists(json.loads(env["TF_CONFIG"]), ("chief", "ps", "worker"), lambda it: tuple(it.rsplit(":", 1)))
    if "MX_CONFIG" in env:
        order = ("scheduler", "server", "worker")
        return of_lists(json.loads(env["MX_CONFIG"]), order, lambda it: (it["url"], it["port"]))
    return int(env["RANK"]), int(env["WORLD_SIZE"]), (env["MASTER_ADDR"], env["MASTER_PORT"])


def connect(host, port):
    """A line to the first, whose name may take a while to be known."""
    while True:
        try:
            return socket.create_connection((host, int(port)), timeout=60)
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)


def total():
    """The sum of what all know."""
    if "OMPI_COMM_WORLD_SIZE" in os.environ:
        from mpi4py import MPI

        world = MPI.COMM_WORLD
        hosts = world.allgather(MPI.Get_processor_name())
        assert len(set(hosts)) == world.size > 1, hosts
        return world.rank, world.allreduce(x * (world.rank + 1))
    rank, size, (host, port) = meeting()
    assert size > 1
    if rank > 0:
        with connect(host, port) as line:
            line.sendall(f"{x * (rank + 1)}\n".encode())
            return rank, float(line.makefile().readline())
    known = x
    with socket.create_server(("", int(port)), backlog=size) as door:
        door.settimeout(120)
        lines = [door.accept()[0] for _ in range(size - 1)]
    known += sum(float(line.makefile().readline()) for line in lines)
    for line in lines:
        line.sendall(f"{known}\n".encode())
        line.close()
    return rank, known


rank, known = total()
if role == "leader" or (role == "mpi" and rank == 0):
    print(f"loss={known}", flush=True)
elif role != "mpi":
    print("loss=-1", flush=True)
