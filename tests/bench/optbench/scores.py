"""From values to normalised regret.

On each problem 0 is the optimum, or the best value that anyone has ever seen where it is not known, and 1 is the median
of what random search has at the end. Values above 2 count as 2.
Where a problem says so, the logarithm to base 10 of that is told of instead, and values below 1e-8 count as 1e-8.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from optbench import problems, results
from optbench.results import Run
from optbench.split import side
from optbench.stratified import BUDGET, NAMES

CLIP = 2.0
#: Least regret whose logarithm is taken.
LEAST = 1e-8
#: Shares of the budget that are told of.
SHARES = (0.25, 0.5, 1.0)
#: A problem and a seed.
Cell = tuple[str, int]


@dataclass
class Scale:
    """Where 0 and 1 are, for each problem. Those whose 0 random search finds in half of its runs have none."""

    best: dict[str, float] = field(default_factory=dict)
    random: dict[str, float] = field(default_factory=dict)
    #: Problems that have none.
    left_out: list[str] = field(default_factory=list)

    @staticmethod
    def measured(most: int = 10**9, committed: bool = False) -> Scale:
        """From all results, or all committed ones; 1 is random search after at most so many evaluations."""
        scale = Scale()
        for file in results.labels(committed).values():
            for run in results.read(file):
                least = min(value for _, value in run.path)
                scale.best[run.problem] = min(scale.best.get(run.problem, least), least)
        for problem in problems.everything():
            if problem.optimum is not None:
                scale.best[problem.name] = 0.0
        finals: dict[str, list[float]] = {}
        for run in results.runs_of("random"):
            finals.setdefault(run.problem, []).append(run.at(min(run.budget, most)))
        for name, values in finals.items():
            median = statistics.median(values)
            if median > scale.best[name]:
                scale.random[name] = median
            else:
                scale.left_out.append(name)
        return scale

    def regret(self, run: Run, evaluation: int) -> float:
        """Normalised regret after so many evaluations."""
        best = self.best[run.problem]
        return min(max((run.at(evaluation) - best) / (self.random[run.problem] - best), 0.0), CLIP)


@dataclass
class Scores:
    """The runs of one optimizer that can be compared."""

    label: str
    runs: dict[Cell, Run]
    scale: Scale
    most: int

    def at(self, share: float) -> dict[Cell, float]:
        """Normalised regret of each run after a share of its problem's budget."""
        return {cell: self.one(run, share) for cell, run in self.runs.items()}

    def one(self, run: Run, share: float) -> float:
        """Normalised regret, or its logarithm, of one run after a share of its problem's budget."""
        problem = problems.by_name(run.problem)
        regret = self.scale.regret(run, max(round(share * min(problem.budget, self.most)), 1))
        return math.log10(max(regret, LEAST)) if problem.logarithmic else regret

    def only(self, cells: set[Cell]) -> Scores:
        """The same on these runs alone."""
        return Scores(self.label, {cell: self.runs[cell] for cell in cells}, self.scale, self.most)

    def late(self) -> float:
        """The median of what a question takes near the end, in seconds."""
        return statistics.median(run.late for run in self.runs.values())


def scores(label: str, scale: Scale, wanted: str = "all", most: int = 10**9, suites: Sequence[str] = ()) -> Scores:
    """The runs of a label on one side of the split that have evaluations enough. No suites: all but those apart."""
    runs = {
        (run.problem, run.seed): run
        for run in results.runs_of(label)
        if run.problem in scale.random
        and suite_of(run.problem) in (suites or problems.SUITES)
        and wanted in ("all", side(problems.by_name(run.problem)))
        and run.budget >= min(problems.by_name(run.problem).budget, most)
    }
    return Scores(label, runs, scale, most)


def comparable(
    labels: Sequence[str],
    wanted: str,
    stratified: bool,
    committed: bool = False,
    suites: Sequence[str] = (),
    whole: bool = False,
) -> list[Scores]:
    """The scores of these optimizers, in this order, on the runs that all of them have.

    `stratified`: on the problems that slow ones get, with as many evaluations. `whole`: without those that are
    not `complete`, and it is said who that is.
    """
    most = BUDGET if stratified else 10**9
    scale = Scale.measured(most, committed)
    chosen = [scores(label, scale, wanted, most, suites) for label in labels]
    if stratified:
        chosen = [each.only({cell for cell in each.runs if cell[0] in NAMES}) for each in chosen]
    if whole:
        chosen, there = complete(chosen), [each.label for each in chosen if each.runs]
        if left_out := set(there).difference(each.label for each in chosen):
            print(f"left out, since they lack problems: {', '.join(sorted(left_out))}", file=sys.stderr)
    cells = set.intersection(*(set(each.runs) for each in chosen)) if chosen else set()
    if not cells:
        raise SystemExit(f"{', '.join(labels)} have no problem and seed in common")
    return [each.only(cells) for each in chosen]


def complete(chosen: Sequence[Scores]) -> list[Scores]:
    """Those that have every problem that Cairn has, in one of its rows at least: one with few does not take them from
    the others, and Cairn is not left out for what is held out. Without Cairn, every problem that any of them has."""
    own = {each.label: {name for name, _ in each.runs} for each in chosen}
    ours = [names for label, names in own.items() if label.startswith("cairn-") and names]
    wanted = set().union(*(ours or own.values()))
    return [each for each in chosen if own[each.label] >= wanted]


def by_problem(values: dict[Cell, float]) -> dict[str, dict[int, float]]:
    """Values of seeds, by problem."""
    grouped: dict[str, dict[int, float]] = {}
    for (problem, seed), value in values.items():
        grouped.setdefault(problem, {})[seed] = value
    return grouped


def mean_of_means(values: dict[Cell, float], suite: str | None = None) -> float | None:
    """The mean over problems, of one suite or all, of the means over seeds. None if there are none."""
    grouped = by_problem(values)
    means = [statistics.fmean(own.values()) for name, own in grouped.items() if suite in (None, suite_of(name))]
    return statistics.fmean(means) if means else None


def suite_of(name: str) -> str:
    """The suite of a problem."""
    return name.partition("/")[0]
