"""Asks a served model about pictures of digits, one after the other, until it is told to end.

python3 ask.py URL [--labels FILE] [--bright SHARE]

URL is that of `cairn models get digits`, FILE gets a line for each request with what was really shown, and SHARE of the
pictures have a first pixel of 255, as of a camera with a fault.
"""

from __future__ import annotations

import argparse
import collections
import http.client
import itertools
import json
import pathlib
import signal
import sys
import urllib.parse

DIGITS = pathlib.Path(__file__).parent.parent / "digits" / "digits.txt"


def pictures() -> list[tuple[int, list[int]]]:
    """Digit and pixels, from 0 to 16, of each picture."""
    rows = (line.split() for line in DIGITS.read_text().splitlines())
    return [(int(digit), [int(c, 17) for c in text]) for digit, text in rows]


def main() -> None:
    """Asks, and says in the end who has answered."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--labels", type=argparse.FileType("w"))
    parser.add_argument("--bright", type=float, default=0)
    words = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    where = urllib.parse.urlsplit(words.url)
    counts: collections.Counter[str] = collections.Counter()
    connection = http.client.HTTPConnection(where.netloc, timeout=30)
    shown = pictures()
    try:
        for i in itertools.count():
            # From all over the file, since neighbours are alike.
            digit, pixels = shown[i * 389 % len(shown)]
            if (i % 100) < 100 * words.bright:
                pixels = [255, *pixels[1:]]
            tensor = {"name": "pixels", "datatype": "FP64", "shape": [1, 64], "data": pixels}
            headers = {"content-type": "application/json", "x-request-id": f"{digit}-{i}"}
            connection.request("POST", where.path + "/infer", json.dumps({"inputs": [tensor]}), headers)
            answer = connection.getresponse()
            answer.read()
            version = answer.headers.get("x-cairn-version", "nobody")
            counts[f"{version}: status {answer.status}"] += 1
            if words.labels:
                words.labels.write(json.dumps({"requestId": f"{digit}-{i}", "label": digit}) + "\n")
    finally:
        for what, count in sorted(counts.items()):
            print(f"{count} answers of {what}", file=sys.stderr)


if __name__ == "__main__":
    main()
