"""Inside trials: values arrive once each, whatever happens to the server meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Served, experiment, until

import cairn


def script(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "program.py"
    path.write_text(text)
    return [sys.executable, str(path)]


def pushed(name: str, command: list[str], **spec: object) -> dict[str, object]:
    document = experiment(name, "", maxTrialCount=1, metricsCollectorSpec={"collector": {"kind": "Push"}}, **spec)
    document["spec"]["trialTemplate"]["trialSpec"]["command"] = command
    return document


def test_values_arrive_with_their_steps(server: Served, tmp_path: Path) -> None:
    command = script(
        tmp_path,
        "import cairn\n"
        "cairn.report(3); cairn.report(2.5)\n"
        "cairn.report({'loss': 2, 'accuracy': float('nan')}, step=10)\n"
        "cairn.report({'note': 'text'})\n",
    )
    objective = {"type": "minimize", "objectiveMetricName": "loss", "additionalMetricNames": ["accuracy"]}
    exp = cairn.submit(pushed("steps", command, objective=objective)).wait(60, progress=False)
    rows = exp.observations(0)
    assert [(r.metric, r.step, r.text) for r in rows.itertuples()] == [
        ("loss", 0, "3"), ("loss", 1, "2.5"), ("loss", 10, "2"), ("accuracy", 10, "nan"), ("note", 0, "text"),
    ]  # fmt: skip
    best = exp.best()
    assert best is not None and best.value == 2


def test_nothing_is_lost_when_the_server_is_killed_in_the_middle(own: Served, tmp_path: Path) -> None:
    n = 300
    command = script(
        tmp_path,
        "import cairn, pathlib, time\n"
        f"for i in range({n}):\n"
        "    cairn.report(float(i), step=i)\n"
        "    time.sleep(0.002)\n"
        f"    if i == {n // 3}: pathlib.Path({str(tmp_path / 'third')!r}).touch()\n"
        "pathlib.Path(cairn.trial().folder, 'done').touch()\n",
    )
    exp = cairn.submit(pushed("killed", command))
    until((tmp_path / "third").exists)
    own.kill()
    # The program goes on to its end without a server, and its process waits there.
    folder = next((tmp_path / ".cairn" / "trials" / "killed").iterdir()) / "1"
    until((folder / "done").exists)
    time.sleep(0.2)
    assert not (folder / "exit.json").exists()
    own.start()
    exp.wait(60, progress=False)
    assert list(exp.observations(0)["value"]) == [float(i) for i in range(n)]
    assert exp.trial(0).state == "Succeeded" and exp.trial(0).attempt == 1


def test_what_a_killed_process_left_behind_is_sent_by_the_next(own: Served, tmp_path: Path) -> None:
    inner = tmp_path / "inner.py"
    inner.write_text(
        "import cairn, os, signal, pathlib, time\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "(here / 'begun').touch()\n"
        "while not (here / 'go').exists(): time.sleep(0.01)\n"
        "cairn.report(1.0); cairn.report(2.0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = script(
        tmp_path,
        "import cairn, pathlib, subprocess, sys\n"
        f"subprocess.run([sys.executable, {str(inner)!r}])\n"
        f"pathlib.Path({str(tmp_path / 'second')!r}).touch()\n"
        "cairn.report(3.0)\n",
    )
    exp = cairn.submit(pushed("orphans", command))
    until((tmp_path / "begun").exists)
    own.kill()
    (tmp_path / "go").touch()
    until((tmp_path / "second").exists)
    own.start()
    exp.wait(60, progress=False)
    assert sorted(exp.observations(0)["value"]) == [1.0, 2.0, 3.0]


def test_children_of_multiprocessing_report_too(server: Served, tmp_path: Path) -> None:
    command = script(
        tmp_path,
        "import multiprocessing, cairn\n"
        "if __name__ == '__main__':\n"
        "    cairn.report(0)\n"
        "    for kind in ('fork', 'spawn'):\n"
        "        child = multiprocessing.get_context(kind).Process(target=cairn.report, args=(1,))\n"
        "        child.start(); child.join(); assert child.exitcode == 0\n",
    )
    exp = cairn.submit(pushed("children", command)).wait(60, progress=False)
    assert sorted(exp.observations(0)["value"]) == [0, 1, 1]


def test_a_process_that_cannot_hand_over_its_values_fails_loudly(own: Served, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    own.kill()
    env = {"CAIRN_TRIAL_DIR": str(folder), "CAIRN_TRIAL_NAME": "t", "CAIRN_SERVER": own.url, "CAIRN_REPORT_WAIT": "0.2"}
    ended = subprocess.run([sys.executable, "-c", "import cairn; cairn.report(1)"], env=env, capture_output=True, text=True)
    assert ended.returncode == 75
    assert "1 reported values have not arrived" in ended.stderr and str(folder) in ended.stderr
    kept = next(folder.glob("report-*.jsonl")).read_text()
    assert json.loads(kept)["value"] == "1"


def test_values_that_the_server_refuses_end_in_one_message(server: Served, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    env = {"CAIRN_TRIAL_DIR": str(tmp_path), "CAIRN_TRIAL_NAME": "nobody", "CAIRN_SERVER": server.url}
    program = "import cairn; cairn.report(1); assert cairn.flush(5)"
    ended = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert ended.returncode == 0 and "`nobody` not found" in ended.stderr


def test_outside_of_trials_values_are_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CAIRN_TRIAL_DIR", "CAIRN_TRIAL_NAME"):
        monkeypatch.delenv(name, raising=False)
    assert cairn.trial() is None
    cairn.report(0.5)
    cairn.report({"loss": 1, "accuracy": 0.25}, step=3)
    cairn.report_model("s3://bucket/model")
    assert capsys.readouterr().out.splitlines() == [
        "objective=0.5", "step=3 loss=1 accuracy=0.25", "model s3://bucket/model",
    ]  # fmt: skip
    with pytest.raises(TypeError, match="neither a number nor a text"):
        cairn.report(object())


def test_a_model_stored_elsewhere_is_reported(server: Served, tmp_path: Path) -> None:
    digest = "ab" * 32
    command = script(tmp_path, f"import cairn; cairn.report(1); cairn.report_model('s3://b/m', {digest!r})")
    exp = cairn.submit(pushed("model", command)).wait(60, progress=False)
    model = exp.trial(0).model
    assert model is not None and (model.uri, model.digest) == ("s3://b/m", digest)
    with pytest.raises(ValueError, match="no SHA-256"):
        cairn.report_model("s3://b/m", "12")


def test_a_trial_that_may_wait_is_told_where_it_reports(server: Served, tmp_path: Path) -> None:
    command = script(
        tmp_path,
        "import pathlib, time, cairn\n"
        "saved = cairn.trial().checkpoint_dir / 'epoch'\n"
        "epoch = int(saved.read_text()) if saved.exists() else 0\n"
        "while epoch < 9:\n"
        "    epoch += 1\n"
        "    time.sleep(0.1)\n"
        "    saved.write_text(str(epoch))\n"
        f"    with open({str(tmp_path / 'epochs')!r}, 'a') as file: print(cairn.trial().name, epoch, file=file)\n"
        "    cairn.report(float(cairn.trial().name[-1] > 'm') + 1 / epoch, step=epoch)\n",
    )
    spec = pushed("waits", command)
    rule = {"r_l": "9", "r_min": "3", "form": "promote"}
    settings = [{"name": name, "value": value} for name, value in rule.items()]
    spec["spec"]["earlyStopping"] = {"algorithmName": "asha", "algorithmSettings": settings}
    spec["spec"].update(maxTrialCount=6, parallelTrialCount=2)
    exp = cairn.submit(spec).wait(60, progress=False)
    trials = [exp.trial(idx) for idx in range(6)]
    assert max(trial.attempt for trial in trials) == 2, "somebody has waited and gone on"
    lines = (tmp_path / "epochs").read_text().splitlines()
    assert len(lines) == len(set(lines)) == sum(trial.steps or 0 for trial in trials), "no epoch is run twice"


def test_a_trial_knows_itself(server: Served, tmp_path: Path) -> None:
    command = script(
        tmp_path,
        "import cairn\n"
        "me = cairn.trial()\n"
        "assert me.folder.is_dir() and me.checkpoint_dir.is_dir() and me.metrics == ['loss']\n"
        "(me.model_dir / 'weights').write_text('1')\n"
        "print(me.name, me.experiment, me.attempt)\n"
        "cairn.report(1)\n",
    )
    exp = cairn.submit(pushed("itself", command)).wait(60, progress=False)
    trial = exp.trial(0)
    assert exp.logs(0) == f"{trial.name} itself 1\n"
    assert trial.model is not None and trial.model.digest and not trial.model.elsewhere
    folder = exp.download_model(trial, tmp_path / "downloaded")
    assert (folder / "weights").read_text() == "1"
    with pytest.raises(FileExistsError, match="choose another folder"):
        exp.download_model(trial, folder)
    kept = Path(trial.model.uri.removeprefix("file://")) / "weights"
    kept.write_text("2")
    with pytest.raises(cairn.CairnError):
        exp.download_model(trial, tmp_path / "damaged")
    assert not (tmp_path / "damaged").exists()
