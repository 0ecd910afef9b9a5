"""The calls that delivery makes for the metrics as it sends. They come in the event loop and must return at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from cdc.model import Latency, ObjectType


class Observer(Protocol):
    """Counters and histograms of sending."""

    def expect(
        self, *, outcomes: Iterable[str] = (), reasons: Iterable[str] = (), families: Iterable[str] = ()
    ) -> None:
        """The outcomes of requests, the reasons of dead letters and the families of calls that may occur."""
        ...

    def requested(self, status: str, seconds: float) -> None:
        """A request ended after ``seconds``: ``ok`` or the fault's kind (verdict.kind_of)."""
        ...

    def batch_sent(self, messages: int) -> None:
        """A batch of so many messages was sent, whatever its outcome."""
        ...

    def accepted(self, object_type: ObjectType, latencies: Sequence[Latency | None]) -> None:
        """Messages are accepted, and the receipts are on disk. A latency for each message; None for history."""
        ...

    def retried(self, messages: int = 1) -> None:
        """So many messages will be sent again."""
        ...

    def dead_lettered(self, reason: str) -> None:
        """A message became a dead letter. ``reason`` is a short word of ours or HubSpot's error type."""
        ...


class NullObserver:
    """Counts nothing."""

    def expect(
        self, *, outcomes: Iterable[str] = (), reasons: Iterable[str] = (), families: Iterable[str] = ()
    ) -> None:
        """Nothing."""

    def requested(self, status: str, seconds: float) -> None:
        """Nothing."""

    def batch_sent(self, messages: int) -> None:
        """Nothing."""

    def accepted(self, object_type: ObjectType, latencies: Sequence[Latency | None]) -> None:
        """Nothing."""

    def retried(self, messages: int = 1) -> None:
        """Nothing."""

    def dead_lettered(self, reason: str) -> None:
        """Nothing."""
