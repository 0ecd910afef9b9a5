"""Members of one account without Kafka or HubSpot: their states, the receipts between them, and what HubSpot holds.

One thing happens at a time, and a test says which: a member applies, the leader sends, a receipt is read, another takes
over. What a request does (lands, lands late, is never answered) is said with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from cdc.engine.engine import Engine
from cdc.members import handover
from cdc.members.object_states import pack_state, unpack_state
from cdc.messages import selection, unconfirmed
from cdc.messages.outbox import Entry
from cdc.messages.receipts import Settlement, settle
from cdc.messages.selection import Limits
from cdc.model import RANK, Action, Change, Kind, ObjectRef, Outcome, Transaction, Urgency
from sinks.jsonl import OPTIONAL_REFERENCES
from tests.kit.toy import FixedClock, ToyMapper, toy_engine, transaction

Fate = Literal["accepted", "landed", "late", "lost"]
"""Of a request: answered; arrived, or to arrive later, or never, and not answered."""

NO_RECORDS: Final[Mapping[ObjectRef, str]] = MappingProxyType({})

RESEND_MS = 120_000
_LIMITS = Limits(messages=1000, size=1 << 20, optional=OPTIONAL_REFERENCES)

RANKS: Final = sorted(set(RANK.values()))


@dataclass
class Receipt:
    """A record of the receipts topic: who leads from here on, or an object's state as bytes."""

    leader: int
    ref: ObjectRef | None = None
    value: bytes = b""


@dataclass
class Account:
    """``members`` of one account, the first of which leads; ``log`` is the topic they read."""

    folder: Path
    count: int = 2
    server: str = "cluster"
    clock: FixedClock = field(default_factory=FixedClock)

    def __post_init__(self) -> None:
        self.log: list[Transaction] = []
        self.receipts: list[Receipt] = []
        self.hubspot: dict[ObjectRef, tuple[Action, str]] = {}
        self.late: list[Entry] = []
        self.members: list[Engine] = []
        self._read = [0] * self.count
        self.leader = 0
        for number in range(self.count):
            (self.folder / str(number)).mkdir()
            self.members.append(toy_engine(self.folder / str(number), clock=self.clock))
            self.restart(number)
        self._lead(0, None)

    def close(self) -> None:
        """Close the states."""
        for engine in self.members:
            engine.close()

    # ------------------------------------------------------------------------------------------------ what happens

    def commit(self, *changes: Change) -> None:
        """The shop changes; the topic holds it."""
        made = transaction(100 * (len(self.log) + 1), *changes)
        self.log.append(replace(made, end=replace(made.end, server=self.server)))

    def apply(self, member: int, limit: int = 1_000_000) -> None:
        """A member applies the next transactions as one group."""
        engine = self.members[member]
        at = engine.positions.position
        assert at is not None
        group = [one for one in self.log if one.end.offset > at.offset][:limit]
        if group:
            with engine.store.transaction():
                engine.apply_group(group)

    def work(self, member: int) -> None:
        """A member renders what waits."""
        is_more = True
        while is_more:
            with self.members[member].store.transaction():
                is_more = self.members[member].work()

    def send(self, fate: Fate = "accepted", records: Mapping[ObjectRef, str] = NO_RECORDS) -> int:
        """The leader sends what it may; how many messages that is. ``records``: the record ids that HubSpot answers."""
        store = self.members[self.leader].store
        sent = 0
        for rank in RANKS:
            for urgency in Urgency:
                with store.transaction():
                    entries = selection.ready(store, rank, self.clock.now_ms(), urgency, _LIMITS).entries
                    selection.note_on_wire(store, entries, self.clock.now_ms())
                self._on_the_wire(entries, fate)
                with store.transaction():
                    if fate == "accepted":
                        settlements = [
                            Settlement(entry, Outcome.ACCEPTED, record_id=records.get(entry.ref, ""))
                            for entry in entries
                        ]
                        settle(store, settlements, self.clock.now_ms(), unknown_resend_ms=RESEND_MS)
                    else:
                        unconfirmed.note_unanswered(store, entries)
                sent += len(entries)
        return sent

    def _on_the_wire(self, entries: Sequence[Entry], fate: Fate) -> None:
        if fate in ("accepted", "landed"):
            for entry in entries:
                self.hubspot[entry.ref] = entry.action, entry.properties
        elif fate == "late":
            self.late += entries

    def land(self) -> None:
        """What is late arrives."""
        late, self.late = self.late, []
        self._on_the_wire(late, "landed")

    def pass_time(self, milliseconds: int) -> None:
        """Time goes on, and the leader keeps house."""
        if milliseconds >= RESEND_MS:
            self.land()
        self.clock.ms += milliseconds
        store = self.members[self.leader].store
        with store.transaction():
            unconfirmed.send_again(store, self.clock.now_ms())

    def publish(self) -> None:
        """The leader tells what became of objects."""
        engine = self.members[self.leader]
        with engine.store.transaction():
            states = handover.to_publish(engine, 1000)
        self.receipts += [Receipt(self.leader, state.ref, pack_state(state)) for state in states]
        with engine.store.transaction():
            handover.published(engine.store, states, len(self.receipts))

    def read(self, member: int, limit: int = 1_000_000) -> None:
        """A member that does not lead reads the next receipts."""
        if member == self.leader:
            return
        engine = self.members[member]
        first = engine.store.meta.receipts_offset or 0
        found = self.receipts[first : first + limit]
        if not found:
            return
        states = [unpack_state(one.ref, one.value) for one in found if one.ref is not None]
        is_other = found[-1].leader != member
        with engine.store.transaction():
            handover.take(engine, states, first + len(found), forget_own=is_other)

    def restart(self, member: int) -> None:
        """A process ends at any moment and comes back as a follower."""
        engine = self.members[member]
        with engine.store.transaction():
            handover.follow(engine)
        with engine.store.transaction():
            unconfirmed.note_interrupted(engine.store)

    def take_over(self, member: int, *, after_kill: bool) -> None:
        """A member leads from now on; the one before was killed, or told all it knew and steps down."""
        before = self.leader
        if not after_kill:
            self.publish()
        self.leader = -1
        self.restart(before)
        self.read(member)
        self.apply(member)
        self.land()  # it waits for requests of the last leader
        last = next((one.leader for one in reversed(self.receipts)), member)
        self._lead(member, self.clock.now_ms() if last != member else None)

    def _lead(self, member: int, now_ms: int | None) -> None:
        engine = self.members[member]
        self.receipts.append(Receipt(member))
        with engine.store.transaction():
            handover.lead(engine, now_ms)
        self.leader = member

    # --------------------------------------------------------------------------------------------------- what holds

    def settle(self) -> None:
        """Let everything come to an end: all is applied, sent, told and read."""
        for _ in range(12):
            for member in range(self.count):
                self.apply(member)
                self.work(member)
            while self.send():
                pass
            self.publish()
            for member in range(self.count):
                self.read(member)
            self.pass_time(RESEND_MS + 1)

    def waiting(self, member: int) -> list[tuple[object, ...]]:
        """A member's outbox and what it is to render."""
        db = self.members[member].store.db
        pending = db.execute("SELECT kind, id, action, properties, blocked_by FROM outbox ORDER BY seq").fetchall()
        return pending + db.execute("SELECT kind, id, 'queued', not_before_lsn, is_forced FROM render_queue").fetchall()

    def ledger(self, member: int) -> list[tuple[object, ...]]:
        """What a member knows of every object that HubSpot ever heard of."""
        return (
            self.members[member]
            .store.db.execute(
                "SELECT kind, id, rendered_hash, rendered_at, rendered_delete, accepted_hash, accepted_at,"
                " accepted_delete, accepted_refs FROM ledger WHERE accepted_at > 0 ORDER BY kind, id"
            )
            .fetchall()
        )

    def expected(self) -> dict[ObjectRef, dict[str, str]]:
        """What HubSpot should hold: each object as its rows say."""
        engine = self.members[0]
        refs = [ObjectRef(Kind(kind), key) for kind, key in engine.store.db.execute("SELECT kind, id FROM ledger")]
        made = {ref: ToyMapper().render(ref, engine.rows) for ref in refs}
        return {
            ref: {name: value for name, value in one.properties.items() if value}
            for ref, one in made.items()
            if one is not None
        }
