"""What the README shows was run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_examples_run_as_they_are_shown(folder: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    # A file, so that the source of its functions can be had.
    (folder / "example.py").write_text("\n".join(blocks))
    ended = subprocess.run([sys.executable, "example.py"], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert "BestTrial(value=" in ended.stdout and "kind: Experiment" in ended.stdout
    assert (folder / "history.svg").read_text().startswith("<svg")
