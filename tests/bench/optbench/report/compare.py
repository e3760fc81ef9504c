"""Two optimizers, or two builds of one, on the same problems with the same seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optbench.problems import APART, SUITES
from optbench.scores import Cell, Scores, by_problem, comparable, suite_of

#: Resamples of the bootstrap.
RESAMPLES = 2000


@dataclass(frozen=True)
class Difference:
    """Mean of first minus second over problems, and its standard error over problems. Below 0 the first is better."""

    first: float
    second: float
    mean: float
    error: float
    n: int


def compare(
    first: str, second: str, wanted: str, every: bool, stratified: bool, suites: Sequence[str] = ()
) -> str:
    """A table by suite: what was reached, the paired difference with its standard error, and who wins how often."""
    one, two = comparable([first, second], wanted, stratified, suites=suites)
    cells = set(one.runs)
    lines = [
        f"{len({p for p, _ in cells})} problems, {len(cells)} paired runs ({wanted}). Normalised regret, less is",
        "better; `difference`: first minus second with its standard error over problems; `wins`: ties count half.",
        "",
        f"| suite | share | {first} | {second} | difference | error | wins | problems |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for suite in (*SUITES, *APART, None):
        for share in (0.5, 1.0):
            if row := _row(one, two, cells, suite, share):
                lines.append(row)
    if every:
        lines += ["", *_each(one, two, cells)]
    return "\n".join(lines)


def _row(one: Scores, two: Scores, cells: set[Cell], suite: str | None, share: float) -> str | None:
    own = {cell for cell in cells if suite in (None, suite_of(cell[0]))}
    if not own:
        return None
    a, b = one.at(share), two.at(share)
    d = difference(a, b, own)
    won = win_rate(a, b, own)
    name = suite or "**all**"
    return (
        f"| {name} | {share:g} | {d.first:.4f} | {d.second:.4f} | {d.mean:+.4f} | {d.error:.4f} | {won:.0%} | {d.n} |"
    )


def _each(one: Scores, two: Scores, cells: set[Cell]) -> list[str]:
    """Every problem, with the standard error over seeds."""
    a, b = one.at(1.0), two.at(1.0)
    lines = [f"| problem | {one.label} | {two.label} | difference | error over seeds |", "|---|---|---|---|---|"]
    paired = by_problem({cell: a[cell] - b[cell] for cell in cells})
    for name, own in sorted(paired.items(), key=lambda item: statistics.fmean(item[1].values())):
        seeds = list(own)
        x, y = (statistics.fmean(values[name, seed] for seed in seeds) for values in (a, b))
        error = statistics.stdev(own.values()) / len(own) ** 0.5 if len(own) > 1 else float("nan")
        lines.append(f"| {name} | {x:.4f} | {y:.4f} | {x - y:+.4f} | {error:.4f} |")
    return lines


def difference(a: dict[Cell, float], b: dict[Cell, float], cells: set[Cell]) -> Difference:
    """The paired difference over these runs."""
    first = by_problem({cell: a[cell] for cell in cells})
    second = by_problem({cell: b[cell] for cell in cells})
    means = [statistics.fmean(first[p][s] - second[p][s] for s in first[p]) for p in first]
    error = statistics.stdev(means) / len(means) ** 0.5 if len(means) > 1 else float("nan")
    x = statistics.fmean(statistics.fmean(own.values()) for own in first.values())
    y = statistics.fmean(statistics.fmean(own.values()) for own in second.values())
    return Difference(x, y, statistics.fmean(means), error, len(means))


def win_rate(a: dict[Cell, float], b: dict[Cell, float], cells: set[Cell]) -> float:
    """The share of paired runs in which the first is better; ties count half."""
    return statistics.fmean(0.5 if a[cell] == b[cell] else float(a[cell] < b[cell]) for cell in cells)


def interval(a: dict[Cell, float], b: dict[Cell, float], cells: set[Cell]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the paired difference: problems are drawn, then seeds of each."""
    rng = np.random.default_rng(0)
    paired = [np.array(list(own.values())) for own in by_problem({c: a[c] - b[c] for c in sorted(cells)}).values()]
    means = np.array([rng.choice(own, (RESAMPLES, len(own))).mean(axis=1) for own in paired])
    means = np.array([means[:, i][rng.integers(len(paired), size=len(paired))].mean() for i in range(RESAMPLES)])
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
