"""Katib's DBManager as the clients of a trial see it; as a program it reports losses, one after the other."""

import os
import sys
import time

import api_pb2 as api
import grpc
from api_pb2_grpc import DBManagerStub

TRIAL = os.environ["KATIB_TRIAL_NAME"]
MANAGER = DBManagerStub(grpc.insecure_channel(os.environ["CAIRN_SERVER"].removeprefix("http://")))


def report(*rows: tuple[str, str, str], name: str = TRIAL) -> None:
    logs = [
        api.MetricLog(time_stamp=stamp, metric=api.Metric(name=metric, value=value))
        for stamp, metric, value in rows
    ]
    log = api.ObservationLog(metric_logs=logs)
    MANAGER.ReportObservationLog(api.ReportObservationLogRequest(trial_name=name, observation_log=log))


if __name__ == "__main__":
    for loss in sys.argv[1:]:
        report((time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "loss", loss))
