"""The objects that the parts of delivery share: the sink, the state, permits,
the sink's health, the messages in flight.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Set
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
from cdc.model import RANK, ObjectRef
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
    """The messages on the wire.

    The state thread adds messages, inside the transaction that takes them, so the next look already sees them. The
    event loop removes messages once they are settled.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[ObjectRef, Entry] = {}
        self._referred: Counter[ObjectRef] = Counter()
        self._moving: set[ObjectRef] = set()

    def add(self, entries: Iterable[Entry]) -> None:
        """These entries are about to be sent."""
        with self._lock:
            for entry in entries:
                assert entry.ref not in self._entries
                self._entries[entry.ref] = entry
                # Most objects refer to nothing.
                if entry.refs or entry.linked:
                    self._referred.update({*entry.refs, *entry.linked})
                if entry.may_move:
                    self._moving.add(entry.ref)

    def remove(self, entries: Iterable[Entry]) -> None:
        """These entries are settled, or will be tried again from the outbox."""
        with self._lock:
            for entry in entries:
                del self._entries[entry.ref]
                self._moving.discard(entry.ref)
                for ref in {*entry.refs, *entry.linked} if entry.refs or entry.linked else ():
                    self._referred[ref] -= 1
                    if not self._referred[ref]:
                        del self._referred[ref]

    def entries(self) -> list[Entry]:
        """All of them."""
        with self._lock:
            return [*self._entries.values()]

    def numbers(self, rank: int) -> list[int]:
        """The numbers in the outbox (``seq``) of those of this rank.

        SQLite may use the number of a message that was just settled again. If that were a message of another rank, its
        lane would pass it over, and nothing would wake the lane once the settled message is no longer here.
        """
        with self._lock:
            return [entry.seq for entry in self._entries.values() if RANK[entry.ref.object_type] == rank]

    @property
    def refs(self) -> Set[ObjectRef]:
        """The objects on the wire: a view that follows what is added and removed."""
        return self._entries.keys()

    def __contains__(self, ref: object) -> bool:
        return ref in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def referred(self) -> Counter[ObjectRef]:
        """The objects that messages on the wire refer to, or that their objects were linked to."""
        return self._referred

    @property
    def moving(self) -> Set[ObjectRef]:
        """The contacts on the wire that may leave their records for others."""
        return self._moving


@dataclass(slots=True)
class Context:
    """The shared objects of one delivery. Only ``settings`` may be replaced while delivery runs (SIGHUP).

    ``hub`` wakes the lanes, ``permits`` grants calls, ``report`` counts.
    """

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
        """The most messages in one send; few while delivery finds out whether the account accepts messages again."""
        account = self.health.account
        most = ENOUGH if account.reason and account.is_at_once else self.settings.sink.max_batch
        return min(self.sink.traits.max_batch, self.settings.sink.max_batch, most)
