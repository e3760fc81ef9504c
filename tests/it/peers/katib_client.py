"""A Katib controller's side of the wire: `katib_client.py HOST:PORT`; what was found goes to stdout as JSON."""

import json
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from katib_wire import api, api_grpc, experiment, trial

SETTINGS = {
    "hyperband": [("r_l", "9"), ("resource_name", "units")],
    "asha": [("r_l", "9"), ("resource_name", "units")],
}


def refusal(call):
    """Code and details of a call that must fail."""
    try:
        call()
    except grpc.RpcError as error:
        return [error.code().name, error.details()]
    return ["OK", ""]


def walk(stub, algorithm):
    """Asks and tells as a controller does, three at a time; the points by trial."""
    asked = experiment(algorithm, [*SETTINGS.get(algorithm, []), ("random_state", "1")])
    stub.ValidateAlgorithmSettings(api.ValidateAlgorithmSettingsRequest(experiment=asked))
    trials, points = [], []
    while len(points) < 12:
        reply = stub.GetSuggestions(
            api.GetSuggestionsRequest(
                experiment=asked,
                trials=trials,
                current_request_number=3,
                total_request_number=len(points) + 3,
            ),
            timeout=60,
        )
        if len(reply.parameter_assignments) != 3:
            raise SystemExit(f"{algorithm}: {len(reply.parameter_assignments)} suggestions instead of 3")
        for suggested in reply.parameter_assignments:
            point = {a.name: a.value for a in suggested.assignments}
            trials.append(trial(len(points), point, len(points)))
            points.append(point)
        # As a controller keeps what it is told for the next call.
        known = {s.name: s for s in asked.spec.algorithm.algorithm_settings}
        for setting in reply.algorithm.algorithm_settings:
            if setting.name in known:
                known[setting.name].value = setting.value
            else:
                asked.spec.algorithm.algorithm_settings.append(setting)
    return points


def main(address, algorithms):
    with grpc.insecure_channel(address) as channel:
        stub = api_grpc.SuggestionStub(channel)
        stopping = api_grpc.EarlyStoppingStub(channel)
        health = health_pb2_grpc.HealthStub(channel)

        def healthy(service):
            request = health_pb2.HealthCheckRequest(service=service)
            try:
                return health_pb2.HealthCheckResponse.ServingStatus.Name(health.Check(request).status)
            except grpc.RpcError as error:
                return error.code().name

        def validated(asked):
            request = api.ValidateAlgorithmSettingsRequest(experiment=asked)
            return refusal(lambda: stub.ValidateAlgorithmSettings(request))

        names = ["", "manager.v1beta1.Suggestion", "api.v1.beta1.Suggestion", "cairn.v1.Search", "other"]
        rule = api.EarlyStoppingSpec(
            algorithm_name="medianstop",
            algorithm_settings=[api.EarlyStoppingSetting(name="start_step", value="0")],
        )
        found = {
            "points": {algorithm: walk(stub, algorithm) for algorithm in algorithms},
            "health": {name: healthy(name) for name in names},
            "services": sorted(ProtoReflectionDescriptorDatabase(channel).get_services()),
            "refusals": {
                "gamma": validated(experiment("tpe", [("gamma", "2")])),
                "unknown": validated(experiment("annealing")),
                "pbt": validated(experiment("pbt")),
                "rule": refusal(
                    lambda: stopping.ValidateEarlyStoppingSettings(
                        api.ValidateEarlyStoppingSettingsRequest(early_stopping=rule)
                    )
                ),
                "status": refusal(
                    lambda: stopping.SetTrialStatus(api.SetTrialStatusRequest(trial_name="t"))
                ),
            },
        }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
