"""Counts what was sent since the start: counts and latencies for ``/status``, and the observer for ``/metrics``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from cdc.delivery.latency import Latencies
from cdc.delivery.observer import NullObserver, Observer
from cdc.model import Latency, ObjectType


class Report:
    """Counts every event of sending once, and passes it on to the observer. Use in the event loop."""

    def __init__(self, observer: Observer | None = None) -> None:
        self._observer = observer or NullObserver()
        self.latencies = Latencies()
        self.by_type: Counter[ObjectType] = Counter()
        self.by_status: Counter[str] = Counter()
        self.messages_retried = 0
        self.dead_letters = 0

    def requested(self, status: str, seconds: float) -> None:
        """A call ended after ``seconds``: ``ok`` or the fault's kind (verdict.kind_of)."""
        self.by_status[status] += 1
        self._observer.requested(status, seconds)

    def batch_sent(self, messages: int) -> None:
        """A batch of so many messages was sent, whatever its outcome."""
        self._observer.batch_sent(messages)

    def accepted(self, object_type: ObjectType, latencies: Sequence[Latency | None]) -> None:
        """Messages are accepted, and the receipts are on disk. A latency for each message; None for history."""
        self.by_type[object_type] += len(latencies)
        self.latencies.add(object_type, [latency for latency in latencies if latency is not None])
        self._observer.accepted(object_type, latencies)

    def retried(self, messages: int) -> None:
        """So many messages will be sent again."""
        self.messages_retried += messages
        self._observer.retried(messages)

    def dead_lettered(self, reason: str) -> None:
        """A message became a dead letter."""
        self.dead_letters += 1
        self._observer.dead_lettered(reason)

    def as_dict(self) -> dict[str, Any]:
        """For ``/status``."""
        return {
            "latency": self.latencies.as_dict(),
            "accepted": {kind.value: count for kind, count in self.by_type.items()},
            "requests": dict(self.by_status),
            "retried": self.messages_retried,
            "dead_lettered": self.dead_letters,
        }
