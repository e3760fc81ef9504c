"""What `report --write` keeps: the part of README.md between its markers, and the curves."""

from __future__ import annotations

from pathlib import Path

from optbench import results
from optbench.report.curves import curves
from optbench.report.tables import tables
from optbench.scores import comparable

FOLDER = Path("tests/bench")
BEGIN, END = "<!-- written by report --write -->", "<!-- end -->"


def write(fast: list[str], slow: list[str], against: str | None) -> None:
    """Tables and curves of the committed results: all problems, then the few that slow optimizers get too."""
    chosen = comparable(fast, "all", stratified=False, committed=True)
    parts = ["### All problems", tables(chosen, against), "![Regret over the budget](results/curves.svg)"]
    (results.COMMITTED / "curves.svg").write_text(curves(chosen, against))
    if slow:
        few = comparable(fast + slow, "all", stratified=True, committed=True)
        parts += ["### With slow optimizers", tables(few, against), "![The same, with slow ones](results/few.svg)"]
        (results.COMMITTED / "few.svg").write_text(curves(few, against))
    readme = FOLDER / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    text = "\n\n".join(parts)
    readme.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
