"""The outbox: each object's newest unsent message. ``seq`` orders them; a newer version keeps it.

The renderer adds entries, delivery takes them (``selection.py``) and settles them (``receipts.py``). Only this module
writes the table ``outbox``. Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson

from cdc.messages.refs import HELD_DELETE, bulk_key, dump_refs, key_of
from cdc.messages.writes import Writes
from cdc.model import KIND_NAMES, OBJECT_TYPE, RANK, Action, Kind, ObjectRef, ObjectType, Urgency
from cdc.state.objects import OBJECT, has, line, pair
from cdc.state.store import Store

SUSPECT: Final = 3
"""From this many failed attempts on, an entry is sent alone: it failed while other entries were taken."""

LONGEST_DELAY_MS: Final = 3_600_000
"""The longest delay. A delay that seems longer began before the clock was set back, so the entry is due."""

READY: Final = "blocked_by IS NULL AND not_before_ms = 0"
"""SQL: the entry is ready. The index of ready entries holds only these, so no other entry is read."""

OVERHEAD: Final = 300
"""Bytes of a message beside its properties and references: ids, action, time, mark, names, punctuation."""

PER_PROPERTY: Final = 24
"""Bytes that a property may take beside its name and value: a prefix, a longer name in HubSpot."""

PER_REFERENCE: Final = 48
"""Bytes of a reference: an external id, its quotes, its share of the names around it."""


class Entry(NamedTuple):  # made for each message: a tuple is made three times as fast as a frozen dataclass
    """One waiting message. ``refs``: the objects that it is sent with; ``missing``: references that it is sent without.

    ``properties`` is the JSON object as text. Times are epoch milliseconds; ``attempts`` counts the failures that were
    probably the message's own fault. ``email``: mark of the address in it, ``address``: mark of the address by which
    the receiver may find its record (contact_emails.py).

    ``record_id``, ``was_accepted``, ``only_links``, ``is_backfill``, ``may_repeat``: as in ``Message``. ``linked``: the
    references of the last accepted version. ``record_ids``: the known records of ``refs`` and ``linked``.
    ``linked_records``: the records that the object's record is surely linked to. ``writes``: how much is to be written.
    ``may_move``: a contact's address changed, so the contact may leave its record. ``predecessor``: as in ``Message``.
    ``refs_text``: ``refs`` as text (refs.py), "" if it is not at hand.
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
    missing: tuple[ObjectRef, ...] = ()
    read_ms: int = 0
    email: bytes = b""
    record_id: str = ""
    was_accepted: bool = False
    linked: tuple[ObjectRef, ...] = ()
    record_ids: Mapping[ObjectRef, str] = MappingProxyType({})
    only_links: bool = False
    is_backfill: bool = False
    may_repeat: bool = False
    address: bytes = b""
    linked_records: frozenset[tuple[ObjectType, str]] = frozenset()
    writes: Writes = Writes.WHOLE
    may_move: bool = False
    predecessor: ObjectRef | None = None
    refs_text: str = ""
    is_counted: bool = True

    @property
    def size(self) -> int:
        """The most bytes that the message adds to a request's body, in UTF-8."""
        text = self.properties
        names = text.count('":"')  # within a value quotes are escaped, so this stands only between
        size = len(text) if text.isascii() else len(text.encode())
        return size + names * PER_PROPERTY + len(self.refs) * PER_REFERENCE + OVERHEAD


# ---------------------------------------------------------------------------------------------------- rendering


class NewMessage(NamedTuple):
    """A message as the renderer made it. ``properties`` is JSON, ``refs`` as in refs.py; ``email``, ``address``: see
    contact_emails.py.

    ``commit_ms``, ``read_ms``, ``rendered_ms``: when its change was committed, read and rendered, epoch milliseconds
    (0: unknown). ``position``: the log position as text. ``not_before_ms``: the earliest time to send it, within
    ``LONGEST_DELAY_MS``. ``is_counted``: whether the circuit breaker counts it, if it is a DELETE.
    """

    ref: ObjectRef
    action: Action
    changed_at: int
    hash: bytes
    properties: str
    refs: str
    urgency: Urgency
    commit_ms: int
    read_ms: int
    rendered_ms: int
    position: str
    email: bytes = b""
    writes: Writes = Writes.CHANGES
    address: bytes = b""
    not_before_ms: int = 0
    is_counted: bool = True


_RANKS: Final = {kind: RANK[object_type] for kind, object_type in OBJECT_TYPE.items()}
_ACTIONS: Final = {action: action.value for action in Action}


def put(store: Store, message: NewMessage) -> None:
    """Replace the object's older message; its attempts and waits are forgotten.

    If the older message was to be sent whole, so is this one: the receiver may hold other values than the ledger says.
    """
    (
        (kind, object_id), action, changed_at, digest, properties, refs, urgency, commit_ms, read_ms, rendered_ms,
        position, email, writes, address, not_before_ms, is_counted,
    ) = message  # fmt: skip
    store.db.execute(
        "INSERT INTO outbox (kind, id, rank, urgency, action, changed_at, hash, properties, refs, commit_ms,"
        " rendered_ms, position, read_ms, email, is_backfill, writes, address, not_before_ms, is_counted)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (kind, id) DO UPDATE SET urgency = min(urgency, excluded.urgency), action = excluded.action,"
        " changed_at = excluded.changed_at, hash = excluded.hash, properties = excluded.properties,"
        " refs = excluded.refs, commit_ms = excluded.commit_ms, rendered_ms = excluded.rendered_ms,"
        " position = excluded.position, read_ms = excluded.read_ms, email = excluded.email,"
        " is_backfill = min(is_backfill, excluded.is_backfill), "
        " writes = CASE WHEN writes = 0 THEN 0 ELSE excluded.writes END, address = excluded.address,"
        " not_before_ms = excluded.not_before_ms, is_counted = excluded.is_counted, attempts = 0,"
        " blocked_by = NULL, is_released = 0",
        (
            KIND_NAMES[kind], object_id, _RANKS[kind], int(urgency), _ACTIONS[action], changed_at, digest, properties,
            refs, commit_ms, rendered_ms, position, read_ms, email, int(urgency is Urgency.HISTORY), int(writes),
            address, not_before_ms, int(is_counted),
        ),
    )  # fmt: skip


def take_back(store: Store, ref: ObjectRef) -> None:
    """Remove the object's message: nothing of the object needs to be sent any more."""
    store.db.execute(f"DELETE FROM outbox WHERE {OBJECT}", pair(ref))


def take_back_version(store: Store, ref: ObjectRef, digest: bytes | None) -> None:
    """Remove the message with this hash; a message with another hash stays."""
    store.db.execute(f"DELETE FROM outbox WHERE {OBJECT} AND hash = ?", (*pair(ref), digest))


def take_back_upsert(store: Store, ref: ObjectRef, *, only_without_email: bool = False) -> bool:
    """Remove the object's waiting UPSERT, so that it is rendered again. Returns whether there was one.

    ``only_without_email``: only if it has no address.
    """
    condition = " AND email = x''" if only_without_email else ""
    cursor = store.db.execute(f"DELETE FROM outbox WHERE {OBJECT} AND action = 'UPSERT'{condition}", pair(ref))
    return cursor.rowcount > 0


# ------------------------------------------------------------------------------------------------------ sending


def replace_refs(store: Store, entry: Entry) -> None:
    """Write the references that the entry was sent with: a repeat must have the same, even if one was settled since."""
    store.db.execute("UPDATE outbox SET refs = ? WHERE seq = ?", (dump_refs(entry.refs), entry.seq))


def decided(store: Store, entries: Iterable[Entry]) -> None:
    """Write how much the attempt writes: a repeat must write as much, and would be decided differently."""
    store.db.executemany("UPDATE outbox SET writes = ? WHERE seq = ?", [(int(one.writes), one.seq) for one in entries])


class Retry(NamedTuple):
    """An entry to be tried again at ``at_ms`` (epoch milliseconds). ``alone``: from now on not in a batch with others.

    ``only_links``: its properties were written, so only the linking is repeated.
    """

    entry: Entry
    at_ms: int
    alone: bool = False
    only_links: bool = False


_SAME: Final = "seq = ? AND kind = ? AND id = ? AND changed_at = ?"
"""Finds the version that was sent. ``seq`` alone is not enough, as SQLite may use a number again."""


def _identity(entry: Entry) -> tuple[int, str, int | str, int]:
    return entry.seq, *pair(entry.ref), entry.changed_at


def retry_later(store: Store, retries: Iterable[Retry]) -> None:
    """These entries were not taken, or only in part: they stay, unless a newer version has replaced them."""
    store.db.executemany(
        f"UPDATE outbox SET attempts = CASE WHEN ? THEN max(attempts + 1, {SUSPECT}) ELSE attempts + 1 END,"
        f" not_before_ms = ?, writes = CASE WHEN ? THEN {int(Writes.LINKS)} ELSE writes END WHERE {_SAME}",
        [(retry.alone, retry.at_ms, retry.only_links, *_identity(retry.entry)) for retry in retries],
    )


def remove(store: Store, entries: Iterable[Entry]) -> None:
    """These entries are settled. A newer version stays."""
    store.db.executemany(f"DELETE FROM outbox WHERE {_SAME}", [_identity(entry) for entry in entries])


# ------------------------------------------------------------------------------------------------------ waiting


def block(store: Store, pairs: Iterable[tuple[int, str]]) -> None:
    """Let entries wait: (seq, key of the blocker)."""
    store.db.executemany("UPDATE outbox SET blocked_by = ? WHERE seq = ?", [(key, seq) for seq, key in pairs])


def free(store: Store, refs: Iterable[ObjectRef]) -> int:
    """Set free the entries that wait for these objects. Returns how many entries that was."""
    keys = orjson.dumps([key_of(ref) for ref in refs]).decode()
    cursor = store.db.execute(
        "UPDATE outbox SET blocked_by = NULL WHERE blocked_by IN (SELECT value FROM json_each(?))", (keys,)
    )
    return cursor.rowcount


def free_bulk(store: Store, kind: Kind) -> int:
    """Set free the DELETEs that wait for bulk invalidations of this kind. Returns how many that was."""
    cursor = store.db.execute("UPDATE outbox SET blocked_by = NULL WHERE blocked_by = ?", (bulk_key(kind),))
    return cursor.rowcount


def release_deletes(store: Store, refs: Iterable[ObjectRef] | None = None) -> int:
    """Release all DELETEs that the circuit breaker holds."""
    before = store.db.total_changes
    if refs is None:
        store.db.execute("UPDATE outbox SET blocked_by = NULL WHERE blocked_by = ?", (HELD_DELETE,))
    else:
        store.db.executemany(
            f"UPDATE outbox SET blocked_by = NULL, is_released = 1 WHERE {OBJECT} AND blocked_by = ?",
            [(*pair(ref), HELD_DELETE) for ref in refs],
        )
    return store.db.total_changes - before


def promote(store: Store, ref: ObjectRef) -> None:
    """A live entry waits for this object: move its entry to the live class."""
    store.db.execute(f"UPDATE outbox SET urgency = 0 WHERE {OBJECT}", pair(ref))


def raise_changed_at(store: Store, changed_at: int) -> None:
    """Another member sent until now: make all entries newer than what it sent, and try parked entries at once.

    A DELETE that was never tried keeps its delay until its grace time is over, whichever member leads.
    """
    store.db.execute(
        "UPDATE outbox SET changed_at = ?, attempts = 0,"
        " not_before_ms = CASE WHEN action = 'DELETE' AND attempts = 0 THEN not_before_ms ELSE 0 END",
        (changed_at,),
    )


# ------------------------------------------------------------------------------------------------------ looking


def is_any(store: Store) -> bool:
    """Whether any message waits to be sent."""
    return store.db.execute("SELECT 1 FROM outbox LIMIT 1").fetchone() is not None


def is_pending(store: Store, ref: ObjectRef) -> bool:
    """Whether a message of the object waits to be sent."""
    return has(store.db, "outbox", ref)


def pending(store: Store, ref: ObjectRef, columns: str) -> tuple[Any, ...] | None:
    """These columns of the object's entry; None if it has none."""
    return line(store.db, "outbox", columns, ref)


def next_due_ms(store: Store, rank: int) -> int | None:
    """When the first delay of this rank ends; the time may already be past. None without delayed entries."""
    row = store.db.execute(
        "SELECT min(not_before_ms) FROM outbox WHERE rank = ? AND not_before_ms > 0", (rank,)
    ).fetchone()
    due: int | None = row[0]
    return due


def end_delays(store: Store, rank: int, now_ms: int, limit: int) -> bool:
    """Make entries of a rank ready whose delay is over, at most ``limit``. Returns whether there are more.

    A delay that seems longer than ``LONGEST_DELAY_MS`` began before the clock was set back, so it is over too.
    """
    ended = store.db.execute(
        "UPDATE outbox SET not_before_ms = 0 WHERE seq IN (SELECT seq FROM outbox WHERE rank = ?1 AND not_before_ms > 0"
        " AND not_before_ms <= ?2 ORDER BY not_before_ms LIMIT ?4) OR seq IN (SELECT seq FROM outbox WHERE rank = ?1"
        " AND not_before_ms > 0 AND not_before_ms > ?3 LIMIT ?4)",
        (rank, now_ms, now_ms + LONGEST_DELAY_MS, limit),
    )
    return ended.rowcount >= limit


def has_unblocked(store: Store, rank: int, urgency: Urgency) -> bool:
    """Whether an entry of this rank and class is ready."""
    row = store.db.execute(
        f"SELECT 1 FROM outbox WHERE rank = ? AND urgency = ? AND {READY} LIMIT 1", (rank, int(urgency))
    ).fetchone()
    return row is not None


def is_going(store: Store, rank: int) -> bool:
    """Whether an entry of this rank is ready or delayed, and is not parked."""
    asked = (rank, SUSPECT)
    ready = f"SELECT 1 FROM outbox WHERE rank = ? AND urgency IN (0, 1) AND {READY} AND attempts < ? LIMIT 1"
    delayed = (
        "SELECT 1 FROM outbox WHERE rank = ? AND not_before_ms > 0 AND blocked_by IS NULL AND attempts < ? LIMIT 1"
    )
    return any(store.db.execute(sql, asked).fetchone() is not None for sql in (ready, delayed))


def counts(store: Store) -> dict[str, object]:
    """What is pending: ``pending`` (object type → ``live``/``history`` → messages), ``total``, ``blocked``, ``held``.

    ``blocked`` counts the messages that wait for another object, ``held`` the DELETEs that the circuit breaker holds;
    both are part of ``pending``. ``oldest_commit_ms`` is that of the entry at the head, None without entries. Only
    indexes are read.
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


def oldest_rendered(store: Store) -> dict[Kind, int]:
    """Kinds with waiting messages, and when the oldest message of each was rendered, epoch milliseconds.

    Only an index is read.
    """
    found: dict[Kind, int] = {}
    for kind in Kind:
        for urgency in Urgency:
            row = store.db.execute(
                "SELECT rendered_ms FROM outbox WHERE kind = ? AND urgency = ? ORDER BY seq LIMIT 1",
                (kind.value, int(urgency)),
            ).fetchone()
            if row is not None:
                found[kind] = min(row[0], found.get(kind, row[0]))
    return found


def held_deletes(store: Store) -> int:
    """How many DELETEs the circuit breaker holds."""
    count: int = store.db.execute("SELECT count(*) FROM outbox WHERE blocked_by = ?", (HELD_DELETE,)).fetchone()[0]
    return count


def has_unreleased_deletes(store: Store) -> bool:
    """Whether a DELETE waits that no operator released by name, held or not."""
    found = store.db.execute("SELECT 1 FROM outbox WHERE action = 'DELETE' AND is_released = 0 LIMIT 1").fetchone()
    return found is not None


def deletes_rendered_since(store: Store, rendered_ms: int, at_most: int) -> int:
    """How many waiting DELETEs that count were rendered since then (epoch ms), up to ``at_most``."""
    counted = store.db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM outbox WHERE action = 'DELETE' AND is_counted = 1 AND rendered_ms > ?"
        " LIMIT ?)", (rendered_ms, at_most))  # fmt: skip
    return int(counted.fetchone()[0])


def count_waiting_for(store: Store, ref: ObjectRef) -> int:
    """How many entries wait for this object."""
    count: int = store.db.execute("SELECT count(*) FROM outbox WHERE blocked_by = ?", (key_of(ref),)).fetchone()[0]
    return count
