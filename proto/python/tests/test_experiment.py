"""Submitting, looking, waiting, wishing."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path

import pytest
from conftest import Served, experiment, until

import cairn

#: With `sh -c`, the first argument is `$0`.
PRINT_LOSS = 'echo "step=1 loss=2"; echo "step=2 loss=$0"; echo "said by $3"'


def test_a_dict_is_submitted_and_its_best_trial_is_found(server: Served) -> None:
    exp = cairn.submit(experiment("best", PRINT_LOSS))
    assert exp.wait(60, progress=False) is exp and exp.state == "Succeeded"
    best = exp.best()
    assert exp.predicted_best() is None  # random search has no model
    assert best is not None
    values = exp.trials()["value"]
    assert best.value == values.min() and best.params["x"] == best.value
    assert best.name in repr(best) and exp.trial(best.name).params == best.params
    assert exp.trial(best.idx).name == best.name
    assert best.folder is not None and (best.folder / "command.sh").exists()


def test_the_best_point_is_run_again_and_its_mean_counts(server: Served) -> None:
    noisy = "tr -dc 1-9 < /dev/urandom | head -c 6 | sed 's/^/loss=0./'; echo"
    exp = cairn.submit(experiment("noisy", noisy, repeats=2, maxTrialCount=8, parallelTrialCount=1)).wait(60, progress=False)
    best = exp.best()
    assert best is not None and best.repeated is not None and best.repeated.runs == 2
    trials = exp.trials()
    runs = trials[trials["params.x"] == best.params["x"]]["value"]
    assert len(runs) == 2 and abs(runs.mean() - best.repeated.mean) < 1e-12
    assert "repeat" in set(trials["origin"])


def test_the_space_is_edited_and_what_was_found_stays(server: Served) -> None:
    exp = cairn.submit(experiment("edited", PRINT_LOSS)).wait(60, progress=False)
    other = experiment("edited", PRINT_LOSS)
    other["spec"]["parameters"][0]["feasibleSpace"]["min"] = "0.5"
    exp.edit_space(other)
    exp.edit(max_trials=9)
    until(lambda: len(exp.trials()) == 9)
    x = exp.trials()["params.x"]
    assert (x[6:] >= 0.5).all() and (x[:6] < 0.5).any()
    with pytest.raises(cairn.InvalidError, match="cannot be edited"):
        exp.edit_space(other)


def test_a_file_and_its_text_are_the_same_experiment(server: Served, tmp_path: Path) -> None:
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(experiment("of-a-file", PRINT_LOSS)))
    first = cairn.submit(path)
    assert first.refresh()["cairn"]["baseDir"] == str(tmp_path)
    uid = first.refresh()["metadata"]["uid"]
    for again in (cairn.submit(str(path)), cairn.submit(path.read_text()), cairn.submit(first.yaml)):
        assert again.refresh()["metadata"]["uid"] == uid
    assert cairn.attach("of-a-file").objective == "loss"
    assert "of-a-file" in [exp.name for exp in cairn.experiments()]


def test_trials_have_right_types(server: Served) -> None:
    exp = cairn.submit(experiment("types", PRINT_LOSS, maxTrialCount=12)).wait(60, progress=False)
    frame = exp.trials()
    dtypes = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    wanted = {
        "idx": "Int64", "name": "string", "state": "category", "value": "float64", "params.x": "float64",
        "params.layers": "Int64", "params.batch": "Int64", "params.opt": "category", "params.momentum": "float64",
        "metrics.loss": "float64", "seconds": "float64",
    }  # fmt: skip
    assert {name: dtypes[name] for name in wanted} == wanted
    assert all(str(frame[name].dt.tz) == "UTC" for name in ("created", "started", "ended"))
    with_sgd = frame["params.opt"] == "sgd"
    assert with_sgd.any() and not with_sgd.all()
    assert frame["params.momentum"].notna().equals(with_sgd)
    assert frame.attrs == {"objective": "loss", "direction": "minimize"}
    assert set(frame["params.batch"]) <= {8, 16, 32}
    few = exp.trials(where="opt = sgd", sort="-value")
    assert len(few) == with_sgd.sum() and few["value"].is_monotonic_decreasing


def test_observations_and_logs_are_what_a_trial_has_written(server: Served) -> None:
    exp = cairn.submit(experiment("written", PRINT_LOSS, maxTrialCount=1)).wait(60, progress=False)
    trial = exp.trial(0)
    rows = exp.observations(trial)
    assert list(rows["step"]) == [1, 2] and list(rows["value"]) == [2.0, trial.params["x"]]
    log = exp.logs(trial)
    assert log.splitlines()[-1] == f"said by {trial.params['opt']}"
    assert "".join(exp.logs(trial, follow=True)) == log
    assert trial.name in exp.explain(trial)
    assert "maxTrialCount" in exp.explain("spec.maxTrialCount")


def test_logs_are_followed_while_a_trial_runs(server: Served, tmp_path: Path) -> None:
    script = f'echo begun; until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo "loss=1"'
    exp = cairn.submit(experiment("followed", script, maxTrialCount=1))
    until(lambda: exp.refresh()["cairn"]["counters"]["running"])
    pieces = exp.logs(0, follow=True)
    assert next(pieces) == "begun\n"
    (tmp_path / "go").touch()
    assert "".join(pieces) == "loss=1\n"


def test_all_problems_are_told_with_their_places(server: Served) -> None:
    broken = experiment("broken", "true", maxTrialCount=0)
    del broken["spec"]["objective"]
    with pytest.raises(cairn.InvalidError) as caught:
        cairn.submit(json.dumps(broken, indent=1))
    paths = {problem.path.split(".")[1] for problem in caught.value.problems}
    assert {"objective", "maxTrialCount"} <= paths
    assert all(str(problem) in str(caught.value) for problem in caught.value.problems)
    assert any(problem.line for problem in caught.value.problems)


def test_another_spec_under_the_same_name_is_a_conflict(server: Served) -> None:
    cairn.submit(experiment("taken", PRINT_LOSS))
    with pytest.raises(cairn.ConflictError, match="another name"):
        cairn.submit(experiment("taken", "echo loss=1"))
    with pytest.raises(cairn.NotFoundError, match="`nobody`"):
        cairn.attach("nobody")
    with pytest.raises(cairn.CairnError, match=r"no-such\.yaml cannot be read"):
        cairn.submit("no-such.yaml")


def test_a_failed_experiment_tells_its_causes(server: Served) -> None:
    script = 'echo "CUDA out of memory" >&2; exit 3'
    exp = cairn.submit(experiment("fails", script, maxFailedTrialCount=2))
    with pytest.raises(cairn.ExperimentFailed) as caught:
        exp.wait(60, progress=False)
    groups = caught.value.groups
    assert groups and groups[0].count >= 2 and groups[0].count == groups[0].of
    assert "failed alike" in str(caught.value) and groups[0].trials[0] in str(caught.value)
    assert exp.best() is None


def test_waiting_ends_at_its_time_and_an_interrupt_only_detaches(
    server: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = f'until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo "loss=$0"'
    exp = cairn.submit(experiment("slow", script, maxTrialCount=2))
    with pytest.raises(cairn.WaitTimeoutError):
        exp.wait(0.2, progress=False)
    main = threading.main_thread().ident
    assert main is not None
    # Whoever starts the tests in the background has them ignore interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
        assert exp.wait(60) is exp
    finally:
        signal.signal(signal.SIGINT, before)
    assert "detached" in capsys.readouterr().err
    assert exp.refresh()["cairn"]["counters"]["running"] == 2
    (tmp_path / "go").touch()
    exp.wait(30)
    assert "slow 2/2 | best loss" in capsys.readouterr().err


def test_wishes_are_carried_out(server: Served, tmp_path: Path) -> None:
    script = f'until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo "loss=$0"'
    exp = cairn.submit(experiment("wishes", script, maxTrialCount=3, parallelTrialCount=1))
    until(lambda: exp.refresh()["cairn"]["counters"]["running"])
    exp.stop()
    until(lambda: exp.state == "Stopping")
    exp.enqueue(x=0.25, layers=2, batch=16, opt="adam")
    (tmp_path / "go").touch()
    exp.wait(30, progress=False)
    assert exp.state == "Stopped"
    exp.retry_trial(0)
    exp.edit(max_trials=5, parallel=2)
    exp.resume()
    until(lambda: exp.state == "Succeeded")
    frame = exp.trials()
    assert len(frame) == 5 and 0.25 in set(frame["value"])
    assert sorted(frame["origin"]) == ["enqueued", "retry", "search", "search", "search"]
    with pytest.raises(cairn.InvalidError):
        exp.edit(max_trials=-1)
    exp.delete()
    with pytest.raises(cairn.NotFoundError):
        exp.best()


def test_changes_are_watched_to_the_end_and_from_a_number_on(server: Served) -> None:
    exp = cairn.submit(experiment("watched", PRINT_LOSS, maxTrialCount=3))
    changes = list(exp.watch())
    assert [change.seq for change in changes] == list(range(1, len(changes) + 1))
    assert changes[-1].is_end and [c.kind for c in changes].count("trialEnded") == 3
    assert [change.seq for change in exp.watch(after=4)] == list(range(5, len(changes) + 1))


def test_watching_goes_on_at_a_server_that_was_killed(own: Served, tmp_path: Path) -> None:
    script = f'until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo "loss=$0"'
    exp = cairn.submit(experiment("survives", script, maxTrialCount=4))
    watched: list[cairn.Change] = []
    watcher = threading.Thread(target=lambda: watched.extend(exp.watch()))
    watcher.start()
    until(lambda: exp.refresh()["cairn"]["counters"]["running"] == 2)
    own.kill()
    (tmp_path / "go").touch()
    time.sleep(0.3)
    own.start()
    watcher.join(30)
    assert not watcher.is_alive()
    assert [change.seq for change in watched] == list(range(1, len(watched) + 1))
    assert watched[-1].is_end and [c.kind for c in watched].count("trialEnded") == 4


def test_cards_and_plots_show_what_there_is(server: Served, tmp_path: Path) -> None:
    import xml.dom.minidom

    exp = cairn.submit(experiment("shown", PRINT_LOSS, maxTrialCount=8)).wait(60, progress=False)
    best = exp.best()
    assert best is not None
    card = exp._repr_html_()
    assert best.name in card and "Succeeded" in card and "<polyline" in card
    assert best.params["opt"] in best._repr_html_()
    history, curves, parallel = exp.plot.history(), exp.plot.curves(top=3), exp.plot.parallel()
    assert history.svg.count("<circle") == 8 and "best so far" in history.svg
    assert curves.svg.count("<title>") >= 3 and best.name in curves.svg
    assert all(name in parallel.svg for name in ("layers", "momentum", "adam", "loss"))
    for plot in (history, curves, parallel):
        xml.dom.minidom.parseString(plot._repr_svg_())
        assert plot.save(tmp_path / "plot.svg").read_text().startswith("<svg")
        assert "<!doctype html>" in plot.save(tmp_path / "plot.html").read_text()


def test_an_experiment_without_trials_is_shown_too(server: Served) -> None:
    exp = cairn.submit(experiment("empty", PRINT_LOSS, suspend=True))
    assert exp.best() is None and len(exp.trials()) == 0
    assert str(exp.trials()["params.layers"].dtype) == "Int64"
    assert "no trial has a value yet" in exp.plot.history().svg
    assert "none yet" in exp._repr_html_()
    assert "resume" in exp.explain()
