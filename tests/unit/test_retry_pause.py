"""How long the daemon waits before it tries again."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from cdc.retry_pause import doubled_s, jittered_s

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0.5), (1, 0.5), (2, 1.0), (3, 2.0), (7, 30.0), (2_000, 30.0), (10**9, 30.0)]
)
def test_the_wait_doubles_up_to_its_cap(failures: int, seconds: float) -> None:
    """A server that is away for days is still tried: no number of failures is too many."""
    assert doubled_s(failures, 0.5, 30.0) == seconds


def test_the_wait_is_drawn_from_the_whole_span() -> None:
    """Daemons that lost the same server come back at different moments."""
    drawn = [jittered_s(5_000, 0.5, 30.0, Random(seed)) for seed in range(200)]

    assert min(drawn) < 3 < 27 < max(drawn) <= 30.0


def test_nothing_else_counts_powers_of_failures() -> None:
    """A power of a counter that nobody bounds ends the daemon at its 1024th failure, so one module holds the rule."""
    power = re.compile(r"\b2(?:\.0)? ?\*\* ?[^\d\s]")
    found = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for folder in ("cdc", "sinks", "mappers")
        for file in sorted((ROOT / folder).rglob("*.py"))
        for line in file.read_text(encoding="utf-8").splitlines()
        if power.search(line) and file.name != "retry_pause.py"
    ]

    assert found == []
