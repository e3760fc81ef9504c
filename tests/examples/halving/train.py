"""One trial: teaches a network of one hidden layer to tell two spirals apart, and can be interrupted after any epoch.

What a program needs to wait and go on later: read CAIRN_CHECKPOINT_DIR when it begins, save there, and say which step it
is at. When it is to end it gets SIGTERM; after 10 seconds it is killed.
"""

import argparse
import json
import math
import os
import random
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--hidden", type=int, required=True)
    args = parser.parse_args()

    told_to_end = []
    signal.signal(signal.SIGTERM, lambda *_: told_to_end.append(True))

    # Run by hand, outside of Cairn, the checkpoint is left in ./checkpoint.
    saved = Path(os.environ.get("CAIRN_CHECKPOINT_DIR", "checkpoint")) / "network.json"
    saved.parent.mkdir(exist_ok=True)
    if saved.exists():
        epoch, network = json.loads(saved.read_text())
        print("goes on after epoch", epoch)
    else:
        epoch, network = 0, new(args.hidden)

    points = spirals()
    while epoch < args.epochs:
        epoch += 1
        begun = time.monotonic()
        random.Random(epoch).shuffle(points)
        for x, y, label in points:
            step(network, x, y, label, args.learning_rate)
        # An epoch of a real network takes longer: so does this.
        time.sleep(max(0.0, 0.1 - (time.monotonic() - begun)))
        outputs = [(forward(network, x, y)[1], label) for x, y, label in points]
        loss = sum(-math.log(max(p if label else 1 - p, 1e-9)) for p, label in outputs) / len(points)
        accuracy = sum((p > 0.5) == (label == 1) for p, label in outputs) / len(points)
        # Written beside and moved into place, so that half a checkpoint is never taken for a whole one.
        beside = saved.with_suffix(".new")
        beside.write_text(json.dumps([epoch, network]))
        beside.replace(saved)
        print(f"epoch={epoch} loss={loss:.6f} accuracy={accuracy:.4f}", flush=True)
        if told_to_end:
            sys.exit()


def spirals() -> list[tuple[float, float, int]]:
    """Two arms of 60 points each, half a turn apart."""
    angles = [i / 60 * math.pi for i in range(1, 61)]
    one = [(a / 3 * math.cos(a), a / 3 * math.sin(a), 0) for a in angles]
    return one + [(-x, -y, 1) for x, y, _ in one]


def new(hidden: int) -> list[list[float]]:
    """Rows of a network: two weights, a bias and an outward weight for each unit; the last is the bias of the output."""
    rng = random.Random(1)
    return [[rng.uniform(-2, 2) for _ in range(4)] for _ in range(hidden)] + [[0.0]]


def forward(network: list[list[float]], x: float, y: float) -> tuple[list[float], float]:
    """What the hidden units say, and the probability of the second arm."""
    units = [math.tanh(a * x + b * y + c) for a, b, c, _ in network[:-1]]
    z = network[-1][0] + sum(unit * row[3] for unit, row in zip(units, network))
    return units, 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))


def step(network: list[list[float]], x: float, y: float, label: int, rate: float) -> None:
    """One step of stochastic gradient descent on the cross entropy."""
    units, p = forward(network, x, y)
    error = p - label
    for unit, row in zip(units, network):
        inward = error * row[3] * (1 - unit * unit)
        row[3] -= rate * error * unit
        for i, value in enumerate((x, y, 1.0)):
            row[i] -= rate * inward * value
    network[-1][0] -= rate * error


if __name__ == "__main__":
    main()
