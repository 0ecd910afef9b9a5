"""Selects the outbox entries to send now: in order, in batches of one type, and no entry before the objects it refers
to.

Each call marks the entries that have to wait, so a backlog of them is never read again. Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson

from cdc.messages import (
    contact_emails,
    journeys,
    ledger,
    outbox,
    relinks,
    render_queue,
    sent_without_reference,
    unconfirmed,
)
from cdc.messages.dependencies import OptionalReferences, Waits
from cdc.messages.digests import same_values
from cdc.messages.outbox import READY, SUSPECT, Entry
from cdc.messages.refs import HELD_DELETE, Link, key_of, parse_key, parse_links, parse_refs
from cdc.messages.sent_versions import SENT_SIDE, SentSide, as_sent_side
from cdc.messages.writes import Writes
from cdc.model import KINDS, OBJECT_TYPE, Action, ObjectRef, ObjectType, Urgency
from cdc.state.store import Store

PAGE: Final = 400
"""The most entries read at once."""

SPARE: Final = 20
"""Entries read beyond a batch, so that a few waiting entries among them need no second read."""

DELAYS_ENDED: Final = 1000
"""The most delays that end in one call, for the same reason as MAX_BLOCKED."""

MAX_BLOCKED: Final = 250
"""The most entries that one call marks as waiting: some ten ms of the state
thread. The next call goes on behind them.
"""

_COLUMNS: Final = (
    "o.seq, o.kind, o.id, o.urgency, o.action, o.changed_at, o.hash, o.properties, o.refs, o.commit_ms, o.rendered_ms,"
    " o.attempts, o.position, o.read_ms, o.email, o.writes, o.is_backfill, o.address, o.is_released,"
    " o.is_counted"
)
_ACTIONS: Final = {action.value: action for action in Action}
_URGENCIES: Final = {urgency.value: urgency for urgency in Urgency}
_WRITES: Final = {writes.value: writes for writes in Writes}
_ONLY_LINKS: Final = frozenset({Writes.LINKS, Writes.LINK_CHANGES})
_NO_RECORDS: Final[Mapping[ObjectRef, str]] = MappingProxyType({})
_NO_LINKED_RECORDS: Final[frozenset[tuple[ObjectType, str]]] = frozenset()
_DELETE: Final = Action.DELETE.value
CONTACT: Final = ObjectType.CONTACT
_ENTRY_WIDTH: Final = _COLUMNS.count(",") + 1
_REFS: Final = 8
_LINKS: Final = _ENTRY_WIDTH + 2


@dataclass(slots=True)
class Ready:
    """The entries that one call found, oldest first, all of one object type.

    ``is_full``: no more entries fit, so there is no need to wait for more. ``has_more``: the call was cut short; call
    again. ``promoted``: entries of other ranks became live. ``looked_for_referrers``: referrers of DELETEs were looked
    up.
    """

    entries: list[Entry] = field(default_factory=list)
    is_full: bool = False
    has_more: bool = False
    promoted: bool = False
    looked_for_referrers: bool = False


class Limits(NamedTuple):
    """How much a batch holds, and what the sink and the present state allow.

    ``skip``: objects in flight or in back-off. ``in_flight``: the outbox numbers (``seq``) of those in flight, which
    are not even read. ``referred``: objects that messages in flight refer to, or that their
    objects were linked to; these must not be deleted meanwhile. ``moving``: contacts in flight that may leave their
    records and take links along. ``deletes``: whether DELETEs are looked at now. ``holds_deletes``: whether the circuit
    breaker holds DELETEs; called once, at the first DELETE. ``optional``: the references without which the sink takes a
    message.
    """

    messages: int
    size: int
    skip: Container[ObjectRef] = frozenset()
    referred: Container[ObjectRef] = frozenset()
    moving: Container[ObjectRef] = frozenset()
    deletes: bool = True
    holds_deletes: Callable[[], bool] = lambda: False
    optional: OptionalReferences = MappingProxyType({})
    in_flight: Sequence[int] = ()


def ready(store: Store, rank: int, now_ms: int, urgency: Urgency, limits: Limits) -> Ready:
    """The entries of one rank and class to send now, in order of ``seq``. Marks the entries that have to wait.

    The first entry that can be sent decides the object type. An entry that failed too often (``SUSPECT``) is sent
    alone.
    """
    has_more_delayed = outbox.end_delays(store, rank, now_ms, DELAYS_ENDED)
    look = _Look(store, limits, urgency)
    last, page = -1, min(PAGE, limits.messages + SPARE)
    in_flight = orjson.dumps(limits.in_flight).decode()
    while not look.found.is_full and not look.found.has_more:
        rows = store.db.execute(
            # joined: a look-up for each entry in a statement of its own takes ten times as long
            f"SELECT {_COLUMNS}, {SENT_SIDE} FROM outbox o LEFT JOIN ledger l ON l.kind = o.kind AND l.id = o.id"
            f" WHERE o.rank = ? AND o.urgency = ? AND {READY} AND o.seq > ?"
            " AND o.seq NOT IN (SELECT value FROM json_each(?)) ORDER BY o.seq LIMIT ?",
            (rank, int(urgency), last, in_flight, page),
        ).fetchall()
        look.take_page(rows)
        look.settle_page()
        if len(rows) < page:
            break
        last = rows[-1][0]
    look.found.promoted = look.waits.promoted
    look.found.has_more |= has_more_delayed
    return look.found


class _Look:
    """One walk along the ready entries."""

    def __init__(self, store: Store, limits: Limits, urgency: Urgency) -> None:
        self._store = store
        self._limits = limits
        self._is_live = urgency is Urgency.LIVE
        self.waits = Waits(store, limits.optional)
        self.found = Ready()
        self._type: ObjectType | None = None
        self._bytes = 0
        self._blocked = 0
        self._page_blocked: list[tuple[int, str]] = []
        self._page_deletes = 0
        self._holds: bool | None = None
        self._other_types = 0
        self._has_unconfirmed = unconfirmed.is_any(store)
        self._has_relinks = relinks.is_any(store)

    def take_page(self, rows: Sequence[Sequence[Any]]) -> None:
        """Put entries into the batch until it is full. Objects that they name are looked up together."""
        wanted = [parse_refs(row[_REFS]) for row in rows]
        links = [parse_links(row[_LINKS]) if row[_LINKS] else () for row in rows]
        self.waits.look_up([*chain.from_iterable(wanted), *[link.ref for some in links for link in some]])
        for parsed in zip(rows, wanted, links, strict=True):
            self._take(*parsed)
            if self.found.is_full:
                return

    def _take(self, row: Sequence[Any], wanted: tuple[ObjectRef, ...], links: tuple[Link, ...]) -> None:
        """Put an entry into the batch, or note why it cannot be sent. ``links``: of the last accepted version."""
        ref = ObjectRef(KINDS[row[1]], row[2])
        # On the wire, or backing off: its next version waits for this one.
        if ref in self._limits.skip:
            return
        object_type = OBJECT_TYPE[ref.kind]
        # Messages of two types never share a request.
        if self._type is not None and object_type is not self._type:
            self._other_types += 1
            if self._other_types >= PAGE:
                self.found.is_full = True  # a batch holds one type, and its next message stands far behind
            return
        attempts = row[11]
        # It failed alone again and again, and must not take others down with it.
        entries = self.found.entries
        if attempts >= SUSPECT and entries:
            self.found.is_full = True
            return
        entry = self._entry_of(row, ref, wanted, links)
        if entry is None:
            return
        size = entry.size
        # The next batch begins with it.
        if entries and self._bytes + size > self._limits.size:
            self.found.is_full = True
            return
        self._type = object_type
        self._bytes += size
        entries.append(entry)
        if len(entries) >= self._limits.messages or attempts >= SUSPECT:
            self.found.is_full = True

    def _entry_of(
        self, row: Sequence[Any], ref: ObjectRef, wanted: tuple[ObjectRef, ...], links: tuple[Link, ...]
    ) -> Entry | None:
        (
            seq, _, _, urgency, action, changed_at, digest, properties, refs, commit_ms, rendered_ms, attempts,
            position, read_ms, email, asked, is_backfill, address, is_released,
            is_counted,
        ) = row[:_ENTRY_WIDTH]  # fmt: skip
        missing: tuple[ObjectRef, ...] = ()
        if action == _DELETE:
            # An object that a message on the wire refers to must not be deleted under it.
            if not self._limits.deletes or ref in self._limits.referred:
                return None
            # Asked once per look, and only if there are deletions. Those of carts never count (circuit_breaker.py).
            if self._holds is None and is_counted:
                self._holds = self._limits.holds_deletes()
            # Too many deletions in the last hour: people have to release them, all or by name.
            if self._holds and not is_released and is_counted:
                self._wait(seq, HELD_DELETE)
                return None
            self._page_deletes += 1
            wanted = ()
        elif wanted:
            checked = self.waits.check(ref.kind, wanted)
            # Sent now, its link would lead nowhere.
            if checked.blocker is not None:
                self._wait(seq, key_of(checked.blocker))
                # What a live message waits for is live too, or it would wait behind the backfill.
                if self._is_live:
                    self.waits.promote(checked.blocker)
                return None
            wanted, missing = checked.refs, checked.missing
        sent = as_sent_side(row[_ENTRY_WIDTH:])
        if missing and sent.tried_at >= changed_at:
            # the same changed_at must mean the same message, and this one would lack what it had before
            render_queue.mark(self._store, ref, force=True)
            return None
        before: journeys.Predecessor | None = None
        # Only orders of carts, and contacts, have such a mark.
        if address and not sent.accepted_at and action != _DELETE:
            cart = journeys.cart_in(ref, address)
            # Sent beside its cart, it would not find the cart's record, and the purchase would have two.
            if cart is not None and (cart in self._limits.skip or journeys.is_to_be_sent(self._store, cart)):
                return None
            before = journeys.predecessor(self._store, cart) if cart is not None else None
        if before is not None:
            links = parse_links(before.links)
        linked = tuple([link.ref for link in links]) if links else ()
        may_move = bool(address and sent.record_id) and address != sent.address and OBJECT_TYPE[ref.kind] is CONTACT
        # A contact that moves takes its links along: a link made meanwhile would be made to the record that it leaves.
        moving = self._limits.moving
        if (may_move and ref in self._limits.referred) or (moving and any(one in moving for one in (*wanted, *linked))):
            return None
        writes = _WRITES[asked]
        if writes is Writes.CHANGES:
            writes = _decide(digest, sent)
        return Entry(
            ref, seq, _ACTIONS[action], changed_at, digest, properties, wanted, _URGENCIES[urgency], commit_ms,
            rendered_ms, attempts, position, missing, read_ms, email, sent.record_id, sent.accepted_at > 0, linked,
            self._records(wanted, linked, before), writes in _ONLY_LINKS, bool(is_backfill),
            self._has_unconfirmed and unconfirmed.is_noted(self._store, ref), address,
            self._linked_records(links, wanted, writes) if links else _NO_LINKED_RECORDS, writes, may_move,
            before.ref if before is not None else None, "" if missing else refs, bool(is_counted),
        )  # fmt: skip

    def _records(
        self, wanted: Sequence[ObjectRef], linked: Sequence[ObjectRef], before: journeys.Predecessor | None
    ) -> Mapping[ObjectRef, str]:
        # Contacts and products, which are many, refer to nothing.
        if not wanted and not linked and before is None:
            return _NO_RECORDS
        found = {ref: record_id for ref in (*wanted, *linked) if (record_id := self.waits.record_of(ref))}
        return {**found, before.ref: before.record_id} if before is not None and before.record_id else found

    def _linked_records(
        self, links: Sequence[Link], wanted: Sequence[ObjectRef], writes: Writes
    ) -> frozenset[tuple[ObjectType, str]]:
        """The records of ``links`` whose links surely stand."""
        return frozenset((link.ref.object_type, link.record_id) for link in links if self._stands(link, wanted, writes))

    def _stands(self, link: Link, wanted: Sequence[ObjectRef], writes: Writes) -> bool:
        # The object has another record by now, or the record was not known when the link was made.
        if not link.record_id or link.record_id != self.waits.record_of(link.ref):
            return False
        if link.ref in wanted:
            return True
        # Another object has the record, so the link stands for that one too. But an object that leaves a record takes
        # links along, and one that is being sent may leave its record just now.
        if writes in (Writes.WHOLE, Writes.LINKS) or (
            self._has_relinks and relinks.is_left(self._store, link.record_id)
        ):
            return False
        row = outbox.pending(self._store, link.ref, "action")
        return row is None or row[0] == Action.DELETE.value

    def _wait(self, seq: int, key: str) -> None:
        self._page_blocked.append((seq, key))

    def settle_page(self) -> None:
        """Write down which entries wait. DELETEs are taken back whose object is still referred to or whose record is
        taken over.
        """
        # Referrers are looked for once per page: each look reads all that is pending.
        if self._page_deletes:
            deletes = {entry.ref: entry for entry in self.found.entries if entry.action is Action.DELETE}
            blockers = self.waits.delete_blockers(deletes)
            if blockers:
                self._page_blocked += [(deletes[ref].seq, key) for ref, key in blockers.items()]
                # What stands in the way of a live deletion goes with the live ones.
                for blocker in map(parse_key, blockers.values()) if self._is_live else ():
                    if blocker is not None:
                        self.waits.promote(blocker)
                self.found.entries = [entry for entry in self.found.entries if entry.ref not in blockers]
                self.found.is_full = False
                self.found.has_more = True
                # The first entry may be gone, and with it the type of the batch.
                self._type = self.found.entries[0].ref.object_type if self.found.entries else None
            self._page_deletes = 0
            self.found.looked_for_referrers = True
        if self._page_blocked:
            outbox.block(self._store, self._page_blocked)
            self._blocked += len(self._page_blocked)
            self._page_blocked = []
            # Marking takes the state thread's time; the next look goes on behind what is marked.
            if self._blocked >= MAX_BLOCKED and not self.found.is_full:
                self.found.has_more = True


def _decide(digest: bytes, sent: SentSide) -> Writes:
    """What a message with this hash has to write, if nothing was on the wire since the last acceptance."""
    is_known = sent.is_held and sent.tried_at == sent.accepted_at
    return Writes.LINK_CHANGES if is_known and same_values(digest, sent.accepted_hash) else Writes.WHOLE


def note_on_wire(store: Store, entries: Sequence[Entry], now_ms: int = 0) -> None:
    """Note, before the request leaves, which entries it sends, and which references they are sent without."""
    ledger.on_wire(store, entries, now_ms)
    outbox.decided(store, [entry for entry in entries if entry.writes is Writes.LINK_CHANGES])
    contact_emails.sent(store, [(entry.ref, entry.changed_at, entry.email) for entry in entries])
    for entry in entries:
        if entry.missing:
            outbox.replace_refs(store, entry)
            sent_without_reference.note(store, entry.ref, entry.missing)
