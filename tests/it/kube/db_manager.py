"""Says what a pod may do with a trial at Katib's DBManager, which it asks with Katib's own stubs."""

import sys

import grpc
from kubeflow.katib import katib_api_pb2 as api
from kubeflow.katib import katib_api_pb2_grpc as api_grpc

ADDRESS, TRIAL = sys.argv[1:]
MANAGER = api_grpc.DBManagerStub(grpc.insecure_channel(ADDRESS))
METRIC = api.Metric(name="loss", value="0.5")
LOG = api.ObservationLog(metric_logs=[api.MetricLog(time_stamp="2026-01-01T10:00:00Z", metric=METRIC)])


def read() -> str:
    reply = MANAGER.GetObservationLog(api.GetObservationLogRequest(trial_name=TRIAL, metric_name="loss"))
    return " ".join(log.metric.value for log in reply.observation_log.metric_logs)


for what, call in {
    "write": lambda: MANAGER.ReportObservationLog(api.ReportObservationLogRequest(trial_name=TRIAL, observation_log=LOG)),
    "read": read,
    "delete": lambda: MANAGER.DeleteObservationLog(api.DeleteObservationLogRequest(trial_name=TRIAL)),
}.items():
    try:
        print(f"{what}: done {call()}".strip())
    except grpc.RpcError as error:
        print(f"{what}: {error.code().name} {error.details()}")
