"""What `report --write` keeps: the part of README.md between its markers, and the curves."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path

from optbench import results
from optbench.problems import APART
from optbench.report.curves import curves
from optbench.report.tables import tables
from optbench.scores import Cell, comparable

FOLDER = Path("tests/bench")
BEGIN, END = "<!-- written by report --write -->", "<!-- end -->"


def write(fast: list[str], slow: list[str], against: str | None) -> None:
    """Tables and curves of the committed results: all problems, the few that slow optimizers get too, suites apart."""
    chosen = comparable(fast, "all", stratified=False, committed=True, whole=True)
    parts = ["### All problems", tables(chosen, against), "![Regret over the budget](results/curves.svg)"]
    (results.COMMITTED / "curves.svg").write_text(curves(chosen, against))
    met = [each.label for each in chosen]
    for group in alike(slow, comparable(met, "all", stratified=True, committed=True)[0].runs):
        few = comparable(met + group, "all", stratified=True, committed=True)
        names = " and ".join([", ".join(group[:-1]), group[-1]] if group[1:] else group)
        parts += [f"### With {names}", tables(few, against), f"![The same, with {names}](results/{group[0]}.svg)"]
        (results.COMMITTED / f"{group[0]}.svg").write_text(curves(few, against))
    for suite, title in APART.items():
        rows = comparable(fast, "all", stratified=False, committed=True, suites=[suite], whole=True)
        there = [each.label for each in rows]
        first = against if against in there else next((name for name in there if name.startswith("cairn-")), None)
        parts += [f"### {title}", tables(rows, first)]
    readme = FOLDER / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    text = "\n\n".join(parts)
    readme.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def alike(labels: Sequence[str], others: Container[Cell]) -> list[list[str]]:
    """Optimizers grouped by those of their runs that others have too: one with few does not take others' away."""
    groups: dict[frozenset[Cell], list[str]] = {}
    for label in labels:
        cells = frozenset((run.problem, run.seed) for run in results.runs_of(label))
        groups.setdefault(frozenset(cell for cell in cells if cell in others), []).append(label)
    return sorted(group for cells, group in groups.items() if cells)
