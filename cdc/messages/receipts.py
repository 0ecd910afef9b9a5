"""Writes receipts into the state: accepted versions into the ledger, refused versions into dead letters.

Entries that waited for them are set free. An entry is removed only if it is still the version that was sent. Use inside
a store transaction; once the transaction is on disk, the receipt is settled for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cdc.messages import (
    contact_emails,
    dead_letters,
    ledger,
    outbox,
    relinks,
    render_queue,
    sent_versions,
    sent_without_reference,
    unconfirmed,
    waiting_for_parent,
)
from cdc.messages.outbox import Entry
from cdc.model import Action, ObjectRef, Outcome
from cdc.state.store import Store


class Settlement(NamedTuple):
    """The outcome of one entry that was sent.

    ``retry_at_ms`` (epoch milliseconds) counts for RETRY and WRITTEN. ``park``: the entry is sent alone from now on.
    ``record_id``, ``is_record_gone`` and ``gone``: see ``Receipt``.
    """

    entry: Entry
    outcome: Outcome
    reason: str = ""
    detail: str = ""
    retry_at_ms: int = 0
    park: bool = False
    record_id: str = ""
    is_record_gone: bool = False
    gone: tuple[ObjectRef, ...] = ()


@dataclass(slots=True)
class SettleResult:
    """What settling changed: entries by outcome, waiting entries set free, objects to be rendered again.

    ``retried`` counts the entries that stay in the outbox, also those whose properties were written.
    """

    accepted: int = 0
    rejected: int = 0
    retried: int = 0
    freed: int = 0
    to_render: int = 0


def settle(
    store: Store, settlements: Sequence[Settlement], now_ms: int, *, unknown_resend_ms: int = 120_000
) -> SettleResult:
    """Write down the outcomes of one batch. ``unknown_resend_ms``: see unconfirmed.py."""
    accepted = [s.entry for s in settlements if s.outcome is Outcome.ACCEPTED]
    rejected = [s for s in settlements if s.outcome is Outcome.REJECTED]
    retried = [s for s in settlements if s.outcome in (Outcome.RETRY, Outcome.WRITTEN)]
    result = SettleResult(len(accepted), len(rejected), len(retried))
    if accepted:
        _accept(store, accepted, now_ms)
        unconfirmed.accepted(store, [entry.ref for entry in accepted], now_ms + unknown_resend_ms)
        result.to_render = sent_without_reference.link_again(
            store, [e.ref for e in accepted if e.action is Action.UPSERT]
        )
    for settlement in rejected:
        _reject(store, settlement, now_ms)
    outbox.retry_later(
        store,
        [outbox.Retry(s.entry, s.retry_at_ms, s.park, only_links=s.outcome is Outcome.WRITTEN) for s in retried],
    )
    _note_records(store, settlements)
    for gone in {ref for s in settlements for ref in s.gone}:
        _send_anew(store, gone)
    answered = [s for s in settlements if s.outcome is not Outcome.ACCEPTED or s.reason]
    ledger.note_answers(store, [(s.entry.ref, _answer(s)) for s in answered], now_ms)
    done: list[ObjectRef] = [e.ref for e in accepted] + [s.entry.ref for s in rejected]
    outbox.remove(store, accepted + [s.entry for s in rejected])
    result.freed = outbox.free(store, done)
    return result


def _goes_on(settlement: Settlement) -> bool:
    """Whether the object has another record, or will get one when it is tried again."""
    will_get_one = settlement.outcome is Outcome.RETRY and settlement.is_record_gone
    return settlement.record_id != "" or will_get_one


def _reject(store: Store, settlement: Settlement, now_ms: int) -> None:
    """Make the refused message a dead letter."""
    entry = settlement.entry
    dead_letters.add(
        store,
        dead_letters.DeadLetter(
            entry.ref, entry.action, entry.changed_at, now_ms, settlement.reason, settlement.detail, entry.position
        ),
    )
    contact_emails.refused(store, entry.ref, entry.changed_at)
    # The receiver still holds the object, so others may go on referring to it.
    if entry.action is Action.DELETE:
        ledger.delete_refused(store, entry.ref)


def _note_records(store: Store, settlements: Sequence[Settlement]) -> None:
    """Note the receiver's record of each object, and link the referrers of objects whose record changed again."""
    ledger.note_records(store, [(s.entry.ref, s.record_id) for s in settlements if s.record_id or s.is_record_gone])
    for settlement in settlements:
        entry = settlement.entry
        # The former record's links do not count for a new record.
        if settlement.outcome is Outcome.WRITTEN and settlement.record_id != entry.record_id:
            ledger.set_links(store, entry.ref, "")
    moved = [s for s in settlements if "" != s.entry.record_id != s.record_id and _goes_on(s)]
    relinks.note(store, [(s.entry.ref, s.entry.record_id) for s in moved])


def _send_anew(store: Store, ref: ObjectRef) -> None:
    """The receiver has no record of an object that others refer to: send the object, then link its referrers again."""
    relinks.note(store, [(ref, sent_versions.sent_side(store, ref).record_id)])
    ledger.note_records(store, [(ref, "")])
    render_queue.mark(store, ref, force=True)


def _answer(settlement: Settlement) -> str:
    """The answer as text for the ledger. Details may quote values, so only the dead letter has them."""
    return f"{settlement.outcome.value}: {settlement.reason}" if settlement.reason else settlement.outcome.value


def _accept(store: Store, entries: Sequence[Entry], now_ms: int) -> None:
    ledger.accepted(store, entries, now_ms)
    contact_emails.forget(store, [entry.ref for entry in entries if entry.action is Action.DELETE])
    accepted = [(entry.ref, entry.changed_at) for entry in entries]
    dead_letters.supersede(store, accepted)
    waiting_for_parent.supersede(store, accepted)
