"""The notebook of the example that goes the whole way, run headless."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import cairn
from cairn import _server

EXAMPLES = Path(__file__).parents[3] / "tests" / "examples"


@pytest.fixture
def served(folder: Path) -> Iterator[Path]:
    """A folder whose model servers and router, which outlive their server, end with the test."""
    yield folder
    of_folder = f"CAIRN_TRIAL_DIR={folder}".encode()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if of_folder in environ.read_bytes():
                os.kill(int(environ.parent.name), signal.SIGKILL)
        except OSError:
            continue  # somebody else's, or it has ended


def test_the_story_is_told_from_a_notebook(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("digits", "promotion"):
        shutil.copytree(EXAMPLES / name, served / name)
    monkeypatch.setenv("PATH", f"{Path(_server.find_binary()).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("CAIRN_ROUTER", "127.0.0.1:0")
    notebook = nbformat.read(served / "promotion" / "story.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(served)}}).execute()
    said = [
        "".join(output["data"]["text/plain"] for output in cell.outputs if output.output_type == "execute_result")
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    assert "succeeded: version 1 is the champion" in said[1]
    assert said[3] in {f"[{digit}]" for digit in range(10)}
    assert "version 2 is the champion in place of version 1" in said[4]
    assert "mcnemar" in said[5]
    assert "rolledBack: errorRate" in said[7]
    assert "inputs.pixels[0]" in said[8]
    assert "champion 2 of 2" in said[9]
    model = cairn.model("digits")
    assert (model.champion["number"], model.champion["experiment"]) == (2, "better")
    assert model.stop("the story is over").servers == []
    again = model.start().wait(60)
    assert (again.state, len(cairn.model("digits").servers)) == ("succeeded", 1)
