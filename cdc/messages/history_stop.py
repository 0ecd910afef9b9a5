"""``import stop`` for a first load: history that is not on its way yet is withheld, as with ``history.send = "none"``.

Tables are still read to the end, because live changes need their rows, and what is rendered later is withheld. Waiting
messages of history that were never on the wire are taken back, slice by slice. Lines of an order that is sent stay, as
HubSpot must not show an order without its lines. After that every message left is rendered once more, so that the
renderer releases the objects that it refers to. No history is sent meanwhile. Use inside a store transaction.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from cdc.log_events import get_logger
from cdc.messages import outbox, render_queue, sent_versions
from cdc.messages.first_load import FirstLoad
from cdc.messages.refs import parse_refs
from cdc.messages.withholding import Withholding
from cdc.model import KINDS, Action, ObjectRef, ObjectType, Urgency
from cdc.state.store import Store

log = get_logger(__name__)

SLICE: Final = 500
"""Messages looked at in one turn of the state thread."""

_UPSERT: Final = Action.UPSERT.value
_TAKE_BACK, _RENDER = "take back", "render"


def ask(store: Store) -> bool:
    """Stop the first load; the state thread takes it up within a second. False if no first load is under way."""
    record = store.meta.first_load
    if not record or record.get("done_ms"):
        return False
    store.meta.is_history_stopped = store.meta.has_withheld = True
    store.meta.history_stop = {"step": _TAKE_BACK, "seq": -1, "taken": 0}
    return True


def is_under_way(store: Store) -> bool:
    """Whether messages are being taken back. No history may be sent meanwhile: an order could go without its lines."""
    return bool(store.meta.history_stop)


def holds_history(store: Store) -> bool:
    """Whether no history may be sent now: an operator paused it, or messages are being taken back."""
    return store.meta.is_import_paused or is_under_way(store)


def work(store: Store, withholding: Withholding, first_load: FirstLoad, *, fetch: bool) -> bool:
    """Work off one slice; False when there is nothing to do. ``fetch``: objects' rows have to be fetched first."""
    held = store.meta.history_stop
    if not held:
        return False
    # Another process asked for the stop, so what is kept in memory is older.
    withholding.reread()
    rows = store.db.execute(
        "SELECT seq, kind, id, urgency, refs FROM outbox WHERE seq > ? AND action = ? ORDER BY seq LIMIT ?",
        (held["seq"], _UPSERT, SLICE),
    ).fetchall()
    taken = held["taken"]
    if held["step"] == _TAKE_BACK:
        back = [ref for ref, urgency, refs in map(_parsed, rows) if _may_be_taken_back(store, ref, urgency, refs)]
        for ref in back:
            outbox.take_back(store, ref)
        outbox.free(store, back)  # what waited for them looks again at what it waits for
        first_load.took_back(Counter(ref.object_type for ref in back))
        taken += len(back)
    else:
        for ref, urgency, _ in map(_parsed, rows):
            render_queue.mark(store, ref, urgency=urgency, fetch=fetch)
    if len(rows) == SLICE:
        store.meta.history_stop = {**held, "seq": rows[-1][0], "taken": taken}
    elif held["step"] == _TAKE_BACK:
        store.meta.history_stop = {"step": _RENDER, "seq": -1, "taken": taken}
    else:
        store.meta.history_stop = {}
        log.info("first_load_stopped", taken_back=taken)
    return True


def _parsed(row: Any) -> tuple[ObjectRef, Urgency, tuple[ObjectRef, ...]]:
    _, kind, key, urgency, refs = row
    return ObjectRef(KINDS[kind], key), Urgency(urgency), parse_refs(refs)


def _may_be_taken_back(store: Store, ref: ObjectRef, urgency: Urgency, refs: tuple[ObjectRef, ...]) -> bool:
    # A live change goes; HubSpot has, or may have, what was on the wire, so that must stay up to date.
    if urgency is Urgency.LIVE or _was_on_wire(store, ref):
        return False
    if ref.object_type is not ObjectType.LINE_ITEM:
        return True
    return not any(_goes(store, other) for other in refs if other.object_type is ObjectType.DEAL)


def _was_on_wire(store: Store, ref: ObjectRef) -> bool:
    sent = sent_versions.sent_side(store, ref)
    return bool(sent.tried_at or sent.accepted_at)


def _goes(store: Store, order: ObjectRef) -> bool:
    """Whether the order was sent, or will be because of a live change."""
    waiting = outbox.pending(store, order, "urgency")
    return _was_on_wire(store, order) or (waiting is not None and waiting[0] == int(Urgency.LIVE))
