"""Serves metrics with Prometheus' own client; each loss is shown until the test has seen it."""

import os
import sys
import time

from prometheus_client import Gauge, start_http_server

loss = Gauge("loss", "what is minimised")
accuracy = Gauge("accuracy", "by phase", ["phase"])
accuracy.labels("train").set(0.75)
accuracy.labels("test").set(0.5)
loss.set(3)
start_http_server(int(os.environ["CAIRN_METRICS_PORT"]), addr="127.0.0.1")
for value in (2, 1, 0):
    while not os.path.exists(f"{sys.argv[1]}{value}"):
        time.sleep(0.02)
    loss.set(value)
