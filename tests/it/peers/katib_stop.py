"""A Katib sidecar's last word: `katib_stop.py HOST:PORT TRIAL` says that a rule has stopped the trial.

Before, it asks for the median rule over the same server's observations, and for a stop of a trial that does not exist.
"""

import json
import sys

import grpc

from katib_wire import api, api_grpc, experiment


def main(address, name):
    with grpc.insecure_channel(address) as channel:
        stub = api_grpc.EarlyStoppingStub(channel)
        asked = experiment("random")
        asked.spec.early_stopping.algorithm_name = "medianstop"
        asked.spec.early_stopping.algorithm_settings.add(name="min_trials_required", value="1")
        ended = api.Trial(name=name, status=api.TrialStatus(condition=api.TrialStatus.SUCCEEDED))
        reply = stub.GetEarlyStoppingRules(
            api.GetEarlyStoppingRulesRequest(experiment=asked, trials=[ended], db_manager_address=address)
        )
        rules = [
            [r.name, r.value, api.ComparisonType.Name(r.comparison), r.start_step]
            for r in reply.early_stopping_rules
        ]
        if not rules:
            raise SystemExit("nothing is observed yet")
        try:
            stub.SetTrialStatus(api.SetTrialStatusRequest(trial_name="nobody"))
            refused = "OK"
        except grpc.RpcError as error:
            refused = error.code().name
        stub.SetTrialStatus(api.SetTrialStatusRequest(trial_name=name))
    json.dump({"refused": refused, "rules": rules}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
