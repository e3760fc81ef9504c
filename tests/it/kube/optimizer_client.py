"""A user of Kubeflow's OptimizerClient, unmodified: `optimizer_client.py NAMESPACE`; what was found is the last line, as JSON."""

import json
import sys
import time

from kubeflow.optimizer import (
    KubernetesBackendConfig,
    Objective,
    OptimizerClient,
    RandomSearch,
    Search,
    TrainJobTemplate,
    TrialConfig,
)
from kubeflow.trainer import CustomTrainer, TrainerClient

namespace = sys.argv[1]
backend = KubernetesBackendConfig(namespace=namespace)
optimizer = OptimizerClient(backend_config=backend)


def train(lr: str, optimizer: str):
    assert optimizer in ("sgd", "adam")
    print(f"loss={float(lr) * 2}")


runtime = TrainerClient(backend_config=backend).get_runtime("plain")
name = optimizer.optimize(
    trial_template=TrainJobTemplate(trainer=CustomTrainer(func=train), runtime=runtime),
    search_space={"lr": Search.loguniform(0.001, 0.1), "optimizer": Search.choice(["sgd", "adam"])},
    trial_config=TrialConfig(num_trials=2, parallel_trials=2),
    objectives=[Objective(metric="loss")],
    algorithm=RandomSearch(random_state=3),
)
give_up = time.monotonic() + 120
while True:
    try:
        job = optimizer.wait_for_job_status(name, timeout=120)
        break
    except RuntimeError as error:
        # A Trial is there a moment before its TrainJob, with Katib too; this client takes that for an error.
        assert "list" in str(error) and time.monotonic() < give_up, error
        time.sleep(0.5)
[listed] = optimizer.list_jobs()
events = optimizer.get_job_events(name)
best = optimizer.get_best_results(name)
found = {
    "status": job.status,
    "trials": {trial.name: [trial.trainjob.status, trial.parameters, [m.latest for m in trial.metrics]] for trial in job.trials},
    "listed": [listed.name == name, listed.status],
    "events": sorted({event.reason for event in events}),
    "best": best and [best.parameters, [metric.latest for metric in best.metrics]],
}
optimizer.delete_job(name)
print("\n" + json.dumps(found))
