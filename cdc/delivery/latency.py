"""How long messages take, stage by stage, from the source's commit to the sink's acceptance.

Only live upserts count: history and deletions wait on purpose. ``/status`` has exact percentiles of the last messages
of each object type; ``/metrics`` has histograms of all messages (``Observer.accepted``). Clocks of two machines are
compared, and either clock may be set meanwhile, so a negative time counts as 0.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

from cdc.messages.outbox import Entry
from cdc.model import Action, Latency, ObjectType, Urgency

KEPT: Final = 500
"""The percentiles cover this many messages of each object type."""


def latency_of(entry: Entry, sent_ms: int, accepted_ms: int) -> Latency | None:
    """The stages of an accepted message; None for history and deletions. Times are epoch milliseconds."""
    if entry.urgency is not Urgency.LIVE or entry.action is Action.DELETE:
        return None
    read_ms = entry.read_ms
    return Latency(
        read=_seconds(entry.commit_ms, read_ms) if read_ms else None,
        rendered=_seconds(read_ms, entry.rendered_ms) if read_ms else None,
        sent=_seconds(entry.rendered_ms, sent_ms),
        accepted=_seconds(sent_ms, accepted_ms),
        total=_seconds(entry.commit_ms, accepted_ms),
    )


def _seconds(from_ms: int, to_ms: int) -> float:
    return max(0, to_ms - from_ms) / 1000


class Latencies:
    """The last live messages of each object type."""

    def __init__(self) -> None:
        self._held: dict[ObjectType, deque[Latency]] = {kind: deque(maxlen=KEPT) for kind in ObjectType}

    def add(self, object_type: ObjectType, latency: Latency) -> None:
        """Add one accepted message."""
        self._held[object_type].append(latency)

    def as_dict(self) -> dict[str, dict[str, dict[str, float]]]:
        """Object type → stage → ``p50`` and ``p99`` in seconds, for ``/status``;
        stages without messages are left out.
        """
        shown = {}
        for object_type, held in self._held.items():
            stages = {}
            for stage in Latency._fields:
                values = sorted(value for one in held if (value := getattr(one, stage)) is not None)
                if values:
                    stages[stage] = {"p50": percentile(values, 50), "p99": percentile(values, 99)}
            if stages:
                shown[object_type.value] = stages
        return shown


def percentile(ordered: Sequence[float], per_cent: int) -> float:
    """The smallest of the values (ascending, at least one) that is not exceeded by this percentage of them."""
    return ordered[max(0, math.ceil(len(ordered) * per_cent / 100) - 1)]
