"""Dead letters: messages set aside for good, each with its reason, until a newer message of the object is accepted.

A dead letter holds no content: ``retry`` renders the object again, so its newest state is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.clock import iso_s
from cdc.messages import ledger, outbox, relinks, render_queue, sent_versions
from cdc.model import Action, Kind, ObjectRef, Urgency
from cdc.state.objects import OBJECT, line, pair
from cdc.state.store import Store

RENDER = "render"
"""The reason of objects that could not be rendered. Nothing was sent, so it is not a fault of delivery."""

_ADVICE: Final[Mapping[str, str]] = {
    "refused": "read the detail: it has the receiver's own words. `magento-cdc mapping show {name}` shows the values"
    " that are sent. Correct the value in the shop, the property in HubSpot, or [mapping]; then `magento-cdc deadletter"
    " retry {name}`",
    RENDER: "read the detail: it says which value could not be rendered. Correct it in the shop, or the property in"
    " [mapping]; then `magento-cdc deadletter retry {name}`",
}
"""Advice for reasons that are ours and not a receiver's word."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message set aside. Times are epoch milliseconds; ``reason`` is a kind, ``detail`` a sentence."""

    ref: ObjectRef
    action: Action
    changed_at: int
    at_ms: int
    reason: str
    detail: str
    position: str

    @property
    def at(self) -> str:
        """When the message was set aside, as ISO 8601 in UTC."""
        return iso_s(self.at_ms)

    def advice(self, namespace: str, of_sink: Mapping[str, str]) -> str:
        """What to do about it; "" if the reason says nothing that anybody could act on. ``of_sink``: reason → advice
        of the receiver's traits.
        """
        name = self.ref.external_id(namespace)
        return of_sink.get(self.reason) or _ADVICE.get(self.reason, "").format(name=name)

    def as_dict(self, namespace: str) -> dict[str, object]:
        """The fields under their external names."""
        return {
            "object": self.ref.external_id(namespace),
            "object_type": self.ref.object_type.value,
            "action": self.action.value,
            "changed_at": self.changed_at,
            "at": self.at,
            "reason": self.reason,
            "detail": self.detail,
            "position": self.position,
        }


_COLUMNS = "kind, id, action, changed_at, at_ms, reason, detail, position"


def _letter(row: Sequence[object]) -> DeadLetter:
    kind, object_id, action, changed_at, at_ms, reason, detail, position = row
    return DeadLetter(ObjectRef(Kind(kind), object_id), Action(action), changed_at, at_ms, reason, detail, position)  # type: ignore[arg-type]  # SQLite's cells have no types


def newest(store: Store, limit: int) -> list[DeadLetter]:
    """The newest dead letters, the newest first."""
    rows = store.db.execute(f"SELECT {_COLUMNS} FROM dead_letter ORDER BY seq DESC LIMIT ?", (limit,))
    return [_letter(row) for row in rows]


def list_all(store: Store) -> list[DeadLetter]:
    """All dead letters, the oldest first."""
    return [_letter(row) for row in store.db.execute(f"SELECT {_COLUMNS} FROM dead_letter ORDER BY at_ms, seq")]


def show(store: Store, ref: ObjectRef) -> DeadLetter | None:
    """The object's dead letter, if it has one."""
    row = line(store.db, "dead_letter", _COLUMNS, ref)
    return _letter(row) if row else None


def add(store: Store, letter: DeadLetter) -> None:
    """Set a message aside. It replaces an older dead letter of the object."""
    store.db.execute(
        f"INSERT INTO dead_letter ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET"
        " action = excluded.action, changed_at = excluded.changed_at, at_ms = excluded.at_ms,"
        " reason = excluded.reason, detail = excluded.detail, position = excluded.position",
        _cells(letter),
    )


def supersede(store: Store, accepted: Sequence[tuple[ObjectRef, int]]) -> None:
    """These objects' messages (object, changed_at) were accepted: remove their older dead letters."""
    # Letters are rare; asking first saves a write per batch.
    if store.db.execute("SELECT 1 FROM dead_letter LIMIT 1").fetchone():
        store.db.executemany(
            f"DELETE FROM dead_letter WHERE {OBJECT} AND changed_at < ?",
            [(*pair(ref), changed_at) for ref, changed_at in accepted],
        )


def any_unrendered(store: Store) -> bool:
    """Whether there is a dead letter of an object that could not be rendered."""
    return store.db.execute("SELECT 1 FROM dead_letter WHERE reason = ? LIMIT 1", (RENDER,)).fetchone() is not None


def rendered(store: Store, ref: ObjectRef) -> None:
    """The object was rendered: remove a dead letter that says that it could not be."""
    store.db.execute(f"DELETE FROM dead_letter WHERE {OBJECT} AND reason = ?", (*pair(ref), RENDER))


def not_rendered(store: Store, letter: DeadLetter) -> None:
    """The object could not be rendered. Action and version of an older dead letter stay."""
    store.db.execute(
        f"INSERT INTO dead_letter ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET"
        " at_ms = excluded.at_ms, reason = excluded.reason, detail = excluded.detail, position = excluded.position",
        _cells(letter),
    )


def forget_detail(store: Store, ref: ObjectRef) -> None:
    """The object is gone from the shop: remove the receiver's text, which may quote its values."""
    store.db.execute(f"UPDATE dead_letter SET detail = '' WHERE {OBJECT} AND detail <> ''", pair(ref))


def replace_delivered(store: Store, ref: ObjectRef, letter: DeadLetter | None) -> None:
    """Set the dead letter that delivery made of the object, or remove it
    (None). A dead letter of the renderer stays.
    """
    store.db.execute(f"DELETE FROM dead_letter WHERE {OBJECT} AND reason <> ?", (*pair(ref), RENDER))
    # The leader has no letter for the object: an old one here would be reported for ever.
    if letter is not None:
        add(store, letter)


def _cells(letter: DeadLetter) -> tuple[object, ...]:
    return (
        *pair(letter.ref), letter.action.value, letter.changed_at, letter.at_ms, letter.reason, letter.detail,
        letter.position,
    )  # fmt: skip


def retry(store: Store, ref: ObjectRef) -> bool:
    """Have the object rendered and sent, even if equal; False if it has no dead letter.

    The receiver's record of the object is looked up again: people may have deleted or restored it.
    """
    # Nothing to retry.
    if not _remove(store, ref):
        return False
    held = sent_versions.sent_side(store, ref).record_id
    # People may have removed the record, so the next message looks for it instead of writing to a dead id.
    if held:
        ledger.note_records(store, [(ref, "")])
        relinks.note(store, [(ref, held)])
    render_queue.mark(store, ref, urgency=Urgency.LIVE, force=True)
    return True


def drop(store: Store, ref: ObjectRef, namespace: str) -> str:
    """Remove the dead letter. Returns a sentence that says what is lost."""
    letter = show(store, ref)
    name = ref.external_id(namespace)
    # Dropped by somebody else in between.
    if letter is None or not _remove(store, ref):
        return f"{name}: has no dead letter"
    row = line(store.db, "ledger", "accepted_at, accepted_delete", ref)
    # What is lost depends on what the receiver has now.
    if letter.action is Action.DELETE:
        lost = "its deletion is not sent; the receiver keeps it"
    elif row and row[0] and not row[1]:
        accepted = iso_s(row[0])
        lost = f"the receiver keeps its state of {accepted} until the object changes again"
    else:
        lost = "the receiver never gets it unless the object changes again"
    waiters = outbox.count_waiting_for(store, ref)
    return f"{name}: {lost}" + (f"; {waiters} message(s) that refer to it go on waiting" if waiters else "")


def _remove(store: Store, ref: ObjectRef) -> bool:
    cursor = store.db.execute(f"DELETE FROM dead_letter WHERE {OBJECT}", pair(ref))
    return cursor.rowcount > 0


def count(store: Store) -> int:
    """How many dead letters there are."""
    held: int = store.db.execute("SELECT count(*) FROM dead_letter").fetchone()[0]
    return held


def count_since(store: Store, since_ms: int, at_most: int) -> int:
    """How many messages were set aside since then, by delivery or because they could not be rendered.

    Counted up to ``at_most``: a wrong mapping or a wrong account makes thousands of either kind.
    """
    found: int = store.db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM dead_letter WHERE at_ms > ? LIMIT ?)", (since_ms, at_most)
    ).fetchone()[0]
    return found
