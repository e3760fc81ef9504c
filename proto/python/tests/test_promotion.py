"""From a notebook: the best trial becomes the champion of a model."""

from __future__ import annotations

from typing import Any

import pytest

import cairn


def experiment(name: str, skill: float, promotion: dict[str, Any] | None = None) -> dict[str, Any]:
    command = "echo ${trialParameters.skill} > $CAIRN_MODEL_DIR/skill && echo accuracy=${trialParameters.skill}"
    spec: dict[str, Any] = {
        "objective": {"type": "maximize", "objectiveMetricName": "accuracy"},
        "algorithm": {"algorithmName": "grid"},
        "parameters": [
            {"name": "skill", "parameterType": "discrete", "feasibleSpace": {"list": ["0.3", str(skill)]}}
        ],
        "maxTrialCount": 2,
        "parallelTrialCount": 2,
        "trialTemplate": {
            "trialParameters": [{"name": "skill", "reference": "skill"}],
            "trialSpec": {
                "apiVersion": "cairn.dev/v1",
                "kind": "Process",
                "command": ["sh", "-c"],
                "args": [command],
            },
        },
    }
    if promotion:
        spec["promotion"] = promotion
    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": name},
        "spec": spec,
    }


def test_a_winner_is_promoted_approved_and_taken_back(server: Any) -> None:
    first = cairn.submit(experiment("by-hand", 0.9)).wait(60, progress=False)
    done = first.promote(model="skills", by="ada").wait(30)
    assert (done.state, done.message) == ("succeeded", "version 1 is the champion")
    wanted = {"model": "skills", "approval": {"by": ["bob"]}}
    second = cairn.submit(experiment("asks", 0.95, wanted)).wait(60, progress=False)
    waiting = second.promote(by="ada").wait(30)
    assert waiting.state == "waiting"
    with pytest.raises(cairn.ConflictError, match="ada may not approve"):
        waiting.approve(by="ada")
    assert waiting.approve("seen", by="bob").wait(30).state == "succeeded"
    model = cairn.model("skills")
    assert (model.champion["number"], len(model.versions)) == (2, 2)
    assert model.champion["parameters"] == {"skill": "0.95"}
    assert model.champion["approvedBy"] == "bob"
    assert "champion 2 of 2" in repr(model)
    with pytest.raises(cairn.NotFoundError, match="is not served"):
        model.watch()
    with pytest.raises(cairn.NotFoundError, match="is not served"):
        model.feedback({"some-request": 3})
    assert model.rollback(by="ada").wait(30).state == "succeeded"
    assert [item.champion["number"] for item in cairn.models() if item.name == "skills"] == [1]
    assert model.promotions()[0].evidence["data"] == ""
    with pytest.raises(cairn.ConflictError, match="nothing to go back to|already"):
        cairn.model("skills").rollback(to=1)
    with pytest.raises(cairn.NotFoundError, match="has no version"):
        cairn.model("nothing")
