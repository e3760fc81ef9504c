"""A Prometheus that scrapes once: `metrics.py URL`; samples by name go to stdout as JSON, and the type of each family."""

import json
import sys
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

families = list(text_string_to_metric_families(urlopen(sys.argv[1]).read().decode()))
samples = [
    {"name": sample.name, "labels": sample.labels, "value": sample.value}
    for family in families
    for sample in family.samples
]
json.dump({"types": {family.name: family.type for family in families}, "samples": samples}, sys.stdout)
