"""How long to wait before a failed call is tried again: the one rule for servers, brokers and sinks."""

from __future__ import annotations

from random import Random
from typing import Final

_MOST_DOUBLINGS: Final = 30
"""More doublings than any cap needs. A float cannot hold 2 to the power of 1024, so after hours of failures the power
would fail.
"""

_RANDOM: Final = Random()


def doubled_s(failures: int, first_s: float, cap_s: float) -> float:
    """``first_s`` seconds after the first failure, twice as long after each further one, at most ``cap_s``."""
    return float(min(cap_s, first_s * 2.0 ** min(max(failures - 1, 0), _MOST_DOUBLINGS)))


def jittered_s(failures: int, first_s: float, cap_s: float, random: Random = _RANDOM) -> float:
    """Full jitter: a random time up to ``doubled_s``, so that many clients do not come back at the same moment."""
    return random.uniform(0.0, doubled_s(failures, first_s, cap_s))
