"""Reports to Katib's DBManager as its clients do, with stubs made from the protocol's text."""

import os
import sys

import grpc

sys.path.insert(0, sys.argv[1])
import api_pb2 as api  # noqa: E402
from api_pb2_grpc import DBManagerStub  # noqa: E402

trial = os.environ["KATIB_TRIAL_NAME"]
manager = DBManagerStub(grpc.insecure_channel(os.environ["CAIRN_SERVER"].removeprefix("http://")))


def report(*rows, name: str = trial) -> None:
    logs = [
        api.MetricLog(time_stamp=time, metric=api.Metric(name=metric, value=value)) for time, metric, value in rows
    ]
    log = api.ObservationLog(metric_logs=logs)
    manager.ReportObservationLog(api.ReportObservationLogRequest(trial_name=name, observation_log=log))


report(("2026-01-01T10:00:00Z", "loss", "9"))
manager.DeleteObservationLog(api.DeleteObservationLogRequest(trial_name=trial))
report(
    ("2026-01-01T10:00:02.5Z", "loss", "0.25"),
    ("2026-01-01T10:00:01Z", "loss", "0.5"),
    ("", "loss", "a row without a time is passed over"),
)
report(("2026-01-01T12:00:03+02:00", "acc", "0.75"))
try:
    report(("2026-01-01T10:00:00Z", "loss", "1"), name="nobody")
except grpc.RpcError as error:
    print("refused:", error.code().name)
for log in manager.GetObservationLog(api.GetObservationLogRequest(trial_name=trial)).observation_log.metric_logs:
    print("kept:", log.time_stamp, log.metric.name, log.metric.value)
