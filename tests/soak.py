"""Repeats the tests that find rare faults (kills, restarts, random shops) until the time is up or one fails.

``python -m tests.soak --hours 8``. Each round draws new random cases; the seed of a failing round is printed.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time

PLACES = ("tests/acceptance", "tests/integration", "tests/unit")


def main() -> int:
    """The exit code: 0 when every round passed, else pytest's."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0, help="how long, rounds are finished (default 1)")
    options = parser.parse_args()
    started = time.monotonic()
    rounds = 0
    while True:
        seed = random.randrange(2**32)
        rounds += 1
        code = subprocess.call(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-x",
                f"--hypothesis-seed={seed}",
                "-p",
                "no:cacheprovider",
                *PLACES,
            ],
            env=os.environ | {"SOAK_SEED": str(seed)},
        )
        hours = (time.monotonic() - started) / 3600
        print(f"soak: round {rounds}, {hours:.2f} h, seed {seed}, exit {code}", flush=True)
        if code or hours >= options.hours:
            return code


if __name__ == "__main__":
    sys.exit(main())
