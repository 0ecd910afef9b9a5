"""What was accepted and refused afterwards (the bridge judges later): the ledger's side, and the wait for a parent.

An orphan is an object refused because something it refers to was not known yet; it is rendered afresh once that is
known. Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from cdc.messages import contact_emails, dead_letters, ledger, outbox, render_queue, waiting_for_parent
from cdc.messages.dependencies import OptionalReferences, Waits
from cdc.messages.waiting_for_parent import Orphan
from cdc.model import Action, ObjectRef
from cdc.state.store import Store


def set_aside(store: Store, orphan: Orphan, now_ms: int) -> None:
    """Make it a dead letter; what waited for it is looked at anew."""
    ledger.revoked(store, orphan.ref)
    contact_emails.refused(store, orphan.ref, orphan.changed_at, is_without_record=orphan.is_without_record)
    waiting_for_parent.remove(store, orphan.ref)
    letter = dead_letters.DeadLetter(
        orphan.ref, Action.UPSERT, orphan.changed_at, now_ms, orphan.reason, orphan.detail, position=""
    )
    dead_letters.add(store, letter)
    outbox.free(store, [orphan.ref])


def send_whole(store: Store, orphan: Orphan) -> None:
    """Have a contact sent once more, with its email: the sink does not hold the one it was taken to hold."""
    ledger.revoked(store, orphan.ref)
    contact_emails.forget(store, [orphan.ref])
    render_queue.mark(store, orphan.ref, force=True)


def send_again(store: Store, orphan: Orphan) -> None:
    """Have it rendered and sent once more: it was refused for no fault of its own."""
    ledger.revoked(store, orphan.ref)
    contact_emails.refused(store, orphan.ref, orphan.changed_at, is_without_record=orphan.is_without_record)
    render_queue.mark(store, orphan.ref, force=True)


def let_wait(store: Store, orphan: Orphan) -> None:
    """Have it wait until what it refers to is known."""
    ledger.revoked(store, orphan.ref)
    waiting_for_parent.add(store, orphan)


def can_do_without(store: Store, child: ObjectRef, parent: ObjectRef, optional: OptionalReferences) -> bool:
    """Whether the parent will never come and the sink takes the child without it."""
    waits = Waits(store, optional)
    return waits.may_go_without(child.kind, parent) and not waits.is_accepted(parent) and waits.will_never_come(parent)


def render_again(store: Store, refs: Sequence[ObjectRef]) -> None:
    """What these waited for is known now."""
    for ref in refs:
        waiting_for_parent.remove(store, ref)
        render_queue.mark(store, ref, force=True)
