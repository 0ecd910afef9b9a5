"""What members of one account tell each other: the leader what became of each object, followers that they know.

The leader's ledger is copied object by object: what HubSpot accepted last, dead letters, waits for a parent. Whatever
changes there is noted by triggers in ``unpublished``, in the transaction that changes it, and goes from it once it is
told. Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.engine.engine import Engine
from cdc.members.records import Leader
from cdc.messages import contact_emails, dead_letters, render_queue, unconfirmed
from cdc.messages.dependencies import dump_refs, free, link_again, parse_refs
from cdc.messages.renderer import DELETED
from cdc.model import Action, Kind, ObjectRef, Position
from cdc.state.store import Store

_TRIGGERS: Final = (
    ("ledger", "UPDATE OF accepted_hash, accepted_at, record_id", "NEW"),
    ("dead_letter", "INSERT", "NEW"),
    ("dead_letter", "DELETE", "OLD"),
    ("orphan", "INSERT", "NEW"),
    ("orphan", "DELETE", "OLD"),
)  # fmt: skip


TOLD_WITHIN_MS: Final = 3_600_000
"""By then a leader that lives has told what became of its attempts."""


@dataclass(frozen=True)
class ObjectState:
    """What the leader knows of one object. Times are epoch milliseconds.

    ``rendered``: hash of what it rendered last, if nothing newer waits there. ``ever``: properties that ever held a
    value there: a message names these when they are empty. ``bare``: whom it was sent without. ``letter``: its dead
    letter (action, changed_at, at, reason, detail, position), ``orphan``: its wait for a parent (changed_at, since,
    reason, detail). ``email``, ``email_at``: what HubSpot holds for good, and since which message (contact_emails.py).
    ``record_id``: HubSpot's record of the object, "" if none is known.
    """

    ref: ObjectRef
    accepted: bytes | None
    accepted_at: int
    is_deleted: bool
    refs: tuple[ObjectRef, ...] = ()
    rendered: bytes | None = None
    ever: tuple[str, ...] = ()
    bare: tuple[ObjectRef, ...] = ()
    letter: tuple[Any, ...] | None = None
    orphan: tuple[Any, ...] | None = None
    position: str = ""
    email: bytes = b""
    email_at: int = 0
    record_id: str = ""
    seq: int = field(default=0, compare=False)


# ------------------------------------------------------------------------------------------------ the leader's side


def watch(store: Store, *, on: bool) -> None:
    """Note from now on what changes (the leader does), or no longer."""
    for table, event, row in _TRIGGERS:
        name = f"publish_{table}_{event.split()[0].lower()}"
        store.db.execute(f"DROP TRIGGER IF EXISTS temp.{name}")
        if on:
            store.db.execute(
                f"CREATE TEMP TRIGGER {name} AFTER {event} ON main.{table} BEGIN"
                f" INSERT OR REPLACE INTO unpublished (kind, id) VALUES ({row}.kind, {row}.id); END"
            )


def untold(engine: Engine, limit: int) -> list[ObjectState]:
    """Objects that changed since they were told, the oldest first."""
    rows = engine.store.db.execute("SELECT seq, kind, id FROM unpublished ORDER BY seq LIMIT ?", (limit,)).fetchall()
    return [_state(engine, ObjectRef(Kind(kind), key), seq) for seq, kind, key in rows]


def told(store: Store, states: Iterable[ObjectState], next_offset: int) -> None:
    """These are on the topic, which goes on at ``next_offset``. What changed since stays noted."""
    store.db.executemany("DELETE FROM unpublished WHERE seq = ?", [(state.seq,) for state in states])
    store.meta.receipts_offset = next_offset


def _state(engine: Engine, ref: ObjectRef, seq: int) -> ObjectState:
    db, pair = engine.store.db, (ref.kind.value, ref.id)
    held = db.execute(
        "SELECT accepted_hash, accepted_at, accepted_delete, accepted_refs, rendered_hash, properties, email, email_at,"
        " record_id"
        " FROM ledger WHERE kind = ? AND id = ?",
        pair,
    ).fetchone() or (None, 0, 0, "", None, b"", b"", 0, "")
    is_pending = db.execute("SELECT 1 FROM outbox WHERE kind = ? AND id = ?", pair).fetchone() is not None
    bare = db.execute("SELECT ref_kind, ref_id FROM bare_link WHERE kind = ? AND id = ?", pair).fetchall()
    letter = db.execute(
        "SELECT action, changed_at, at_ms, reason, detail, position FROM dead_letter"
        f" WHERE kind = ? AND id = ? AND reason <> '{dead_letters.RENDER}'",
        pair,
    ).fetchone()
    orphan = db.execute(
        "SELECT changed_at, since_ms, reason, detail FROM orphan WHERE kind = ? AND id = ?", pair
    ).fetchone()
    return ObjectState(
        ref,
        held[0],
        held[1],
        bool(held[2]),
        parse_refs(held[3]) if held[3] else (),
        None if is_pending else held[4],
        engine.renderer.ledger.names(int.from_bytes(held[5], "little")),
        tuple(ObjectRef(Kind(kind), key) for kind, key in bare),
        letter,
        orphan,
        _told_place(engine.positions.position),
        held[6],
        held[7],
        held[8],
        seq,
    )


def take_over(engine: Engine, now_ms: int) -> int:
    """This member sends from now on. Returns the floor: above every ``changed_at`` that another may have sent.

    Whatever waits may have been on the wire, so it is sent once more some time after it is accepted.
    """
    store = engine.store
    highest = store.db.execute("SELECT max(max(accepted_at), max(tried_at)) FROM ledger").fetchone()[0] or 0
    minimum_changed_at: int = max(now_ms, highest + 1)
    engine.renderer.raise_minimum_changed_at(minimum_changed_at)
    unconfirmed.note_interrupted(store)
    store.db.execute("UPDATE outbox SET changed_at = ?, attempts = 0, not_before_ms = 0", (minimum_changed_at,))
    store.db.execute(
        "UPDATE ledger SET rendered_at = ? WHERE EXISTS"
        " (SELECT 1 FROM outbox o WHERE o.kind = ledger.kind AND o.id = ledger.id)",
        (minimum_changed_at,),
    )
    rows = store.db.execute("SELECT DISTINCT ref_kind, ref_id FROM bare_link").fetchall()
    accepted = [ObjectRef(Kind(kind), key) for kind, key in rows if _is_accepted(store, kind, key)]
    link_again(store, accepted)
    return minimum_changed_at


def _is_accepted(store: Store, kind: str, key: Any) -> bool:
    sql = "SELECT 1 FROM ledger WHERE kind = ? AND id = ? AND accepted_hash IS NOT NULL AND accepted_delete = 0"
    return store.db.execute(sql, (kind, key)).fetchone() is not None


def last_leader(store: Store) -> Leader | None:
    """Who led last, as far as this state was told. The receipts are read on from where they were, behind that."""
    held = store.meta.last_leader
    return Leader(*held) if held else None


def led_generation(store: Store) -> int:
    """In which generation this state led last, 0 if it never did: a copy of it may have led since."""
    return store.meta.led_generation


def lead(engine: Engine, now_ms: int | None, leader: Leader | None = None) -> None:
    """Send from now on, and note what becomes of it. ``now_ms``: given if another sent until now."""
    if leader is not None:
        engine.store.meta.last_leader = tuple(leader)
        engine.store.meta.led_generation = leader.generation
    if now_ms is not None:
        take_over(engine, now_ms)
        engine.renderer.leads_since_ms = now_ms
    engine.renderer.is_following = False
    unconfirmed.send_what_is_not_pending(engine.store, 0 if now_ms is None else now_ms - TOLD_WITHIN_MS)
    watch(engine.store, on=True)


def follow(engine: Engine) -> None:
    """Render, and send nothing: what is rendered may be sent by another at any time.

    What waits here though HubSpot holds just that may have no receipt to come: see Renderer.
    """
    engine.renderer.is_following = True
    watch(engine.store, on=False)
    db = engine.store.db
    left = db.execute(
        "SELECT o.kind, o.id FROM outbox o JOIN ledger l ON l.kind = o.kind AND l.id = o.id"
        " WHERE o.hash = l.accepted_hash OR (o.hash = ? AND l.accepted_at = 0)",
        (DELETED,),
    ).fetchall()
    unconfirmed.note(engine.store, [ObjectRef(Kind(kind), key) for kind, key in left])
    db.executemany("DELETE FROM outbox WHERE kind = ? AND id = ?", left)
    db.executemany("UPDATE ledger SET rendered_at = accepted_at WHERE kind = ? AND id = ? AND accepted_at > 0", left)


def member_id(store: Store) -> str:
    """This state's own name among members, made once."""
    return store.meta.member_id()


# ----------------------------------------------------------------------------------------------- a follower's side


def offset(store: Store) -> int | None:
    """Where the receipts go on; None before the first."""
    return store.meta.receipts_offset


def take(
    engine: Engine,
    states: Sequence[ObjectState],
    next_offset: int,
    *,
    forget_own: bool,
    leader: Leader | None = None,
) -> None:
    """What the leader told, in its order. ``forget_own``: another led since; it has pending what we did not tell."""
    if leader is not None:
        engine.store.meta.last_leader = tuple(leader)
    if forget_own:
        engine.store.db.execute("DELETE FROM unpublished")
    for state in states:
        _take(engine, state)
    free(engine.store, [state.ref for state in states])
    engine.store.meta.receipts_offset = next_offset


def _take(engine: Engine, state: ObjectState) -> None:
    store, pair = engine.store, (state.ref.kind.value, state.ref.id)
    store.db.execute("INSERT OR IGNORE INTO ledger (kind, id) VALUES (?, ?)", pair)
    ledger = engine.renderer.ledger
    before = ledger.get(state.ref)
    _copy(store, state, pair)
    contact_emails.learnt(store, state.ref, before.email if before else b"", state.email)
    held = ledger.get(state.ref)
    assert held is not None
    place = _place(engine, state.position)
    if state.rendered is not None and (not place or held.rendered_lsn <= place):
        unconfirmed.forget(store, state.ref)  # nothing waited there, and all that was rendered here was seen there
    else:
        unconfirmed.note(store, (state.ref,))
    bits = held.properties | _bits(engine, state.ever)
    done = {state.accepted, state.rendered} - {None}
    waiting = store.db.execute("SELECT hash FROM outbox WHERE kind = ? AND id = ?", pair).fetchone()
    if held.rendered_hash in done:
        store.db.execute("DELETE FROM outbox WHERE kind = ? AND id = ? AND hash = ?", (*pair, held.rendered_hash))
    if waiting is not None or held.rendered_hash in done:
        _settled(store, pair, held.rendered_hash, state, bits)
        return
    # what HubSpot has is not what was rendered here: render it once more, when we are where the leader was
    _settled(store, pair, state.accepted if state.is_deleted else b"", state, bits)
    store.db.execute("UPDATE ledger SET rendered_delete = ? WHERE kind = ? AND id = ?", (state.is_deleted, *pair))
    render_queue.mark(store, state.ref, not_before=place)


def _copy(store: Store, state: ObjectState, pair: tuple[str, Any]) -> None:
    """The leader's side of the object as it stands there."""
    store.db.execute(
        "UPDATE ledger SET accepted_hash = ?, accepted_at = ?, accepted_delete = ?, accepted_refs = ?, email = ?,"
        " email_at = ?, email_new = CASE WHEN ? THEN email_new ELSE x'' END, record_id = ? WHERE kind = ? AND id = ?",
        (
            state.accepted, state.accepted_at, int(state.is_deleted), dump_refs(state.refs) if state.refs else "",
            state.email, state.email_at, bool(state.email), state.record_id, *pair,
        ),
    )  # fmt: skip
    store.db.execute(f"DELETE FROM dead_letter WHERE kind = ? AND id = ? AND reason <> '{dead_letters.RENDER}'", pair)
    if state.letter is not None:
        action, changed_at, at_ms, reason, detail, position = state.letter
        dead_letters.add(
            store, dead_letters.DeadLetter(state.ref, Action(action), changed_at, at_ms, reason, detail, position)
        )
    store.db.execute("DELETE FROM orphan WHERE kind = ? AND id = ?", pair)
    if state.orphan is not None:
        store.db.execute("INSERT INTO orphan VALUES (?, ?, ?, ?, ?, ?)", (*pair, *state.orphan))
    store.db.execute("DELETE FROM bare_link WHERE kind = ? AND id = ?", pair)
    store.db.executemany(
        "INSERT OR IGNORE INTO bare_link (ref_kind, ref_id, kind, id) VALUES (?, ?, ?, ?)",
        [(other.kind.value, other.id, *pair) for other in state.bare],
    )


def _settled(store: Store, pair: tuple[str, Any], digest: bytes | None, state: ObjectState, bits: int) -> None:
    packed = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    is_same = digest == state.accepted
    store.db.execute(
        "UPDATE ledger SET rendered_hash = ?, rendered_at = CASE WHEN ? THEN ? ELSE max(rendered_at, ?) END,"
        " tried_at = CASE WHEN ? THEN ? ELSE max(tried_at, ?) END, properties = ? WHERE kind = ? AND id = ?",
        (digest, is_same, state.accepted_at, state.accepted_at, is_same, state.accepted_at, state.accepted_at, packed,
         *pair),
    )  # fmt: skip


def _bits(engine: Engine, names: Iterable[str]) -> int:
    bits = 0
    for name in names:
        bits |= engine.renderer.ledger.bit(name)
    return bits


def _told_place(position: Position | None) -> str:
    """A place as members tell it: ``log:offset@server``."""
    return f"{position}@{position.server}" if position else ""


def _place(engine: Engine, text: str) -> int:
    """The leader's place as an LSN of ours; 0 if it is not one of the log that we read."""
    log, _, server = text.partition("@")
    file, _, offset = log.rpartition(":")
    held = engine.positions.position
    if held is None or not held.server or (held.file, held.server) != (file, server) or not offset.isdecimal():
        return 0
    return engine.positions.lsn(Position(file, int(offset), server=server))
