"""Makes all three calls of Katib's DBManager, as a trial does."""

import api_pb2 as api
import grpc
from manager import MANAGER, TRIAL, report

report(("2026-01-01T10:00:00Z", "loss", "9"))
MANAGER.DeleteObservationLog(api.DeleteObservationLogRequest(trial_name=TRIAL))
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
for log in MANAGER.GetObservationLog(api.GetObservationLogRequest(trial_name=TRIAL)).observation_log.metric_logs:
    print("kept:", log.time_stamp, log.metric.name, log.metric.value)
