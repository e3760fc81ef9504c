"""Ask and tell over gRPC."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from conftest import Served

import cairn
from cairn import search

SPACE = {
    "x": search.float(1e-3, 1, log=True),
    "n": search.int(1, 8, step=1),
    "b": search.discrete([8, 16, 32]),
    "opt": search.categorical(["sgd", "adam"]),
    "m": search.float(0, 1, when={"opt": "sgd"}),
}


def run(study: cairn.Study, n: int) -> list[dict[str, object]]:
    for _ in range(n):
        trial = study.ask()
        study.tell(trial, trial.params["x"])
    return [trial.params for trial in study.trials]


def test_points_lie_in_the_space_and_follow_from_the_seed(server: Served) -> None:
    points = run(cairn.Study(SPACE, algorithm="random", seed=7), 30)
    assert points == run(cairn.Study(SPACE, algorithm="random", seed=7), 30)
    assert points != run(cairn.Study(SPACE, algorithm="random", seed=8), 30)
    for point in points:
        assert 1e-3 <= float(str(point["x"])) <= 1 and point["n"] in range(1, 9) and point["b"] in (8, 16, 32)
        assert ("m" in point) == (point["opt"] == "sgd")
    assert {point["opt"] for point in points} == {"sgd", "adam"}


def test_points_are_drawn_from_what_is_believed(server: Served) -> None:
    space = {
        "x": search.float(1e-3, 1, log=True, prior=(0.01, 0.1)),
        "opt": search.categorical(["sgd", "adam"], prior={"adam": 1000}),
    }
    points = run(cairn.Study(space, algorithm="random", seed=7), 30)
    assert all(0.003 < float(str(point["x"])) < 0.03 for point in points)
    assert [point["opt"] for point in points].count("adam") >= 28
    with pytest.raises(cairn.InvalidError, match="mean 2 is not between"):
        cairn.Study({"x": search.float(0, 1, prior=(2, 1))}, algorithm="random")


def test_several_at_once_are_the_same_as_one_by_one(server: Served) -> None:
    one, many = (cairn.Study(SPACE, algorithm="random", seed=1, parallel=4) for _ in range(2))
    assert [one.ask().params for _ in range(4)] == [trial.params for trial in many.ask(4)]


def test_the_best_is_told_by_direction(server: Served) -> None:
    study = cairn.Study({"x": search.float(0, 1)}, objectives={"acc": "max", "cost": "min"}, algorithm="random")
    trials = study.ask(4)
    for trial, acc in zip(trials[:3], (0.5, 0.9, math.nan)):
        study.tell(trial, {"acc": acc, "cost": 1.0})
    study.tell(trials[3])
    assert [trial.state for trial in trials] == ["Succeeded", "Succeeded", "Failed", "Failed"]
    assert study.best is trials[1] and study.best.value == 0.9
    with pytest.raises(ValueError, match="already ended"):
        study.tell(trials[0], {"acc": 1.0, "cost": 1.0})
    with pytest.raises(ValueError, match="`cost` is missing"):
        study.tell(study.ask(), {"acc": 1.0})


@pytest.mark.parametrize("algorithm", ["random", "tpe"])
def test_a_service_that_has_forgotten_is_told_again(own: Served, algorithm: str) -> None:
    settings = {"n_startup_trials": 4} if algorithm == "tpe" else {}
    # Their names differ, or the service would hold both as one.
    given = {"algorithm": algorithm, "settings": settings, "seed": 5}
    whole, broken = (cairn.Study(SPACE, name=name, **given) for name in ("whole", "broken"))
    undisturbed = run(whole, 16)
    run(broken, 9)
    pending = broken.ask()
    own.kill()
    own.start()
    broken.tell(pending, pending.params["x"])
    assert run(broken, 6) == undisturbed
    assert broken._prefix.seq == 2 * 15


def test_a_history_is_sent_in_pieces(own: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from cairn import _study

    monkeypatch.setattr(_study, "CHUNK", 3)
    study = cairn.Study(SPACE, algorithm="tpe", seed=1)
    run(study, 7)
    own.kill()
    own.start()
    study.ask()
    assert study._prefix.seq == 14


def test_a_trial_that_falls_behind_should_stop(server: Served) -> None:
    for direction, sign in (("minimize", 1), ("maximize", -1)):
        study = cairn.Study(
            {"x": search.float(0, 1)},
            direction=direction,
            algorithm="random",
            early_stopping="medianstop",
            early_stopping_settings={"min_trials_required": 2, "start_step": 2},
        )
        for level in (1.0, 1.0, 1.0):
            trial = study.ask()
            assert not any(study.report(trial, sign * level, step) for step in range(4))
            study.tell(trial, sign * level)
        good, bad = study.ask(2)
        assert not any(study.report(good, sign * 0.5, step) for step in range(4))
        assert [study.report(bad, sign * 9.0, step) for step in range(3)] == [False, True, True]
        study.tell(bad, sign * 9.0, stopped_early=True)
        assert bad.state == "EarlyStopped" and study.best is study.trials[0]


def test_what_is_wrong_with_a_study_is_said_at_once(server: Served) -> None:
    with pytest.raises(cairn.InvalidError, match="nonsense"):
        cairn.Study(SPACE, algorithm="nonsense")
    with pytest.raises(cairn.InvalidError, match="min 2 is above max 1"):
        cairn.Study({"x": search.float(2, 1)}, algorithm="random")
    with pytest.raises(cairn.InvalidError, match="x <"):
        cairn.Study(SPACE, algorithm="random", constraints=["x <"])
    with pytest.raises(ValueError, match="no direction"):
        cairn.Study(SPACE, direction="sideways")


def test_the_committed_stubs_are_what_the_proto_file_generates(tmp_path: Path) -> None:
    from grpc_tools import protoc

    here = Path(__file__).resolve().parents[1]
    arguments = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    source = f"-Icairn/_proto={here.parent / 'cairn' / 'v1'}"
    assert protoc.main(["protoc", source, *arguments, "cairn/_proto/search.proto"]) == 0
    for name in ("search_pb2.py", "search_pb2.pyi", "search_pb2_grpc.py"):
        fresh = (tmp_path / "cairn" / "_proto" / name).read_text()
        assert (here / "src" / "cairn" / "_proto" / name).read_text() == fresh, f"{name} is not fresh; see README.md"
