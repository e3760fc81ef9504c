"""Somebody's own suggestion service: `katib_suggestion.py [PORT]`; says `listening on HOST:PORT` on stderr.

It walks down a list of learning rates. How far it has come it keeps in the reply's settings, as Katib's Hyperband does,
so it goes wrong if these do not come back. What it was asked goes to stdout, a JSON line for each question. Its first
answers are a refusal for now, then one suggestion too few.
"""

import json
import sys
import threading
from concurrent import futures

import grpc

from katib_wire import api, api_grpc


class Service(api_grpc.SuggestionServicer):
    def __init__(self):
        self.questions = 0

    def ValidateAlgorithmSettings(self, request, context):
        settings = {s.name: s.value for s in request.experiment.spec.algorithm.algorithm_settings}
        if float(settings.get("stride", "0.05")) <= 0:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "stride must be above zero")
        return api.ValidateAlgorithmSettingsReply()

    def GetSuggestions(self, request, context):
        self.questions += 1
        if self.questions == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "still warming up")
        settings = {s.name: s.value for s in request.experiment.spec.algorithm.algorithm_settings}
        place, stride = int(settings.get("place", "0")), float(settings.get("stride", "0.05"))
        wanted = request.current_request_number
        number = wanted - 1 if self.questions == 2 and wanted > 1 else wanted
        trials = [
            {
                "name": t.name,
                "condition": api.TrialStatus.TrialConditionType.Name(t.status.condition),
                "point": {a.name: a.value for a in t.spec.parameter_assignments.assignments},
                "metrics": {m.name: m.value for m in t.status.observation.metrics},
                "labels": dict(t.spec.labels),
                "times": [t.status.start_time, t.status.completion_time],
            }
            for t in request.trials
        ]
        asked = {"place": place, "wanted": wanted, "total": request.total_request_number, "trials": trials}
        print(json.dumps(asked), flush=True)
        reply = api.GetSuggestionsReply()
        for step in range(place, place + number):
            point = reply.parameter_assignments.add()
            point.trial_name = f"mine-{step}"
            point.labels["step"] = str(step)
            point.assignments.add(name="lr", value=str(0.05 + stride * step))
            point.assignments.add(name="opt", value="adam" if step % 2 else "sgd")
        reply.algorithm.algorithm_settings.add(name="place", value=str(place + number))
        return reply


def main():
    server = grpc.server(futures.ThreadPoolExecutor(4))
    api_grpc.add_SuggestionServicer_to_server(Service(), server)
    port = server.add_insecure_port(f"127.0.0.1:{sys.argv[1] if len(sys.argv) > 1 else 0}")
    server.start()
    print(f"listening on 127.0.0.1:{port}", file=sys.stderr, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
