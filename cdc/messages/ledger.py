"""The ledger: what was last rendered, sent, answered and accepted, per object. A line is never removed.

Only this module writes the table ``ledger_line``, with one function per event. Everybody reads the view ``ledger``,
which shows the plain values of what the table has as differences (state/schema.py). Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from cdc.messages.property_bits import PropertyBits, pack, unpack
from cdc.messages.refs import Link, dump_links
from cdc.model import KIND_NAMES, Action, Kind, ObjectRef
from cdc.state.objects import OBJECT, as_refs, has, line, pair
from cdc.state.store import Store

if TYPE_CHECKING:
    from cdc.messages.outbox import Entry

MOST_REFERENCES: Final = 2
"""The ledger's indexes find referrers by up to this many references of an object."""

MOST_REMEMBERED: Final = 20_000
"""Objects of which memory notes that they have a line; some 3 MB."""

_ACCEPTED_AT: Final = "(rendered_at + accepted_after)"
_TRIED_AT: Final = "(rendered_at + accepted_after + tried_after)"

_LONGEST_NUMBER: Final = 18
"""Digits that surely fit an integer of SQLite."""


def _rendered(digest: str, at: str) -> str:
    """SQL: set hash and time of what was rendered to these values, and leave what was accepted and tried as it is."""
    return (
        f"accepted_hash = CASE WHEN accepted_hash IS 1 AND rendered_hash IS NOT {digest} THEN rendered_hash"
        f" WHEN accepted_hash = {digest} THEN 1 ELSE accepted_hash END,"
        f" accepted_after = {_ACCEPTED_AT} - {at}, rendered_hash = {digest}, rendered_at = {at}"
    )


_NEWLY_RENDERED: Final = _rendered("excluded.rendered_hash", "excluded.rendered_at")
_FORGOTTEN: Final = _rendered("x''", "rendered_at")
_SETTLED: Final = _rendered("?1", "CASE WHEN ?2 THEN ?3 ELSE max(rendered_at, ?3) END")

MAX_ANSWER: Final = 200
"""Characters kept of an answer: the ledger has a line per object, for ever."""


class LedgerEntry(NamedTuple):
    """One object's line. Times are epoch milliseconds (``_at``: a message's ``changed_at``); 0: never.

    ``tried_at``: of the newest version that was on the wire. ``delete_on_wire``: a DELETE was sent and has no settled
    answer. ``rendered_lsn``: the position in the log at which the object was last rendered. ``answer``: the result of
    the last request with the object, "" for acceptance; if ``answered_ms`` is before ``sent_ms``, there is no answer
    yet. ``email``, ``email_new``: marks of addresses, see contact_emails.py. ``record_id``: the receiver's record of
    the object, "" if it is not known.
    """

    rendered_hash: bytes | None = None
    rendered_at: int = 0
    rendered_delete: bool = False
    accepted_hash: bytes | None = None
    accepted_at: int = 0
    accepted_delete: bool = False
    delete_on_wire: bool = False
    tried_at: int = 0
    properties: int = 0
    rendered_lsn: int = 0
    sent_ms: int = 0
    answered_ms: int = 0
    answer: str = ""
    email: bytes = b""
    email_at: int = 0
    email_new: bytes = b""
    record_id: str = ""


_COLUMNS: Final = (
    "rendered_hash, rendered_at, rendered_delete, accepted_hash, accepted_at, accepted_delete, delete_on_wire,"
    " tried_at, properties, rendered_lsn, sent_ms, answered_ms, answer, email, email_at, email_new, record_id"
)


_LINES: Final = f"SELECT id, {_COLUMNS} FROM ledger WHERE kind = ? AND id IN (SELECT value FROM json_each(?))"


def _entry_of(row: Sequence[Any]) -> LedgerEntry:
    return LedgerEntry(
        row[0], row[1], bool(row[2]), row[3], row[4], bool(row[5]), bool(row[6]), row[7], unpack(row[8]), *row[9:]
    )


class Ledger:
    """The renderer's part of the ledger: what was rendered, and which properties ever had a value."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.bits = PropertyBits(store)
        self._ahead: dict[ObjectRef, LedgerEntry | None] = {}
        self._rendered: set[ObjectRef] = set()

    def reread(self) -> None:
        """A transaction was undone: forget what was read or written in it."""
        self.bits.reread()
        self._ahead.clear()
        self._rendered.clear()

    def read_ahead(self, refs: Iterable[ObjectRef]) -> None:
        """Read the lines of objects that are rendered next: one statement for each kind of object.

        Each line is given out once, to ``take``: rendering the object may change it. Lines that were read ahead before
        are forgotten.
        """
        by_kind: dict[Kind, list[int | str]] = {}
        self._ahead.clear()
        for ref in refs:
            by_kind.setdefault(ref.kind, []).append(ref.id)
            self._ahead[ref] = None
        for kind, ids in by_kind.items():
            for row in self._store.db.execute(_LINES, (KIND_NAMES[kind], orjson.dumps(ids).decode())):
                self._ahead[ObjectRef(kind, row[0])] = _entry_of(row[1:])

    def take(self, ref: ObjectRef) -> LedgerEntry | None:
        """The object's line, to be changed now: from what was read ahead if that holds it."""
        return self._ahead.pop(ref) if ref in self._ahead else self.get(ref)

    def get(self, ref: ObjectRef) -> LedgerEntry | None:
        """The object's line."""
        row = line(self._store.db, "ledger", _COLUMNS, ref)
        return _entry_of(row) if row is not None else None

    def has(self, ref: ObjectRef) -> bool:
        """Whether the object has a line: whether it was ever rendered, or is known from another member."""
        # A line is never removed, and orders of one customer ask for the same line again and again.
        if ref in self._rendered:
            return True
        found = has(self._store.db, "ledger", ref)
        if found:
            if len(self._rendered) >= MOST_REMEMBERED:
                self._rendered.clear()
            self._rendered.add(ref)
        return found

    def set_rendered(
        self, ref: ObjectRef, digest: bytes, changed_at: int, *, delete: bool, properties: int, lsn: int = 0
    ) -> None:
        """Note what was rendered, and at which position. ``properties``: bitmap of names that ever had a value."""
        self._store.db.execute(
            "INSERT INTO ledger_line (kind, id, rendered_hash, rendered_at, accepted_after, rendered_delete,"
            " properties, rendered_lsn) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            f" ON CONFLICT (kind, id) DO UPDATE SET {_NEWLY_RENDERED},"
            " rendered_delete = excluded.rendered_delete, properties = excluded.properties,"
            " rendered_lsn = excluded.rendered_lsn",
            (*pair(ref), digest, changed_at, -changed_at, int(delete), pack(properties), lsn),
        )


def _stored_record(record_id: str) -> int | str:
    """A record's id as the table has it: most ids are of digits, and as an integer such an id takes half the room."""
    if record_id.isascii() and record_id.isdecimal() and len(record_id) <= _LONGEST_NUMBER:
        number = int(record_id)
        # "007" is not 7.
        if str(number) == record_id:
            return number
    return record_id


# -------------------------------------------------------------------------------------- what happens on the wire


def on_wire(store: Store, entries: Sequence[Entry], now_ms: int) -> None:
    """These entries are about to be sent. From now on an object whose DELETE is on the wire counts as deleted."""
    store.db.executemany(
        f"UPDATE ledger_line SET tried_after = max({_TRIED_AT}, ?1) - {_ACCEPTED_AT},"
        " answered_after = sent_ms + answered_after - ?2, sent_ms = ?2 WHERE kind = ?3 AND id = ?4",
        [(entry.changed_at, now_ms, *pair(entry.ref)) for entry in entries],
    )
    deleted = [pair(entry.ref) for entry in entries if entry.action is Action.DELETE]
    # A DELETE may take effect any moment from now on, so nothing may refer to the object any more.
    if deleted:
        store.db.executemany(f"UPDATE ledger_line SET delete_on_wire = 1 WHERE {OBJECT}", deleted)


def may_be_on_wire(store: Store, ref: ObjectRef, changed_at: int) -> None:
    """Another member may send this version at any time."""
    store.db.execute(
        f"UPDATE ledger_line SET tried_after = max({_TRIED_AT}, ?) - {_ACCEPTED_AT} WHERE {OBJECT}",
        (changed_at, *pair(ref)),
    )


def accepted(store: Store, entries: Iterable[Entry], now_ms: int) -> None:
    """The receiver took these versions. A version older than the accepted version changes nothing."""
    store.db.executemany(
        "UPDATE ledger_line SET accepted_hash = CASE WHEN rendered_hash = ?1 THEN 1 ELSE ?1 END,"
        f" accepted_after = ?2 - rendered_at, tried_after = {_TRIED_AT} - ?2, accepted_delete = ?3, delete_on_wire = 0,"
        " accepted_refs = ?4, answered_after = ?5 - sent_ms, answer = '', address = ?6"
        f" WHERE kind = ?7 AND id = ?8 AND {_ACCEPTED_AT} <= ?2",
        [
            (
                entry.hash,
                entry.changed_at,
                int(entry.action is Action.DELETE),
                _links_of(entry),
                now_ms,
                entry.address,
                *pair(entry.ref),
            )
            for entry in entries
        ],
    )


def _links_of(entry: Entry) -> str:
    # Without known records the links read as the references do, and most receivers name no records.
    if entry.refs_text and not entry.record_ids:
        return entry.refs_text if entry.refs else ""
    return dump_links([Link(ref, entry.record_ids.get(ref, "")) for ref in entry.refs])


def delete_refused(store: Store, ref: ObjectRef) -> None:
    """The receiver refused the DELETE: it holds the object as before."""
    store.db.execute(f"UPDATE ledger_line SET delete_on_wire = 0 WHERE {OBJECT}", pair(ref))


def revoked(store: Store, ref: ObjectRef) -> None:
    """The version is not accepted after all: nothing may refer to it, and an equal rendering is not a repeat."""
    store.db.execute(
        f"UPDATE ledger_line SET accepted_hash = NULL, accepted_after = -rendered_at, tried_after = {_TRIED_AT}"
        f" WHERE {OBJECT}",
        pair(ref),
    )


def note_records(store: Store, records: Iterable[tuple[ObjectRef, str]]) -> None:
    """Note the receiver's record of each object; "" removes the note. A deletion keeps it."""
    store.db.executemany(
        "UPDATE ledger_line SET record_id = ?1 WHERE kind = ?2 AND id = ?3 AND record_id <> ?1",
        [(_stored_record(record_id), *pair(ref)) for ref, record_id in records],
    )


def set_links(store: Store, ref: ObjectRef, refs: str) -> None:
    """Note the links that the record certainly has (``dump_links``). The object's next message makes all others."""
    store.db.execute(f"UPDATE ledger_line SET accepted_refs = ? WHERE {OBJECT}", (refs, *pair(ref)))


def note_stray(store: Store, ref: ObjectRef, record_id: str, now_ms: int) -> None:
    """The receiver holds a record of an object that the shop does not have: note it as accepted just now."""
    store.db.execute(
        "INSERT INTO ledger_line (kind, id, rendered_hash, rendered_at, record_id) VALUES (?1, ?2, x'00', ?3, ?4)"
        " ON CONFLICT (kind, id) DO UPDATE SET rendered_hash = x'00', accepted_hash ="
        " CASE WHEN accepted_hash IS 1 THEN rendered_hash ELSE accepted_hash END, rendered_delete = 0,"
        f" accepted_delete = 0, delete_on_wire = 0, accepted_after = max({_ACCEPTED_AT}, 1) - rendered_at,"
        f" tried_after = {_TRIED_AT} - max({_ACCEPTED_AT}, 1), record_id = excluded.record_id",
        (*pair(ref), now_ms, _stored_record(record_id)),
    )


def note_answers(store: Store, answers: Iterable[tuple[ObjectRef, str]], now_ms: int) -> None:
    """Note the answer of the last request with each object, other than acceptance: a short text without values."""
    store.db.executemany(
        f"UPDATE ledger_line SET answered_after = ? - sent_ms, answer = ? WHERE {OBJECT}",
        [(now_ms, answer[:MAX_ANSWER], *pair(ref)) for ref, answer in answers],
    )


# ------------------------------------------------------------------------------------------------ rendering again


def forget_rendered(store: Store, ref: ObjectRef) -> None:
    """Let the next rendering of the object count as changed."""
    store.db.execute(f"UPDATE ledger_line SET {_FORGOTTEN} WHERE {OBJECT}", pair(ref))


def forget_hashes(store: Store) -> None:
    """Let the next rendering of every object that is not deleted count as changed, so it is sent even if equal."""
    store.db.execute("UPDATE ledger_line SET rendered_hash = x'', accepted_hash = NULL WHERE rendered_delete = 0")


# --------------------------------------------------------------------------- marks of emails (contact_emails.py)


def first_emails(store: Store, sent: Iterable[tuple[ObjectRef, int, bytes]]) -> None:
    """Set the mark of the address from versions (object, changed_at, mark) that are about to be sent; an existing mark
    stays.
    """
    store.db.executemany(
        f"UPDATE ledger_line SET email = ?, email_at = ? WHERE {OBJECT} AND email = x''",
        [(mark, changed_at, *pair(ref)) for ref, changed_at, mark in sent if mark],
    )


def set_new_email(store: Store, ref: ObjectRef, mark: bytes) -> None:
    """Set the mark of the shop's address if it differs from the sink's; b"" if it does not."""
    store.db.execute(f"UPDATE ledger_line SET email_new = ? WHERE {OBJECT}", (mark, *pair(ref)))


def forget_email(store: Store, ref: ObjectRef) -> bool:
    """The sink holds no address of the object. Returns whether a mark was noted."""
    cursor = store.db.execute(
        f"UPDATE ledger_line SET email = x'', email_at = 0, email_new = x'' WHERE {OBJECT} AND email <> x''", pair(ref)
    )
    return cursor.rowcount > 0


# ------------------------------------------------------------------------------------- members of one account


class AcceptedSide(NamedTuple):
    """A leader's knowledge of an object's accepted version, in the form that other members copy."""

    hash: bytes | None
    changed_at: int
    is_deleted: bool
    refs: str
    email: bytes
    email_at: int
    record_id: str
    address: bytes


def copy_accepted(store: Store, ref: ObjectRef, side: AcceptedSide) -> None:
    """Copy the leader's side of the object. The object may never have been rendered here."""
    store.db.execute("INSERT OR IGNORE INTO ledger_line (kind, id) VALUES (?, ?)", pair(ref))
    store.db.execute(
        "UPDATE ledger_line SET accepted_hash = CASE WHEN rendered_hash = ?1 THEN 1 ELSE ?1 END,"
        f" accepted_after = ?2 - rendered_at, tried_after = {_TRIED_AT} - ?2, accepted_delete = ?3, delete_on_wire = 0,"
        " accepted_refs = ?4, email = ?5, email_at = ?6, email_new = CASE WHEN ?5 <> x'' THEN email_new ELSE x'' END,"
        " record_id = ?7, address = ?8 WHERE kind = ?9 AND id = ?10",
        (
            side.hash, side.changed_at, int(side.is_deleted), side.refs, side.email, side.email_at,
            _stored_record(side.record_id), side.address, *pair(ref),
        ),
    )  # fmt: skip


def settle_copied(store: Store, ref: ObjectRef, rendered: bytes | None, side: AcceptedSide, properties: int) -> None:
    """After ``copy_accepted``: set what counts as rendered here, and the bitmap of properties that ever had a value.

    If the accepted version counts as rendered, times are those of that version; otherwise times never go back.
    """
    is_same, at = rendered == side.hash, side.changed_at
    store.db.execute(
        f"UPDATE ledger_line SET {_SETTLED},"
        f" tried_after = CASE WHEN ?2 THEN ?3 ELSE max({_TRIED_AT}, ?3) END - {_ACCEPTED_AT}, properties = ?4"
        " WHERE kind = ?5 AND id = ?6",
        (rendered, is_same, at, pack(properties), *pair(ref)),
    )


def set_rendered_delete(store: Store, ref: ObjectRef, *, is_deleted: bool) -> None:
    """Set whether the version that counts as rendered is a deletion."""
    store.db.execute(f"UPDATE ledger_line SET rendered_delete = ? WHERE {OBJECT}", (is_deleted, *pair(ref)))


def take_back_rendered(store: Store, refs: Iterable[ObjectRef]) -> None:
    """The waiting messages of these objects were dropped, as the receiver holds the same content."""
    store.db.executemany(
        f"UPDATE ledger_line SET rendered_at = {_ACCEPTED_AT}, accepted_after = 0"
        f" WHERE {OBJECT} AND {_ACCEPTED_AT} > 0",
        [pair(ref) for ref in refs],
    )


def raise_rendered_at(store: Store, changed_at: int) -> None:
    """All waiting messages have this ``changed_at`` from now on (``outbox.raise_changed_at``)."""
    store.db.execute(
        f"UPDATE ledger_line SET rendered_at = ?1, accepted_after = {_ACCEPTED_AT} - ?1"
        " WHERE (kind, id) IN (SELECT kind, id FROM outbox)",
        (changed_at,),
    )


def accepted_side(store: Store, ref: ObjectRef) -> tuple[AcceptedSide, bytes | None, int]:
    """What others copy of the object, the hash last rendered, and the bitmap of properties that ever had a value."""
    columns = "accepted_hash, accepted_at, accepted_delete, accepted_refs, email, email_at, record_id, address"
    row: tuple[Any, ...] | None = line(store.db, "ledger", f"{columns}, rendered_hash, properties", ref)
    if row is None:
        return AcceptedSide(None, 0, False, "", b"", 0, "", b""), None, 0
    return AcceptedSide(row[0], row[1], bool(row[2]), *row[3:8]), row[8], unpack(row[9])


def waiting_though_accepted(store: Store, deleted: bytes) -> list[ObjectRef]:
    """Objects whose waiting message equals what the receiver holds. ``deleted``: the hash of every DELETE."""
    rows = store.db.execute(
        "SELECT o.kind, o.id FROM outbox o JOIN ledger l ON l.kind = o.kind AND l.id = o.id"
        " WHERE o.hash = l.accepted_hash OR (o.hash = ? AND l.accepted_at = 0)",
        (deleted,),
    )
    return as_refs(rows)
