"""Katib's messages and stubs, as its own package ships them; and an experiment to speak about."""

from kubeflow.katib import katib_api_pb2 as api
from kubeflow.katib import katib_api_pb2_grpc as api_grpc

__all__ = ["api", "api_grpc", "experiment", "loss", "trial"]


def experiment(algorithm, settings=(), **spec):
    """An experiment over a double, an int, a discrete and a categorical parameter that minimises `loss`."""
    space = [
        ("lr", api.DOUBLE, {"min": "0.1", "max": "0.9", "step": "0.1"}),
        ("units", api.INT, {"min": "1", "max": "9"}),
        ("batch", api.DISCRETE, {"list": ["16", "32"]}),
        ("opt", api.CATEGORICAL, {"list": ["sgd", "adam"]}),
    ]
    parameters = [
        api.ParameterSpec(name=name, parameter_type=kind, feasible_space=api.FeasibleSpace(**domain))
        for name, kind, domain in space
    ]
    return api.Experiment(
        name="peer",
        spec=api.ExperimentSpec(
            parameter_specs=api.ExperimentSpec.ParameterSpecs(parameters=parameters),
            objective=api.ObjectiveSpec(type=api.MINIMIZE, objective_metric_name="loss"),
            algorithm=api.AlgorithmSpec(
                algorithm_name=algorithm,
                algorithm_settings=[api.AlgorithmSetting(name=n, value=v) for n, v in settings],
            ),
            parallel_trial_count=9,
            max_trial_count=12,
            **spec,
        ),
    )


def loss(point):
    """What a trial at a point comes to; smallest at lr 0.3, units 5, sgd."""
    names = 0.0 if point["opt"] == "sgd" else 0.5
    return (float(point["lr"]) - 0.3) ** 2 + (int(point["units"]) - 5) ** 2 / 50 + names


def trial(number, point, second):
    """A trial that has ended well."""
    at = f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z"
    assignments = [api.ParameterAssignment(name=n, value=v) for n, v in point.items()]
    return api.Trial(
        name=f"peer-{number:08x}",
        spec=api.TrialSpec(
            parameter_assignments=api.TrialSpec.ParameterAssignments(assignments=assignments)
        ),
        status=api.TrialStatus(
            start_time=at,
            completion_time=at,
            condition=api.TrialStatus.SUCCEEDED,
            observation=api.Observation(metrics=[api.Metric(name="loss", value=str(loss(point)))]),
        ),
    )
