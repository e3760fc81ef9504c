"""What `report --write` keeps: the part of README.md between its markers, and the curves."""

from __future__ import annotations

from pathlib import Path

from optbench import results
from optbench.problems import APART
from optbench.report.curves import curves
from optbench.report.tables import tables
from optbench.scores import comparable, having

FOLDER = Path("tests/bench")
BEGIN, END = "<!-- written by report --write -->", "<!-- end -->"


def write(fast: list[str], slow: list[str], against: str | None) -> None:
    """Tables and curves of the committed results: all problems, the few that slow optimizers get too, suites apart."""
    everybody, fast = fast, having(fast)
    chosen = comparable(fast, "all", stratified=False, committed=True)
    parts = ["### All problems", tables(chosen, against), "![Regret over the budget](results/curves.svg)"]
    (results.COMMITTED / "curves.svg").write_text(curves(chosen, against))
    for group in alike(slow):
        few = comparable(fast + group, "all", stratified=True, committed=True)
        names = " and ".join(group)
        parts += [f"### With {names}", tables(few, against), f"![The same, with {names}](results/{group[0]}.svg)"]
        (results.COMMITTED / f"{group[0]}.svg").write_text(curves(few, against))
    for suite, title in APART.items():
        there = having(everybody, [suite])
        rows = comparable(there, "all", stratified=False, committed=True, suites=[suite])
        first = against if against in there else next((name for name in there if name.startswith("cairn-")), None)
        parts += [f"### {title}", tables(rows, first)]
    readme = FOLDER / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    text = "\n\n".join(parts)
    readme.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def alike(labels: list[str]) -> list[list[str]]:
    """Optimizers grouped by the runs that they have: one with few does not take others' away."""
    groups: dict[frozenset[tuple[str, int]], list[str]] = {}
    for label in labels:
        cells = frozenset((run.problem, run.seed) for run in results.runs_of(label))
        groups.setdefault(cells, []).append(label)
    return sorted(groups.values())
