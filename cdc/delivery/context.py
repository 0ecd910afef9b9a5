"""What the parts of delivery share: the sink, the state, permits, the sink's health, and what is in flight."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol, TypeVar

from cdc.delivery.blame import ENOUGH
from cdc.delivery.circuit_breaker import CircuitBreaker
from cdc.delivery.health import Health
from cdc.delivery.lane_hub import LaneHub
from cdc.delivery.permits import Permits
from cdc.delivery.report import Report
from cdc.messages.outbox import Entry
from cdc.model import ObjectRef
from cdc.protocols import Clock, Sink
from cdc.settings.config import Settings
from cdc.state.store import Store

T = TypeVar("T")


class State(Protocol):
    """Access to the state file."""

    async def call(self, work: Callable[[Store], T]) -> T:
        """Run ``work`` in a transaction of the state thread; returns when that is on disk."""
        ...


class InFlight:
    """The messages on the wire. Added to in the state thread, inside the transaction that takes them, so that the
    next look already sees them; taken from in the event loop, once they are settled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[ObjectRef, Entry] = {}
        self._referred: Counter[ObjectRef] = Counter()

    def add(self, entries: Iterable[Entry]) -> None:
        """These are about to be sent."""
        with self._lock:
            for entry in entries:
                assert entry.ref not in self._entries
                self._entries[entry.ref] = entry
                self._referred.update(entry.refs)

    def remove(self, entries: Iterable[Entry]) -> None:
        """These are settled, or will be tried again from the outbox."""
        with self._lock:
            for entry in entries:
                del self._entries[entry.ref]
                for ref in entry.refs:
                    self._referred[ref] -= 1
                    if not self._referred[ref]:
                        del self._referred[ref]

    def __contains__(self, ref: object) -> bool:
        return ref in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def referred(self) -> Counter[ObjectRef]:
        """The objects that messages on the wire refer to."""
        return self._referred


@dataclass(slots=True)
class Context:
    """One delivery's shared parts; ``settings`` alone may be replaced while it runs (SIGHUP).

    ``hub`` wakes the lanes, ``permits`` hands out calls, ``report`` counts."""

    sink: Sink
    state: State
    settings: Settings
    clock: Clock
    random: Random
    health: Health
    hub: LaneHub
    permits: Permits
    report: Report
    circuit_breaker: CircuitBreaker
    in_flight_set: InFlight = field(default_factory=InFlight)

    @property
    def namespace(self) -> str:
        """The prefix of external ids."""
        return self.settings.mapping.namespace

    @property
    def max_batch(self) -> int:
        """Messages a send at most; few while it is tried whether the account takes messages again."""
        account = self.health.account
        most = ENOUGH if account.reason and account.is_at_once else self.settings.sink.max_batch
        return min(self.sink.traits.max_batch, self.settings.sink.max_batch, most)
