"""The outbox's reading side: what may be sent now, what waits and why.

An entry is one object's newest unsent message; ``seq`` is its place, which a newer version keeps. The rendering side
writes entries (render.py), delivery takes them (``ready``, ``mark_tried``) and settles them (settle.py). Use inside a
store transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from cdc.messages import contact_emails, ledger, render_queue, unconfirmed
from cdc.messages.dependencies import (
    HELD_DELETE,
    OptionalReferences,
    Waits,
    block,
    dump_refs,
    key_of,
    parse_key,
    parse_refs,
)
from cdc.model import OBJECT_TYPE, RANK, Action, Kind, ObjectRef, ObjectType, Urgency
from cdc.state.store import Store

SUSPECT: Final = 3
"""Attempts from which an entry is sent alone: it failed again and again while others were taken."""

PAGE: Final = 400
"""Entries read at once: two full batches, so that a few waiting ones among them cost no second read."""

MAX_BLOCKED: Final = 250
"""Entries marked as waiting in one look: some ten ms of the state thread; the next look goes on behind them."""

LONGEST_REST_MS: Final = 900_000
"""No entry is parked for longer: one that seems to be was parked before the clock was set back, and is due."""

OVERHEAD: Final = 160
"""Bytes a message takes beside its properties: ids, action, time, punctuation."""

_COLUMNS = (
    "seq, kind, id, urgency, action, changed_at, hash, properties, refs, commit_ms, rendered_ms, attempts, position,"
    " read_ms, email, only_links, is_backfill"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One message as it waits. ``refs``: whom it is sent with; ``bare``: whom it has to go without.

    ``properties`` is the JSON object as text. Times are epoch milliseconds; ``attempts`` counts those that failed
    through the message's own fault, as far as one can tell. ``email``: mark of the address in it (contact_emails.py).

    ``record_id``, ``was_accepted``, ``only_links``, ``is_backfill``, ``may_repeat``: as in ``Message``. ``linked``: the
    objects that the last accepted version referred to. ``record_ids``: the records of ``refs`` and ``linked``, where
    they are known.
    """

    ref: ObjectRef
    seq: int
    action: Action
    changed_at: int
    hash: bytes
    properties: str
    refs: tuple[ObjectRef, ...]
    urgency: Urgency
    commit_ms: int
    rendered_ms: int
    attempts: int
    position: str
    bare: tuple[ObjectRef, ...] = ()
    read_ms: int = 0
    email: bytes = b""
    record_id: str = ""
    was_accepted: bool = False
    linked: tuple[ObjectRef, ...] = ()
    record_ids: Mapping[ObjectRef, str] = field(default_factory=dict)
    only_links: bool = False
    is_backfill: bool = False
    may_repeat: bool = False

    @property
    def size(self) -> int:
        """About how many bytes it adds to a request."""
        return len(self.properties) + len(self.refs) * 40 + OVERHEAD


@dataclass(slots=True)
class Ready:
    """What one look found, oldest first, all of one object type.

    ``is_full``: no more fits, so waiting for company is pointless. ``has_more``: the look was cut short; look again.
    ``promoted``: entries of other ranks became live. ``judged_deletes``: who DELETEs wait for was looked up.
    """

    entries: list[Entry] = field(default_factory=list)
    is_full: bool = False
    has_more: bool = False
    promoted: bool = False
    judged_deletes: bool = False


class Limits(NamedTuple):
    """How much a batch holds, and what the sink and the moment allow.

    ``skip``: objects in flight or cooling down. ``referred``: objects that messages in flight refer to, which must not
    be deleted meanwhile. ``deletes``: whether DELETEs are looked at now. ``holds_deletes``: asked once, at the first
    DELETE met: whether the brake holds them. ``optional``: the references that the sink takes a message without.
    """

    messages: int
    size: int
    skip: Container[ObjectRef] = frozenset()
    referred: Container[ObjectRef] = frozenset()
    deletes: bool = True
    holds_deletes: Callable[[], bool] = lambda: False
    optional: OptionalReferences = MappingProxyType({})


def ready(store: Store, rank: int, now_ms: int, urgency: Urgency, limits: Limits) -> Ready:
    """What may be sent now of one rank and class, in order of ``seq``; marks what has to wait.

    The first sendable entry decides the object type. An entry that failed alone too often (``SUSPECT``) comes alone.
    """
    look = _Look(store, limits, urgency)
    last = -1
    while not look.found.is_full and not look.found.has_more:
        rows = store.db.execute(
            f"SELECT {_COLUMNS} FROM outbox WHERE rank = ? AND urgency = ? AND blocked_by IS NULL AND seq > ?"
            " AND not_before_ms NOT BETWEEN ? AND ? ORDER BY seq LIMIT ?",
            (rank, int(urgency), last, now_ms + 1, now_ms + LONGEST_REST_MS, PAGE),
        ).fetchall()
        for row in rows:
            last = row[0]
            look.take(row)
            if look.found.is_full:
                break
        look.settle_page()
        if len(rows) < PAGE:
            break
    look.found.promoted = look.waits.promoted
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

    def take(self, row: Sequence[Any]) -> None:
        """Put an entry into the batch, or note why not."""
        ref = ObjectRef(Kind(row[1]), row[2])
        if ref in self._limits.skip:
            return
        if self._type is not None and ref.object_type is not self._type:
            self._other_types += 1
            if self._other_types >= PAGE:
                self.found.is_full = True  # a batch holds one type, and its next message stands far behind
            return
        attempts = row[11]
        if attempts >= SUSPECT and self.found.entries:
            self.found.is_full = True
            return
        entry = self._judged(row, ref)
        if entry is None:
            return
        if self.found.entries and self._bytes + entry.size > self._limits.size:
            self.found.is_full = True
            return
        self._type = ref.object_type
        self._bytes += entry.size
        self.found.entries.append(entry)
        if len(self.found.entries) >= self._limits.messages or attempts >= SUSPECT:
            self.found.is_full = True

    def _judged(self, row: Sequence[Any], ref: ObjectRef) -> Entry | None:
        (
            seq,
            _,
            _,
            urgency,
            action,
            changed_at,
            digest,
            properties,
            refs,
            commit_ms,
            rendered_ms,
            attempts,
            place,
            read_ms,
            mail,
            only_links,
            is_backfill,
        ) = row
        wanted = parse_refs(refs)
        bare: tuple[ObjectRef, ...] = ()
        if action == Action.DELETE.value:
            if not self._limits.deletes or ref in self._limits.referred:
                return None
            if self._holds is None:
                self._holds = self._limits.holds_deletes()
            if self._holds:
                self._wait(seq, HELD_DELETE)
                return None
            self._page_deletes += 1
            wanted = ()
        elif wanted:
            judged = self.waits.judge(ref.kind, wanted)
            if judged.blocker is not None:
                self._wait(seq, key_of(judged.blocker))
                if self._is_live:
                    self.waits.promote(judged.blocker)
                return None
            wanted, bare = judged.refs, judged.bare
        sent = ledger.sent_side(self._store, ref)
        if bare and sent.tried_at >= changed_at:
            # the same changed_at must mean the same message, and this one would lack what it had before
            render_queue.mark(self._store, ref, force=True)
            return None
        linked = parse_refs(sent.accepted_refs)
        return Entry(
            ref, seq, Action(action), changed_at, digest, properties, wanted, Urgency(urgency), commit_ms, rendered_ms,
            attempts, place, bare, read_ms, mail, sent.record_id, sent.accepted_at > 0, linked,
            self._records((*wanted, *linked)), bool(only_links), bool(is_backfill),
            self._has_unconfirmed and unconfirmed.is_noted(self._store, ref),
        )  # fmt: skip

    def _records(self, refs: Sequence[ObjectRef]) -> Mapping[ObjectRef, str]:
        return {ref: record_id for ref in refs if (record_id := self.waits.record_of(ref))}

    def _wait(self, seq: int, key: str) -> None:
        self._page_blocked.append((seq, key))

    def settle_page(self) -> None:
        """Write down who waits, and take back DELETEs that somebody still refers to."""
        if self._page_deletes:
            deletes = {entry.ref: entry for entry in self.found.entries if entry.action is Action.DELETE}
            blockers = self.waits.delete_blockers(deletes)
            if blockers:
                self._page_blocked += [(deletes[ref].seq, key_of(by)) for ref, by in blockers.items()]
                self.found.entries = [entry for entry in self.found.entries if entry.ref not in blockers]
                self.found.is_full = False
                self.found.has_more = True
                self._type = self.found.entries[0].ref.object_type if self.found.entries else None
            self._page_deletes = 0
            self.found.judged_deletes = True
        if self._page_blocked:
            block(self._store, self._page_blocked)
            self._blocked += len(self._page_blocked)
            self._page_blocked = []
            if self._blocked >= MAX_BLOCKED and not self.found.is_full:
                self.found.has_more = True


def next_due_ms(store: Store, rank: int, now_ms: int) -> int | None:
    """When the earliest parked entry of a rank may be tried again. Cheap only for a rank without ready entries."""
    row = store.db.execute(
        "SELECT min(not_before_ms) FROM outbox WHERE rank = ? AND blocked_by IS NULL AND not_before_ms > ?",
        (rank, now_ms),
    ).fetchone()
    due: int | None = row[0]
    return due


def has_unblocked(store: Store, rank: int, urgency: Urgency) -> bool:
    """Whether anything of this rank and class waits for nothing but its turn."""
    row = store.db.execute(
        "SELECT 1 FROM outbox WHERE rank = ? AND urgency = ? AND blocked_by IS NULL LIMIT 1", (rank, int(urgency))
    ).fetchone()
    return row is not None


def is_going(store: Store, rank: int, urgency: Urgency) -> bool:
    """Whether anything of this rank and class waits for its turn only and is not parked."""
    row = store.db.execute(
        "SELECT 1 FROM outbox WHERE rank = ? AND urgency = ? AND blocked_by IS NULL AND attempts < ? LIMIT 1",
        (rank, int(urgency), SUSPECT),
    ).fetchone()
    return row is not None


def mark_tried(store: Store, entries: Sequence[Entry], now_ms: int = 0) -> None:
    """Note, before the request leaves, what will have been on the wire and who goes without a reference.

    From here on an object whose DELETE is on the wire counts as deleted: nothing may refer to it until it comes anew.
    """
    store.db.executemany(
        "UPDATE ledger SET tried_at = max(tried_at, ?), sent_ms = ? WHERE kind = ? AND id = ?",
        [(entry.changed_at, now_ms, entry.ref.kind.value, entry.ref.id) for entry in entries],
    )
    contact_emails.told(store, [(entry.ref, entry.changed_at, entry.email) for entry in entries])
    deleted = [(entry.ref.kind.value, entry.ref.id) for entry in entries if entry.action is Action.DELETE]
    if deleted:
        store.db.executemany("UPDATE ledger SET accepted_delete = 1 WHERE kind = ? AND id = ?", deleted)
    for entry in entries:
        if entry.bare:
            # a repeated attempt must be the identical message, whoever has come meanwhile
            store.db.execute("UPDATE outbox SET refs = ? WHERE seq = ?", (dump_refs(entry.refs), entry.seq))
            store.db.executemany(
                "INSERT OR IGNORE INTO bare_link (ref_kind, ref_id, kind, id) VALUES (?, ?, ?, ?)",
                [(other.kind.value, other.id, entry.ref.kind.value, entry.ref.id) for other in entry.bare],
            )


@dataclass(frozen=True, slots=True)
class Waiting:
    """One entry that cannot be sent now, and why."""

    ref: ObjectRef
    action: Action
    cause: str
    rendered_ms: int
    attempts: int


def waiting(store: Store, limit: int = 100) -> list[Waiting]:
    """Entries that wait for another object, are held by the brake, or are parked; the oldest first."""
    rows = store.db.execute(
        "SELECT kind, id, action, blocked_by, rendered_ms, attempts FROM outbox WHERE blocked_by IS NOT NULL"
        " ORDER BY seq LIMIT ?",
        (limit,),
    ).fetchall()
    found = [
        Waiting(ObjectRef(Kind(kind), key), Action(action), cause_of(store, action, blocked_by), rendered_ms, attempts)
        for kind, key, action, blocked_by, rendered_ms, attempts in rows
    ]
    parked = store.db.execute(
        "SELECT kind, id, action, rendered_ms, attempts FROM outbox WHERE blocked_by IS NULL AND attempts > 0"
        " ORDER BY seq LIMIT ?",
        (limit - len(found),),
    )
    for kind, key, action, rendered_ms, attempts in parked:
        cause = f"parked after {attempts} failed attempts" if attempts >= SUSPECT else "to be tried again"
        found.append(Waiting(ObjectRef(Kind(kind), key), Action(action), cause, rendered_ms, attempts))
    return found


def cause_of(store: Store, action: str, blocked_by: str) -> str:
    """In words what an entry waits for."""
    ref = parse_key(blocked_by)
    if ref is None:
        return "held by the brake on deletions; `magento-cdc deletes release` lets them go"
    name = f"{ref.kind.value}-{ref.id}"
    if action == Action.DELETE.value:
        return f"{name} still refers to it and has a message pending"
    pair = (ref.kind.value, ref.id)
    for table, text in (
        ("outbox", "which is not accepted yet"),
        ("render_queue", "which is to be rendered"),
        ("orphan", "which was refused because of what it refers to"),
        ("dead_letter", "which is a dead letter"),
    ):
        if store.db.execute(f"SELECT 1 FROM {table} WHERE kind = ? AND id = ?", pair).fetchone():
            return f"waits for {name}, {text}"
    return f"waits for {name}, which was never accepted"


def counts(store: Store) -> dict[str, object]:
    """What is pending: ``pending`` (object type → ``live``/``history`` → messages), ``total``, ``blocked``, ``held``.

    ``blocked`` counts what waits for another object, ``held`` what the brake holds; both are part of ``pending``.
    ``oldest_commit_ms`` is that of the entry at the head, None without entries. Read from indexes alone.
    """
    pending = {object_type.value: {"live": 0, "history": 0} for object_type in RANK}
    rows = store.db.execute("SELECT kind, urgency, count(*) FROM outbox GROUP BY kind, urgency")
    for kind, urgency, count in rows:
        pending[OBJECT_TYPE[Kind(kind)].value]["history" if urgency else "live"] += count
    held = held_deletes(store)
    blocked = store.db.execute("SELECT count(*) FROM outbox WHERE blocked_by IS NOT NULL").fetchone()[0]
    head = store.db.execute("SELECT commit_ms FROM outbox ORDER BY seq LIMIT 1").fetchone()
    return {
        "pending": pending,
        "total": sum(sum(classes.values()) for classes in pending.values()),
        "blocked": blocked - held,
        "held": held,
        "oldest_commit_ms": head[0] if head else None,
    }


def held_deletes(store: Store) -> int:
    """How many DELETEs the brake holds."""
    count: int = store.db.execute("SELECT count(*) FROM outbox WHERE blocked_by = ?", (HELD_DELETE,)).fetchone()[0]
    return count
