"""The part of README.md that is written by `report --write`."""

from __future__ import annotations

from pathlib import Path

README = Path("tests/bench/README.md")
BEGIN, END = "<!-- written by report --write -->", "<!-- end -->"


def write(text: str) -> None:
    """Replaces what stands between the markers."""
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
