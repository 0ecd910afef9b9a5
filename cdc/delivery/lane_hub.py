"""Wakes the lanes: each part of delivery that changes what a lane may send calls the hub."""

from __future__ import annotations

from typing import Protocol


class Listener(Protocol):
    """A lane, as the hub sees it."""

    is_denied: bool
    is_live_busy: bool

    def wake(self) -> None: ...

    def warm_up(self) -> None: ...


class LaneHub:
    """The lanes of one delivery. Use in the event loop."""

    def __init__(self) -> None:
        self._lanes: list[Listener] = []

    def join(self, lane: Listener) -> None:
        """Wake this lane too from now on."""
        self._lanes.append(lane)

    def wake(self) -> None:
        """The outbox, the circuit breaker or the sink's state has changed: every lane looks again."""
        for lane in self._lanes:
            lane.wake()

    def wake_denied(self) -> None:
        """A message in flight is settled: the lanes that waited for it look again."""
        for lane in self._lanes:
            if lane.is_denied:
                lane.is_denied = False
                lane.wake()

    def warm_up(self) -> None:
        """The sink accepts messages again: messages in back-off are tried at once."""
        for lane in self._lanes:
            lane.warm_up()

    @property
    def is_live_busy(self) -> bool:
        """Whether some lane has live messages on the wire or waiting for quota."""
        return any(lane.is_live_busy for lane in self._lanes)
