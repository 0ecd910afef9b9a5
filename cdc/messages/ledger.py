"""What was last rendered and last accepted, per object; which properties ever held a value. Never forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from cdc.model import ObjectRef
from cdc.state.store import Store

MAX_ANSWER: Final = 200
"""Characters kept of an answer: the ledger has a line per object, for ever."""


class LedgerEntry(NamedTuple):
    """One object's line. Times are epoch milliseconds (``_at``: a message's ``changed_at``); 0: never.

    ``rendered_lsn``: the place in the log at which it was last rendered. ``answer``: what the last request with it
    brought, "" if that was acceptance; ``answered_ms`` before ``sent_ms``: nothing yet. ``email``, ``email_new``: marks
    of addresses, see contact_emails.py. ``record_id``: the receiver's record of the object, "" if none is known.
    """

    rendered_hash: bytes | None = None
    rendered_at: int = 0
    rendered_delete: bool = False
    accepted_hash: bytes | None = None
    accepted_at: int = 0
    accepted_delete: bool = False
    tried_at: int = 0
    properties: int = 0
    rendered_lsn: int = 0
    sent_ms: int = 0
    answered_ms: int = 0
    answer: str = ""
    email: bytes = b""
    email_new: bytes = b""
    record_id: str = ""


class Ledger:
    """Reads and writes ledger lines for the renderer (delivery writes the accepted side)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._bits: dict[str, int] = {name: bit for bit, name in store.db.execute("SELECT bit, name FROM property")}

    def get(self, ref: ObjectRef) -> LedgerEntry | None:
        """The object's line."""
        row = self._store.db.execute(
            "SELECT rendered_hash, rendered_at, rendered_delete, accepted_hash, accepted_at, accepted_delete, tried_at,"
            " properties, rendered_lsn, sent_ms, answered_ms, answer, email, email_new, record_id"
            " FROM ledger WHERE kind = ? AND id = ?",
            (ref.kind.value, ref.id),
        ).fetchone()
        if row is None:
            return None
        return LedgerEntry(
            row[0],
            row[1],
            bool(row[2]),
            row[3],
            row[4],
            bool(row[5]),
            row[6],
            int.from_bytes(row[7], "little"),
            *row[8:],
        )

    def set_rendered(
        self, ref: ObjectRef, digest: bytes, changed_at: int, *, delete: bool, properties: int, lsn: int = 0
    ) -> None:
        """Note what was rendered, and at which place; ``properties``: bitmap of names that ever held a value."""
        packed = properties.to_bytes((properties.bit_length() + 7) // 8, "little")
        self._store.db.execute(
            "INSERT INTO ledger (kind, id, rendered_hash, rendered_at, rendered_delete, properties,"
            " rendered_lsn) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (kind, id) DO UPDATE SET rendered_hash = excluded.rendered_hash,"
            " rendered_at = excluded.rendered_at, rendered_delete = excluded.rendered_delete,"
            " properties = excluded.properties, rendered_lsn = excluded.rendered_lsn",
            (ref.kind.value, ref.id, digest, changed_at, int(delete), packed, lsn),
        )

    def bit(self, name: str) -> int:
        """The property's bit, as a mask. Names get their bit when first seen, for good."""
        held = self._bits.get(name)
        if held is None:
            held = len(self._bits)
            self._store.db.execute("INSERT INTO property (bit, name) VALUES (?, ?)", (held, name))
            self._bits[name] = held
        return 1 << held

    def names(self, bits: int) -> tuple[str, ...]:
        """The properties of this bitmap."""
        return tuple(name for name, bit in self._bits.items() if bits >> bit & 1)

    def reload(self) -> None:
        """Forget bits of a transaction that was undone."""
        self._bits = {name: bit for bit, name in self._store.db.execute("SELECT bit, name FROM property")}

    def size(self) -> int:
        """How many objects were ever rendered."""
        count: int = self._store.db.execute("SELECT count(*) FROM ledger").fetchone()[0]
        return count


class SentSide(NamedTuple):
    """What was sent of an object so far. ``accepted_refs``: JSON of what its last accepted version referred to."""

    record_id: str = ""
    accepted_at: int = 0
    accepted_refs: str = ""
    tried_at: int = 0


_NEVER_SENT: Final = SentSide()


def sent_side(store: Store, ref: ObjectRef) -> SentSide:
    """What was sent of the object; all of it empty if nothing was."""
    row = store.db.execute(
        "SELECT record_id, accepted_at, accepted_refs, tried_at FROM ledger WHERE kind = ? AND id = ?",
        (ref.kind.value, ref.id),
    ).fetchone()
    return SentSide(*row) if row is not None else _NEVER_SENT


def note_records(store: Store, records: Iterable[tuple[ObjectRef, str]]) -> None:
    """The receiver's records of these objects; "" forgets the record of an object. A deletion keeps the record."""
    store.db.executemany(
        "UPDATE ledger SET record_id = ?1 WHERE kind = ?2 AND id = ?3 AND record_id <> ?1",
        [(record_id, ref.kind.value, ref.id) for ref, record_id in records],
    )


def forget_hashes(store: Store) -> None:
    """Have every object that is not deleted count as changed: its next rendering is sent, equal or not."""
    store.db.execute("UPDATE ledger SET rendered_hash = x'', accepted_hash = NULL WHERE rendered_delete = 0")


def note_answers(store: Store, answers: Iterable[tuple[ObjectRef, str]], now_ms: int) -> None:
    """What the last request with each of these brought, other than acceptance: a short text without values."""
    store.db.executemany(
        "UPDATE ledger SET answered_ms = ?, answer = ? WHERE kind = ? AND id = ?",
        [(now_ms, answer[:MAX_ANSWER], ref.kind.value, ref.id) for ref, answer in answers],
    )


def forget_links(store: Store, ref: ObjectRef) -> None:
    """What the object's record was linked to is not known any more: its next message makes all of its links."""
    store.db.execute("UPDATE ledger SET accepted_refs = '' WHERE kind = ? AND id = ?", (ref.kind.value, ref.id))


def note_stray(store: Store, ref: ObjectRef, record_id: str, now_ms: int) -> None:
    """The receiver holds a record of an object that the shop does not have: as if it had been accepted just now."""
    store.db.execute(
        "INSERT INTO ledger (kind, id, rendered_hash, rendered_at, accepted_at, tried_at, record_id)"
        " VALUES (?1, ?2, x'00', ?3, ?3, ?3, ?4) ON CONFLICT (kind, id) DO UPDATE SET rendered_hash = x'00',"
        " rendered_delete = 0, accepted_delete = 0, accepted_at = max(accepted_at, 1), record_id = excluded.record_id",
        (ref.kind.value, ref.id, now_ms, record_id),
    )
