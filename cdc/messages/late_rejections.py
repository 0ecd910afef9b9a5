"""Messages that the bridge accepted and refused afterwards: what the ledger notes of them, and the wait for a parent.

An object may be refused because the bridge did not know its parent yet. Then the object waits, and is rendered again
once the parent is known. Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from cdc.messages import contact_emails, dead_letters, ledger, outbox, render_queue, waiting_for_parent
from cdc.messages.dependencies import OptionalReferences, Waits
from cdc.messages.waiting_for_parent import LateRejection
from cdc.model import Action, ObjectRef
from cdc.state.store import Store


def set_aside(store: Store, rejection: LateRejection, now_ms: int) -> None:
    """Make the message a dead letter, and look again at the entries that wait for its object."""
    ledger.revoked(store, rejection.ref)
    contact_emails.refused(store, rejection.ref, rejection.changed_at, is_without_record=rejection.is_without_record)
    waiting_for_parent.remove(store, rejection.ref)
    letter = dead_letters.DeadLetter(
        rejection.ref, Action.UPSERT, rejection.changed_at, now_ms, rejection.reason, rejection.detail, position=""
    )
    dead_letters.add(store, letter)
    outbox.free(store, [rejection.ref])


def send_whole(store: Store, rejection: LateRejection) -> None:
    """Send a contact once more with its email: the sink does not hold the address that the ledger had noted."""
    ledger.revoked(store, rejection.ref)
    contact_emails.forget(store, [rejection.ref])
    render_queue.mark(store, rejection.ref, force=True)


def send_again(store: Store, rejection: LateRejection) -> None:
    """Render and send the object once more: the refusal was no fault of the object."""
    ledger.revoked(store, rejection.ref)
    contact_emails.refused(store, rejection.ref, rejection.changed_at, is_without_record=rejection.is_without_record)
    render_queue.mark(store, rejection.ref, force=True)


def let_wait(store: Store, rejection: LateRejection) -> None:
    """Let the object wait until its parent is known."""
    ledger.revoked(store, rejection.ref)
    waiting_for_parent.add(store, rejection)


def can_do_without(store: Store, child: ObjectRef, parent: ObjectRef, optional: OptionalReferences) -> bool:
    """Whether the parent will never come and the sink takes the child without it."""
    waits = Waits(store, optional)
    return waits.may_go_without(child.kind, parent) and not waits.is_accepted(parent) and waits.will_never_come(parent)


def render_again(store: Store, refs: Sequence[ObjectRef]) -> None:
    """Render these objects again: their parent is known now."""
    for ref in refs:
        waiting_for_parent.remove(store, ref)
        render_queue.mark(store, ref, force=True)
