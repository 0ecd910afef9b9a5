"""What members of one account exchange: the leader publishes the state of each object, the followers copy it.

The leader's ledger is copied object by object: what HubSpot accepted last, dead letters, waits for a parent. Every
change of these is noted in its own transaction (``unpublished.py``), until it is on the topic. Use inside a store
transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.engine.engine import Engine
from cdc.members import unpublished
from cdc.members.records import Leader
from cdc.messages import (
    contact_emails,
    dead_letters,
    ledger,
    outbox,
    render_queue,
    sent_versions,
    sent_without_reference,
    unconfirmed,
    waiting_for_parent,
)
from cdc.messages.refs import Link, dump_links, parse_links
from cdc.messages.renderer import DELETED
from cdc.model import Action, ObjectRef, Position
from cdc.state.store import Store

PUBLISHED_WITHIN_MS: Final = 3_600_000
"""A living leader has published the outcome of its attempts within this time."""


@dataclass(frozen=True)
class ObjectState:
    """What the leader knows of one object. Times are epoch milliseconds.

    ``rendered``: hash of its last rendering, if no newer message waits there. ``ever``: properties that ever had a
    value there; a message names these when they are empty. ``missing``: references that it was sent without.
    ``letter``: its dead letter (action, changed_at, at, reason, detail, position). ``waiting``: its wait for a parent
    (changed_at, since, reason, detail). ``email``, ``email_at``: the address that HubSpot keeps, and the message that
    brought it (contact_emails.py). ``record_id``: HubSpot's record of the object, "" if it is not known. ``address``:
    the mark of the address in a contact's record.
    """

    ref: ObjectRef
    accepted: bytes | None
    accepted_at: int
    is_deleted: bool
    links: tuple[Link, ...] = ()
    rendered: bytes | None = None
    ever: tuple[str, ...] = ()
    missing: tuple[ObjectRef, ...] = ()
    letter: tuple[Any, ...] | None = None
    waiting: tuple[Any, ...] | None = None
    position: str = ""
    email: bytes = b""
    email_at: int = 0
    record_id: str = ""
    address: bytes = b""
    seq: int = field(default=0, compare=False)


# ------------------------------------------------------------------------------------------------ the leader's side


def to_publish(engine: Engine, limit: int) -> list[ObjectState]:
    """The states of objects that changed since they were published, the oldest change first."""
    return [_state(engine, ref, number) for number, ref in unpublished.oldest(engine.store, limit)]


def published(store: Store, states: Iterable[ObjectState], next_offset: int) -> None:
    """These states are on the topic, which goes on at ``next_offset``. Later changes stay noted."""
    unpublished.published(store, [state.seq for state in states])
    store.meta.receipts_offset = next_offset


def _state(engine: Engine, ref: ObjectRef, seq: int) -> ObjectState:
    store = engine.store
    side, rendered, properties = ledger.accepted_side(store, ref)
    letter = dead_letters.show(store, ref)
    return ObjectState(
        ref,
        side.hash,
        side.changed_at,
        side.is_deleted,
        parse_links(side.refs),
        None if outbox.is_pending(store, ref) else rendered,
        engine.renderer.ledger.bits.names(properties),
        sent_without_reference.of(store, ref),
        _letter_cells(letter) if letter is not None and letter.reason != dead_letters.RENDER else None,
        waiting_for_parent.get(store, ref),
        _position_text(engine.positions.position),
        side.email,
        side.email_at,
        side.record_id,
        side.address,
        seq,
    )


def _letter_cells(letter: dead_letters.DeadLetter) -> tuple[Any, ...]:
    return letter.action.value, letter.changed_at, letter.at_ms, letter.reason, letter.detail, letter.position


def take_over(engine: Engine, now_ms: int) -> int:
    """This member sends from now on. Returns the minimum of every later ``changed_at``: it is above all that others
    sent.

    A waiting entry may have been on the wire, so it is sent once more some time after it is accepted.
    """
    store = engine.store
    minimum_changed_at = max(now_ms, sent_versions.highest_changed_at(store) + 1)
    engine.renderer.raise_minimum_changed_at(minimum_changed_at)
    unconfirmed.note_interrupted(store)
    outbox.raise_changed_at(store, minimum_changed_at)
    ledger.raise_rendered_at(store, minimum_changed_at)
    sent_without_reference.link_again(store, sent_versions.which_are_held(store, sent_without_reference.missing(store)))
    return minimum_changed_at


def last_leader(store: Store) -> Leader | None:
    """The last leader that this state knows of. The receipts are read on from the offset that was kept with it."""
    held = store.meta.last_leader
    return Leader(*held) if held else None


def receipts_are(store: Store, topic: str, identity: str) -> bool:
    """Note which receipts topic this is: Kafka's own id, "" from a broker that gives none.

    False if it is another topic than this state knows. A new topic is read from its beginning, and the next leader
    publishes everything that its state knows of each object.
    """
    held = store.meta.topic_ids.get(topic, "")
    if identity:
        store.meta.topic_ids = {**store.meta.topic_ids, topic: identity}
    if not held or not identity or held == identity:
        return True
    store.meta.receipts_offset, store.meta.last_leader = None, None
    unpublished.note_all(store)
    return False


def led_generation(store: Store) -> int:
    """The generation in which this state led last, 0 if it never led. A copy of the state may have led since."""
    return store.meta.led_generation


def ask_to_lead(store: Store, generation: int) -> None:
    """This state is about to publish that it leads in this generation. The note is on disk before the record is on the
    topic.
    """
    store.meta.asked_generation = generation


def why_restored(store: Store, leader: Leader | None) -> str:
    """The sign that this state is a copy of a state that led later, in words; "" if there is none.

    ``leader``: the last leader by the receipts. A copy of a whole disk matches everything on the disk; only the topic
    shows the later generation.
    """
    if leader is None or leader.member != store.meta.member_id():
        return ""
    asked = max(store.meta.asked_generation, store.meta.led_generation)
    if leader.generation <= asked:
        return ""
    return (
        f"the receipts say that this member led in generation {leader.generation}, and this state knows of {asked}: an"
        " older copy was put back, or a copy of the folder runs as a second member"
    )


def lead(engine: Engine, now_ms: int | None, leader: Leader | None = None) -> None:
    """Send from now on, and note every change for publishing. ``now_ms``: given if another member sent until now."""
    # Kept in the same commit, so that a crash does not forget who led.
    if leader is not None:
        engine.store.meta.last_leader = tuple(leader)
        engine.store.meta.led_generation = leader.generation
    # The other member may have sent up to now.
    if now_ms is not None:
        take_over(engine, now_ms)
        engine.renderer.leads_since_ms = now_ms
    engine.renderer.is_following = False
    unconfirmed.send_what_is_not_pending(engine.store, 0 if now_ms is None else now_ms - PUBLISHED_WITHIN_MS)
    unpublished.watch(engine.store, on=True)


def follow(engine: Engine) -> None:
    """Render, and send nothing. Another member may send any rendered message at any time.

    A waiting message that equals what HubSpot holds may never get a receipt: see Renderer.
    """
    store = engine.store
    engine.renderer.is_following = True
    unpublished.watch(store, on=False)
    accepted = ledger.waiting_though_accepted(store, DELETED)
    unconfirmed.note(store, accepted)
    for ref in accepted:
        outbox.take_back(store, ref)
    ledger.take_back_rendered(store, accepted)


# ----------------------------------------------------------------------------------------------- a follower's side


def take(
    engine: Engine,
    states: Sequence[ObjectState],
    next_offset: int,
    *,
    forget_own: bool,
    leader: Leader | None = None,
) -> None:
    """Take the leader's published states, in order.

    ``forget_own``: another member has led since, so this member's unpublished changes are out of date.
    """
    if leader is not None:
        engine.store.meta.last_leader = tuple(leader)
    # What this member did not publish is older than what the new leader says.
    if forget_own:
        unpublished.clear(engine.store)
    for state in states:
        _take(engine, state)
    outbox.free(engine.store, [state.ref for state in states])
    engine.store.meta.receipts_offset = next_offset


def _take(engine: Engine, state: ObjectState) -> None:
    store, ref, own = engine.store, state.ref, engine.renderer.ledger
    before = own.get(ref)
    side = ledger.AcceptedSide(
        state.accepted,
        state.accepted_at,
        state.is_deleted,
        dump_links(state.links),
        state.email,
        state.email_at,
        state.record_id,
        state.address,
    )
    _copy(store, state, side)
    contact_emails.learnt(store, ref, before.email if before else b"", state.email)
    held = own.get(ref)
    assert held is not None
    lsn = _lsn(engine, state.position)
    if state.rendered is not None and (not lsn or held.rendered_lsn <= lsn):
        unconfirmed.forget(store, ref)  # nothing waited there, and the leader had seen all that was rendered here
    else:
        unconfirmed.note(store, (ref,))
    bits = held.properties | own.bits.masks(state.ever)
    done = {state.accepted, state.rendered} - {None}
    was_waiting = outbox.is_pending(store, ref)
    # HubSpot has the version that waits here.
    if held.rendered_hash in done:
        outbox.take_back_version(store, ref, held.rendered_hash)
    # The waiting message, or the accepted version, is what was rendered: nothing to render again.
    if was_waiting or held.rendered_hash in done:
        ledger.settle_copied(store, ref, held.rendered_hash, side, bits)
        return
    # HubSpot has not what was rendered here: render the object once more, when this member is where the leader was
    ledger.settle_copied(store, ref, state.accepted if state.is_deleted else b"", side, bits)
    ledger.set_rendered_delete(store, ref, is_deleted=state.is_deleted)
    render_queue.mark(store, ref, not_before=lsn)


def _copy(store: Store, state: ObjectState, side: ledger.AcceptedSide) -> None:
    """Copy the leader's side of the object."""
    ref = state.ref
    ledger.copy_accepted(store, ref, side)
    letter = None
    # A letter of an older state must not stay beside the leader's.
    if state.letter is not None:
        action, *rest = state.letter
        letter = dead_letters.DeadLetter(ref, Action(action), *rest)
    dead_letters.replace_delivered(store, ref, letter)
    waiting_for_parent.remove(store, ref)
    if state.waiting is not None:
        waiting_for_parent.add(store, waiting_for_parent.LateRejection(ref, *state.waiting))
    sent_without_reference.replace(store, ref, state.missing)


def _position_text(position: Position | None) -> str:
    """A position in the form that members write: ``log:offset@server``."""
    return f"{position}@{position.server}" if position else ""


def _lsn(engine: Engine, text: str) -> int:
    """The leader's position as an LSN of ours; 0 if it is not of the log that this member reads."""
    log, _, server = text.partition("@")
    file, _, offset = log.rpartition(":")
    held = engine.positions.position
    # Positions of another server's log have no LSN here.
    if held is None or not held.server or (held.file, held.server) != (file, server) or not offset.isdecimal():
        return 0
    return engine.positions.lsn(Position(file, int(offset), server=server))
