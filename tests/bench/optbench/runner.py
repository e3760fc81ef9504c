"""Runs optimizers on problems, one cell (optimizer, problem, seed) after the other."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version as installed
from pathlib import Path

from optbench import problems, results
from optbench.memory import remembered
from optbench.peers import PEERS, Peer
from optbench.problem import Problem
from optbench.results import Run

#: Questions at the end whose median is kept.
LATE = 10


@dataclass(frozen=True)
class Plan:
    """What is to be run."""

    peer: Peer
    problems: Sequence[Problem]
    seeds: Sequence[int]
    file: Path
    #: At most so many evaluations.
    budget: int = 10**9
    settings: dict[str, str] = field(default_factory=dict)


def run(plan: Plan, jobs: int) -> None:
    """Runs what is not in the file yet, and says how far it is."""
    version = " ".join([version_of(plan.peer), *(f"{k}={v}" for k, v in sorted(plan.settings.items()))])
    there = {(run.problem, run.seed) for run in results.read(plan.file) if run.version == version}
    cells = [(p.name, seed) for seed in plan.seeds for p in plan.problems if (p.name, seed) not in there]
    began = time.monotonic()
    print(f"{plan.file.stem}: {len(cells)} of {len(plan.seeds) * len(plan.problems)} runs to do", file=sys.stderr)
    for i, done in enumerate(_carried_out(plan, cells, version, jobs), 1):
        results.append(plan.file, done)
        if i % 20 == 0 or i == len(cells):
            took = time.monotonic() - began
            left = took / i * (len(cells) - i)
            print(f"{plan.file.stem}: {i}/{len(cells)}, {took:.0f} s, {left:.0f} s to go", file=sys.stderr)


def _carried_out(plan: Plan, cells: Sequence[tuple[str, int]], version: str, jobs: int) -> Iterator[Run]:
    arguments = [(plan.peer.name, name, seed, version, plan.budget, plan.settings) for name, seed in cells]
    if jobs == 1:
        yield from (run_cell(*each) for each in arguments)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(run_cell, *zip(*arguments, strict=True))


def run_cell(name: str, problem_name: str, seed: int, version: str, most: int, settings: dict[str, str]) -> Run:
    """One optimizer on one problem with one seed, all by name."""
    return run_problem(PEERS[name], problems.by_name(problem_name), seed, version, most, settings)


def run_problem(
    peer: Peer,
    problem: Problem,
    seed: int,
    version: str = "",
    most: int = 10**9,
    settings: dict[str, str] | None = None,
) -> Run:
    """One optimizer on one problem with one seed."""
    budget = min(problem.budget, most)
    asking: list[float] = []
    telling = 0.0
    path: list[tuple[int, float]] = []
    n, least = 0, float("inf")
    begun = time.perf_counter()
    optimizer = peer.construct(problem, seed, **({"settings": settings} if settings else {}))
    telling += time.perf_counter() - begun
    while n < budget:
        begun = time.perf_counter()
        points = list(optimizer.ask(min(problem.batch, budget - n)))
        asking.append(time.perf_counter() - begun)
        values = []
        for point in points:
            n += 1
            true = remembered(problem, point)
            value = problem.observe(true, seed, n)
            values.append(value)
            if value < least:
                least = value
                path.append((n, rounded(true - (problem.optimum or 0.0))))
        begun = time.perf_counter()
        optimizer.tell(points, values)
        telling += time.perf_counter() - begun
        if not points:
            break  # the space is exhausted
    late = statistics.median(asking[-LATE:])
    return Run(problem.name, seed, version, budget, path, rounded(sum(asking) + telling), rounded(late))


def version_of(peer: Peer) -> str:
    """What is kept with the results."""
    if peer.ours:
        from optbench.peers.cairn_ import version

        return version()
    return installed(peer.package) if peer.package else "1"


def rounded(value: float) -> float:
    """Six significant digits."""
    return float(f"{value:.6g}")
