"""A user of Katib's SDK, unmodified: `katib_sdk.py NAMESPACE DB_MANAGER`; what was found is the last line of stdout, as JSON."""

import json
import sys
import time

from kubeflow import katib
from kubernetes import client

namespace, manager = sys.argv[1:]
katib_client = katib.KatibClient(namespace=namespace)
found = {}


def job(script):
    """A Job of busybox that runs a script over `x`."""
    container = {
        "name": "main",
        "image": "local/busybox:1",
        "env": [{"name": "X", "value": "${trialParameters.x}"}],
        "command": ["sh", "-c"],
        "args": [script],
    }
    pod = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    return {"apiVersion": "batch/v1", "kind": "Job", "spec": {"backoffLimit": 0, "template": pod}}


def experiment(name, script, **spec):
    """An Experiment of the SDK's own models over `x` from 0 to 1."""
    space = katib.V1beta1FeasibleSpace(min="0", max="1")
    given = {
        "objective": katib.V1beta1ObjectiveSpec(type="minimize", objective_metric_name="loss"),
        "algorithm": katib.V1beta1AlgorithmSpec(algorithm_name="random"),
        "parameters": [katib.V1beta1ParameterSpec(name="x", parameter_type="double", feasible_space=space)],
        "trial_template": katib.V1beta1TrialTemplate(
            primary_container_name="main",
            retain=True,
            trial_parameters=[katib.V1beta1TrialParameterSpec(name="x", reference="x")],
            trial_spec=job(script),
        ),
        "max_trial_count": 3,
        "parallel_trial_count": 2,
        **spec,
    }
    return katib.V1beta1Experiment(
        api_version="kubeflow.org/v1beta1",
        kind="Experiment",
        metadata=client.V1ObjectMeta(name=name, namespace=namespace),
        spec=katib.V1beta1ExperimentSpec(**given),
    )


def until(what, look):
    """What `look` finds, once it does."""
    give_up = time.monotonic() + 60
    while not (seen := look()):
        assert time.monotonic() < give_up, what
        time.sleep(0.1)
    return seen


def wait(name, **more):
    """The experiment in a condition, by the SDK's own polling."""
    return katib_client.wait_for_experiment_condition(name, polling_interval=1, timeout=120, **more)


# An Experiment is made, followed to its end, and read in every way there is.
script = "printf 'loss=9\\nloss=%s\\n' $X"
katib_client.create_experiment(experiment("made", script, resume_policy="LongRunning"))
assert katib_client.get_experiment("made").metadata.name == "made"
wait("made", expected_condition="Created")
done = wait("made")
assert katib_client.is_experiment_succeeded("made") and katib_client.is_experiment_created("made")
assert not katib_client.is_experiment_running("made") and not katib_client.is_experiment_failed("made")
assert [each.metadata.name for each in katib_client.list_experiments()] == ["made"]
found["conditions"] = [[c.type, c.status] for c in katib_client.get_experiment_conditions("made")]
found["status"] = {
    "succeeded": done.status.trials_succeeded,
    "started": done.status.start_time.isoformat(),
    "completed": done.status.completion_time.isoformat(),
}
best = katib_client.get_optimal_hyperparameters("made")
found["best"] = {
    "trial": best.best_trial_name,
    "x": best.parameter_assignments[0].value,
    "metrics": [metric.to_dict() for metric in best.observation.metrics],
}
trials = katib_client.list_trials("made")
found["trials"] = {
    trial.metadata.name: {
        "x": trial.spec.parameter_assignments[0].value,
        "state": trial.status.conditions[-1].type,
        "runs": trial.spec.run_spec["kind"],
        "metrics": [
            [row.metric.name, row.metric.value]
            for row in katib_client.get_trial_metrics(trial.metadata.name, db_manager_address=manager)
        ],
    }
    for trial in trials
}
assert katib_client.get_trial(best.best_trial_name).metadata.name == best.best_trial_name
details = katib_client.get_success_trial_details("made")
assert {each["name"] for each in details} == set(found["trials"]), details
suggestion = katib_client.get_suggestion("made")
found["suggested"] = sorted(each.name for each in suggestion.status.suggestions)
assert suggestion.spec.requests == suggestion.status.suggestion_count == 3

# More trials are wished for.
katib_client.edit_experiment_budget("made", max_trial_count=4, parallel_trial_count=1)
until("it is taken up again", lambda: katib_client.is_experiment_restarting("made"))
until("the fourth", lambda: wait("made").status.trials_succeeded == 4)

# What a trial prints: where a sidecar reads it, that shows it.
for name, trial in found["trials"].items():
    printed = ["loss=9", f"loss={trial['x']}"]
    for follow in (False, True):
        said = list(katib_client.get_job_logs("made", name, follow=follow))
        assert said == printed, said
pushed = katib.V1beta1MetricsCollectorSpec(collector=katib.V1beta1CollectorSpec(kind="Push"))
katib_client.create_experiment(
    experiment("silent", "echo one; echo $X", max_trial_count=1, parallel_trial_count=1, metrics_collector_spec=pushed)
)
silent = wait("silent")
assert silent.status.trial_metrics_unavailable == 1, silent.status
[trial] = katib_client.list_trials("silent")
x = trial.spec.parameter_assignments[0].value
assert list(katib_client.get_job_logs("silent", trial.metadata.name)) == ["one", x]
assert list(katib_client.get_job_logs("silent", trial.metadata.name, follow=True)) == ["one", x]


# A function of a notebook is shipped as trials.
def objective(parameters):
    import time

    time.sleep(0.1)
    a, b, kind = int(parameters["a"]), float(parameters["b"]), parameters["kind"]
    assert parameters["fixed"] == 3 and kind in ("linear", "square")
    print(f"result={4 * a - b ** 2}")


katib_client.tune(
    name="tuned",
    objective=objective,
    parameters={
        "a": katib.search.int(min=10, max=20),
        "b": katib.search.double(min=0.1, max=0.2),
        "kind": katib.search.categorical(["linear", "square"]),
        "fixed": 3,
    },
    base_image="local/python:1",
    objective_metric_name="result",
    max_trial_count=4,
    resources_per_trial={"memory": "256Mi"},
)
tuned = wait("tuned")
best = katib_client.get_optimal_hyperparameters("tuned")
given = {each.name: each.value for each in best.parameter_assignments}
found["tuned"] = {
    "succeeded": tuned.status.trials_succeeded,
    "reason": tuned.status.conditions[-1].reason,
    "given": given,
    "result": best.observation.metrics[0].latest,
}

# One that is wrong says so where the SDK looks.
katib_client.create_experiment(experiment("wrong", "exit 3", max_failed_trial_count=0, max_trial_count=1, parallel_trial_count=1))
try:
    wait("wrong")
    found["wrong"] = "succeeded"
except RuntimeError:
    found["wrong"] = katib_client.get_experiment_conditions("wrong")[-1].message

for name in ("made", "silent", "tuned", "wrong"):
    katib_client.delete_experiment(name)
until("all is gone", lambda: not katib_client.list_experiments() and not katib_client.list_trials())
print("\n" + json.dumps(found))
