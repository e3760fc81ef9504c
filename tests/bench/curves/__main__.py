"""`python -m curves`"""

from __future__ import annotations

import sys

ABOUT = """Learning-curve tables in algorithms/benches/curves/:

  tests/bench/run curves make [TASK ..]   # trains, minutes
  tests/bench/run curves peers [SEEDS]    # what the rules of Optuna and Syne Tune find in them
"""


def main() -> None:
    """Reads the arguments and does what they say."""
    match sys.argv[1:]:
        case ["make", *names]:
            from curves import tables

            tables.make(names)
        case ["peers", *seeds] if len(seeds) < 2 and all(map(str.isdecimal, seeds)):
            from curves import peers

            peers.run(*map(int, seeds))
        case _:
            raise SystemExit(ABOUT)


main()
