"""A real notebook, run headless, saved, and read again."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

CELLS = [
    """import cairn
def train(lr, layers):
    for step in range(3):
        cairn.report({"loss": (lr - 0.1) ** 2 + layers + 1 / (step + 1)}, step=step)
    return (lr - 0.1) ** 2 + layers""",
    """space = {"lr": cairn.search.float(1e-3, 1, log=True), "layers": cairn.search.int(1, 3)}
exp = cairn.tune(train, space, objective="loss", max_trials=6, parallel=2, seed=1, wait=False)
exp""",
    """import time
while exp.best() is None:
    time.sleep(0.05)
exp.wait()
exp.best()""",
    "exp.trials()",
    "exp.plot.history()",
    "exp.plot.curves(top=3)",
    "exp.plot.parallel()",
    "exp",
]


def test_a_notebook_searches_and_stays_readable(folder: Path) -> None:
    cells = [nbformat.v4.new_code_cell(text) for text in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}}).execute()
    nbformat.write(notebook, folder / "saved.ipynb")
    saved = nbformat.read(folder / "saved.ipynb", as_version=4)
    outputs = [[output["data"] for output in cell.outputs if "data" in output] for cell in saved.cells]
    assert not any(output.output_type == "error" for cell in saved.cells for output in cell.outputs)
    progress, best = outputs[2]
    assert "6/6 | best loss" in progress["text/plain"] and "<div" in progress["text/html"]
    assert "BestTrial(value=" in best["text/plain"] and "layers" in best["text/html"]
    frame = outputs[3][0]
    assert "params.lr" in frame["text/html"] and "Succeeded" in frame["text/plain"]
    for plot in (outputs[4], outputs[5], outputs[6]):
        assert plot[0]["image/svg+xml"].startswith("<svg") and plot[0]["text/html"].startswith("<svg")
    assert "Succeeded" in outputs[7][0]["text/html"]
