"""A notebook of somebody who has a namespace: `notebook.py KIND WORKERS`; what was found is the last line of stdout, as JSON."""

import json
import sys

import cairn
from cairn import search

kind, workers = sys.argv[1], int(sys.argv[2])


def train(lr, layers, optimizer):
    """Its source is the trial: 'quotes', "more of them", $HOME and $(HOME) arrive as they are."""
    import os

    import cairn

    assert "$(HOME)" in train.__doc__ and isinstance(lr, float) and layers in (1, 2), (lr, layers)
    assert optimizer in ("adam", "it's sgd for $5"), optimizer
    assert os.environ["GREETING"] == "hello you"
    for epoch in range(2):
        cairn.report({"loss": lr + layers + 2 - epoch}, step=epoch)
    return {"loss": lr + layers, "accuracy": 0.5}


name = f"train-{kind.lower()}"
given = {
    "function": train,
    "space": {
        "lr": search.float(1e-3, 1, log=True),
        "layers": search.int(1, 2),
        "optimizer": search.categorical(["adam", "it's sgd for $5"]),
    },
    "objective": "loss",
    "metrics": ["accuracy"],
    "max_trials": 3,
    "parallel": 2,
    "algorithm": "random",
    "seed": 5,
    "name": name,
    "env": {"GREETING": "hello you"},
    "resources": {"memory": "256Mi"},
    "target": "cluster",
    "kind": kind,
    "workers": workers,
    "base_image": "local/python:1",
}
exp = cairn.tune(**given)
best = exp.best()
found = {
    "repr": repr(exp),
    "best": {"value": best.value, "params": best.params, "metrics": best.metrics, "trial": best.name},
    "succeeded": exp.refresh()["cairn"]["counters"]["succeeded"],
    "again": cairn.tune(**given).refresh()["metadata"]["uid"] == exp.refresh()["metadata"]["uid"],
}
assert cairn.attach(name, target="cluster").state == "Succeeded"
try:
    cairn.tune(**{**given, "seed": 6})
except cairn.ConflictError as error:
    found["other"] = str(error)


def broken(x):
    raise RuntimeError(f"cannot train with {x}")


try:
    cairn.tune(
        broken,
        {"x": search.int(1, 2)},
        max_trials=1,
        max_failed_trials=1,
        name=f"broken-{kind.lower()}",
        target="cluster",
        base_image="local/python:1",
    )
except cairn.ExperimentFailed as error:
    found["broken"] = str(error)

printed = {
    "apiVersion": "kubeflow.org/v1beta1",
    "kind": "Experiment",
    "metadata": {"name": f"printed-{kind.lower()}"},
    "spec": {
        "objective": {"type": "minimize", "objectiveMetricName": "loss"},
        "algorithm": {"algorithmName": "random"},
        "parameters": search.specs({"x": search.float(0, 1)}),
        "maxTrialCount": 1,
        "parallelTrialCount": 1,
        "trialTemplate": {
            "retain": True,
            "primaryContainerName": "main",
            "trialParameters": [{"name": "x", "reference": "x"}],
            "trialSpec": {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{
                    "name": "main", "image": "local/busybox:1", "command": ["sh", "-c", "echo loss=${trialParameters.x}"],
                }],
            }}}},
        },
    },
}
submitted = cairn.submit(printed, target="cluster")
assert cairn.submit(json.dumps(printed) + "\n", target="cluster").name == submitted.name
submitted.wait()
try:
    found["printed"] = submitted.logs(submitted.best().name)
except cairn.ForbiddenError as error:
    found["printed"] = str(error)
submitted.delete()
exp.delete()
cairn.attach(f"broken-{kind.lower()}", target="cluster").delete()
print("\n" + json.dumps(found))
