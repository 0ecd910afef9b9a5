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
    commit_ms, read_ms, rendered_ms = entry.commit_ms, entry.read_ms, entry.rendered_ms
    # Spelt out, as this runs for each message: a negative time counts as 0.
    return Latency(
        (read_ms - commit_ms) / 1000 if read_ms > commit_ms else 0.0 if read_ms else None,
        (rendered_ms - read_ms) / 1000 if rendered_ms > read_ms > 0 else 0.0 if read_ms else None,
        (sent_ms - rendered_ms) / 1000 if sent_ms > rendered_ms else 0.0,
        (accepted_ms - sent_ms) / 1000 if accepted_ms > sent_ms else 0.0,
        (accepted_ms - commit_ms) / 1000 if accepted_ms > commit_ms else 0.0,
    )


class Latencies:
    """The last live messages of each object type."""

    def __init__(self) -> None:
        self._held: dict[ObjectType, deque[Latency]] = {kind: deque(maxlen=KEPT) for kind in ObjectType}

    def add(self, object_type: ObjectType, latencies: Sequence[Latency]) -> None:
        """Add accepted messages."""
        self._held[object_type].extend(latencies)

    def as_dict(self) -> dict[str, dict[str, dict[str, float]]]:
        """Object type → stage → ``p50`` and ``p99`` in seconds, for ``/status``;
        stages without messages are left out.
        """
        shown = {}
        for object_type, held in self._held.items():
            stages = {}
            for stage, column in zip(Latency._fields, zip(*held, strict=True), strict=False):  # no columns: no messages
                values = sorted([value for value in column if value is not None])
                if values:
                    stages[stage] = {"p50": percentile(values, 50), "p99": percentile(values, 99)}
            if stages:
                shown[object_type.value] = stages
        return shown


def percentile(ordered: Sequence[float], per_cent: int) -> float:
    """The smallest of the values (ascending, at least one) that is not exceeded by this percentage of them."""
    return ordered[max(0, math.ceil(len(ordered) * per_cent / 100) - 1)]
