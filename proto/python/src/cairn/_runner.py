"""Runs a shipped function as a trial: `python -m cairn._runner SHIPMENT name=value ...`.

The shipment is JSON: the function's name and source, the objective, and how the texts of parameters are read.
"""

from __future__ import annotations

import json
import sys

from ._pod import call
from ._report import flush, report


def main(shipment: str, arguments: list[str]) -> None:
    """Calls the function with the parameters of this trial, and reports what it returns."""
    call(json.loads(shipment), dict(argument.split("=", 1) for argument in arguments), report)
    flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
