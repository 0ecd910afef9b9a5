"""What the parts of delivery share: the sink, the state, the quota, the sink's health, and what is under way."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol, TypeVar

from cdc.delivery.circuit_breaker import CircuitBreaker
from cdc.delivery.health import Health
from cdc.delivery.latency import Latencies
from cdc.delivery.leader_gate import Alone, LeaderGate
from cdc.delivery.observer import Observer
from cdc.delivery.quota import Window
from cdc.messages.outbox import Entry
from cdc.model import ObjectRef, ObjectType
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
class Tally:
    """What was sent since the start."""

    accepted: Counter[ObjectType] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    retried: int = 0
    dead_letters: int = 0


@dataclass(slots=True)
class Context:
    """One delivery's shared parts.

    ``wake_all`` makes every lane look into the outbox; ``wake_denied`` those that wait for another lane's request to
    end; ``warm_up`` those that let messages rest. ``is_live_busy``: some lane has live messages on the wire.
    """

    sink: Sink
    state: State
    settings: Settings
    clock: Clock
    namespace: str
    observer: Observer
    health: Health
    window: Window
    circuit_breaker: CircuitBreaker
    random: Random
    lines_need_product: bool = False
    leader_gate: LeaderGate = field(default_factory=Alone)
    in_flight_set: InFlight = field(default_factory=InFlight)
    tally: Tally = field(default_factory=Tally)
    latencies: Latencies = field(default_factory=Latencies)
    wake_all: Callable[[], None] = lambda: None
    wake_denied: Callable[[], None] = lambda: None
    warm_up: Callable[[], None] = lambda: None
    is_live_busy: Callable[[], bool] = lambda: False

    @property
    def max_batch(self) -> int:
        """Messages a request at most."""
        return min(self.sink.max_batch, self.settings.sink.max_batch)
