"""The objects that the parts of delivery share: the sink, the state, permits,
the sink's health, the messages in flight.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Set
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
from cdc.model import OBJECT_TYPE, RANK, ObjectRef
from cdc.protocols import Clock, Sink
from cdc.settings.config import Settings
from cdc.state.store import Store

T = TypeVar("T")


class State(Protocol):
    """Access to the state file."""

    async def call(self, work: Callable[[Store], T]) -> T:
        """Run ``work`` in a transaction of the state thread; returns when that is on disk."""
        ...


def _referred_by(entry: Entry) -> Collection[ObjectRef]:
    # Most objects refer to nothing, and most others have the links that they had before, or had none.
    if not entry.linked or entry.linked == entry.refs:
        return entry.refs
    return {*entry.refs, *entry.linked}


class InFlight:
    """The messages on the wire.

    The state thread adds messages, inside the transaction that takes them, so the next look already sees them. The
    event loop removes messages once they are settled.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[ObjectRef, Entry] = {}
        self._numbers: tuple[dict[ObjectRef, int], ...] = tuple({} for _ in set(RANK.values()))
        self._referred: Counter[ObjectRef] = Counter()
        self._moving: set[ObjectRef] = set()

    def add(self, entries: Iterable[Entry]) -> None:
        """These entries are about to be sent."""
        referred = self._referred
        with self._lock:
            for entry in entries:
                ref = entry.ref
                assert ref not in self._entries
                self._entries[ref] = entry
                self._numbers[RANK[OBJECT_TYPE[ref.kind]]][ref] = entry.seq
                for other in _referred_by(entry):
                    referred[other] = referred.get(other, 0) + 1  # Counter.update is slow for a few
                if entry.may_move:
                    self._moving.add(ref)

    def remove(self, entries: Iterable[Entry]) -> None:
        """These entries are settled, or will be tried again from the outbox."""
        referred = self._referred
        with self._lock:
            for entry in entries:
                ref = entry.ref
                del self._entries[ref]
                del self._numbers[RANK[OBJECT_TYPE[ref.kind]]][ref]
                self._moving.discard(ref)
                for other in _referred_by(entry):
                    left = referred[other] - 1
                    if left:
                        referred[other] = left
                    else:
                        del referred[other]

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
            return [*self._numbers[rank].values()]

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
