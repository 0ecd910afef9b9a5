"""What delivery calls as it sends, for the metrics. Calls come in the event loop and must return at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from cdc.model import Latency, ObjectType


class Observer(Protocol):
    """Counters and histograms of sending."""

    def expect(
        self, *, outcomes: Iterable[str] = (), reasons: Iterable[str] = (), families: Iterable[str] = ()
    ) -> None:
        """What requests may end with, why messages may become dead letters, and which calls share a quota."""
        ...

    def requested(self, status: str, seconds: float) -> None:
        """A request ended after ``seconds``: ``ok`` or the fault's kind (verdict.kind_of)."""
        ...

    def batch_sent(self, messages: int) -> None:
        """A batch of so many messages was sent, whatever came of it."""
        ...

    def accepted(self, object_type: ObjectType, latency: Latency | None) -> None:
        """A message is accepted, and that is on disk; ``latency`` is None for history."""
        ...

    def retried(self, messages: int = 1) -> None:
        """So many messages will be sent again."""
        ...

    def dead_lettered(self, reason: str) -> None:
        """A message was set aside for good; ``reason`` is a short word of ours or HubSpot's error type."""
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

    def accepted(self, object_type: ObjectType, latency: Latency | None) -> None:
        """Nothing."""

    def retried(self, messages: int = 1) -> None:
        """Nothing."""

    def dead_lettered(self, reason: str) -> None:
        """Nothing."""
