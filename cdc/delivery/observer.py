"""What delivery tells whoever counts: called in the event loop, must return at once."""

from __future__ import annotations

from typing import Protocol

from cdc.model import Latency, ObjectType


class Observer(Protocol):
    """Counters and histograms of sending."""

    def requested(self, status: int | str) -> None:
        """A request ended: ``ok`` or the fault's kind (verdict.kind_of)."""
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

    def requested(self, status: int | str) -> None:
        """Nothing."""

    def accepted(self, object_type: ObjectType, latency: Latency | None) -> None:
        """Nothing."""

    def retried(self, messages: int = 1) -> None:
        """Nothing."""

    def dead_lettered(self, reason: str) -> None:
        """Nothing."""
