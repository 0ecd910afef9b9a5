"""The last hour in numbers, for the page's charts: a small ring of samples in memory.

A sample is taken every ``EVERY_S`` seconds from /status and from the messages accepted since the last sample. Use in
the event loop.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

EVERY_S: Final = 10.0
KEPT: Final = 360
"""Samples of one hour."""

MOST_LATENCIES: Final = 1000
"""Latencies of one sample that are kept; of more, a fair choice of so many."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment. Times in seconds but for ``at_ms`` (epoch milliseconds); rates per second since the sample before.

    ``latency_s``, ``slow_s``: median and 95th percentile from the commit to the acceptance; None: nothing live was
    accepted.
    """

    at_ms: int
    read_lag_s: float
    accepted_per_s: float
    changes_per_s: float
    outbox: int
    latency_s: float | None
    slow_s: float | None


class Samples:
    """The ring, and how fast a first load goes."""

    def __init__(self) -> None:
        self._ring: deque[Sample] = deque(maxlen=KEPT)
        self._began_s: float | None = None
        self._changes = 0.0
        self._accepted = 0
        self._latencies: list[float] = []
        self._timed = 0
        self._pace = LoadPace()

    def accepted(self, messages: int, latencies_s: Sequence[float]) -> None:
        """So many messages were accepted. ``latencies_s``: of the live ones, since the source's commit."""
        # History was committed long ago: its age says nothing of how fast the daemon is.
        self._accepted += messages
        room = MOST_LATENCIES - len(self._latencies)
        self._latencies += latencies_s[:room]
        self._timed += min(room, len(latencies_s))
        for latency_s in latencies_s[room:]:
            self._timed += 1
            # Each of the latencies has the same chance to be among those that are kept.
            place = int(random.random() * self._timed)
            if place < MOST_LATENCIES:
                self._latencies[place] = latency_s

    def look(self, status: Mapping[str, Any], now_s: float, at_ms: int) -> None:
        """Take a sample if it is time. ``now_s``: monotonic seconds; ``status``: what /status says."""
        self._pace.look(status, now_s)
        changes = number(status, ("changes",)) or 0.0
        # The first look begins the first sample: rates need two moments.
        if self._began_s is None:
            self._begin(now_s, changes)
            return
        seconds = now_s - self._began_s
        # /status is looked at each second, the ring holds an hour.
        if seconds < EVERY_S:
            return
        ordered = sorted(self._latencies)
        self._ring.append(
            Sample(
                at_ms,
                read_lag_s=number(status, ("source", "read_lag_s")) or 0.0,
                accepted_per_s=round(self._accepted / seconds, 2),
                changes_per_s=round(max(0.0, changes - self._changes) / seconds, 2),
                outbox=int(number(status, ("outbox", "total")) or 0),
                latency_s=_quantile(ordered, 0.5),
                slow_s=_quantile(ordered, 0.95),
            )
        )
        self._begin(now_s, changes)

    def _begin(self, now_s: float, changes: float) -> None:
        self._began_s, self._changes, self._accepted, self._timed = now_s, changes, 0, 0
        self._latencies = []

    def as_dict(self) -> dict[str, Any]:
        """For the page: each figure's name → its values, the oldest first; and how far the first load is."""
        names = Sample.__slots__
        return {
            "now_ms": int(time.time() * 1000),
            "every_s": EVERY_S,
            "kept": KEPT,
            "samples": {name: [getattr(sample, name) for sample in self._ring] for name in names},
            "first_load": self._pace.as_dict(),
        }


class LoadPace:
    """How far the phase of a first load is, and how long the rest of the phase takes at its pace so far."""

    def __init__(self) -> None:
        self._phase = ""
        self._began: tuple[float, int] = (0.0, 0)
        self._now: tuple[float, int, int] = (0.0, 0, 0)

    def look(self, status: Mapping[str, Any], now_s: float) -> None:
        """Take phase, done and expected from what /status says of the first load."""
        progress = status.get("first_load")
        phase = str(progress.get("phase", "")) if isinstance(progress, Mapping) else ""
        done = int(number(progress, ("done",)) or 0)
        # Phases count different things, so each has a pace of its own.
        if phase != self._phase:
            self._phase, self._began = phase, (now_s, done)
        self._now = (now_s, done, int(number(progress, ("expected",)) or 0))

    def as_dict(self) -> dict[str, Any]:
        """``left_s`` is None while the pace is not known."""
        began_s, before = self._began
        now_s, done, expected = self._now
        per_s = (done - before) / (now_s - began_s) if now_s > began_s and done > before else 0.0
        left_s = round(max(0, expected - done) / per_s) if per_s and expected else None
        return {"phase": self._phase, "done": done, "expected": expected, "per_s": round(per_s, 1), "left_s": left_s}


def number(tree: object, path: tuple[str, ...]) -> float | None:
    """The number at a path of tables; None where there is none."""
    for key in path:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return float(tree) if isinstance(tree, int | float) else None


def _quantile(ordered: list[float], part: float) -> float | None:
    """The value that ``part`` of the values do not exceed; None of nothing."""
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * part))], 4) if ordered else None
