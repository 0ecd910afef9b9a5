"""Receipts into the state: accepted versions into the ledger, refused ones into dead letters, waiters set free.

An entry goes only if it is still the version that was sent. Use inside a store transaction; once that is on disk the
receipt is settled for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cdc.messages import contact_emails, dead_letters, ledger, unconfirmed
from cdc.messages.dependencies import dump_refs, free, link_again
from cdc.messages.outbox import SUSPECT, Entry
from cdc.model import Action, ObjectRef, Outcome
from cdc.state.store import Store


class Settlement(NamedTuple):
    """What became of one entry that was sent.

    ``retry_at_ms`` (epoch milliseconds) counts for RETRY and WRITTEN; ``park``: the entry is sent alone from now on.
    ``record_id`` and ``is_record_gone``: see ``Receipt``.
    """

    entry: Entry
    outcome: Outcome
    reason: str = ""
    detail: str = ""
    retry_at_ms: int = 0
    park: bool = False
    record_id: str = ""
    is_record_gone: bool = False


@dataclass(slots=True)
class SettleResult:
    """What settling changed: entries by outcome, waiters set free, objects to be rendered again.

    ``retried`` counts the entries that stay in the outbox, those with their properties written among them.
    """

    accepted: int = 0
    rejected: int = 0
    retried: int = 0
    freed: int = 0
    to_render: int = 0


def settle(
    store: Store, settlements: Sequence[Settlement], now_ms: int, *, unknown_resend_ms: int = 120_000
) -> SettleResult:
    """Write down the outcomes of one batch. ``unknown_resend_ms``: see unknown.py."""
    accepted = [s.entry for s in settlements if s.outcome is Outcome.ACCEPTED]
    rejected = [s for s in settlements if s.outcome is Outcome.REJECTED]
    retried = [s for s in settlements if s.outcome in (Outcome.RETRY, Outcome.WRITTEN)]
    result = SettleResult(len(accepted), len(rejected), len(retried))
    if accepted:
        _accept(store, accepted, now_ms)
        unconfirmed.accepted(store, [entry.ref for entry in accepted], now_ms + unknown_resend_ms)
        result.to_render = link_again(store, [e.ref for e in accepted if e.action is Action.UPSERT])
    for settlement in rejected:
        entry = settlement.entry
        dead_letters.add(
            store,
            dead_letters.DeadLetter(
                entry.ref, entry.action, entry.changed_at, now_ms, settlement.reason, settlement.detail, entry.position
            ),
        )
        contact_emails.refused(store, entry.ref, entry.changed_at)
        if entry.action is Action.DELETE:  # it was taken for deleted while it was on the wire (mark_tried)
            store.db.execute(
                "UPDATE ledger SET accepted_delete = (accepted_hash IS ?) WHERE kind = ? AND id = ?",
                (entry.hash, entry.ref.kind.value, entry.ref.id),
            )
    if retried:
        store.db.executemany(
            f"UPDATE outbox SET attempts = CASE WHEN ? THEN max(attempts + 1, {SUSPECT}) ELSE attempts + 1 END,"
            f" not_before_ms = ?, only_links = max(only_links, ?) WHERE {_SAME}",
            [(s.park, s.retry_at_ms, s.outcome is Outcome.WRITTEN, *_identity(s.entry)) for s in retried],
        )
    ledger.note_records(store, [(s.entry.ref, s.record_id) for s in settlements if s.record_id or s.is_record_gone])
    ledger.note_answers(store, [(s.entry.ref, _answer(s)) for s in (*rejected, *retried)], now_ms)
    done: list[ObjectRef] = [e.ref for e in accepted] + [s.entry.ref for s in rejected]
    _remove(store, accepted + [s.entry for s in rejected])
    result.freed = free(store, done)
    return result


def _answer(settlement: Settlement) -> str:
    """What was said, for the ledger; the details, which may quote values, stay with the dead letter."""
    return f"{settlement.outcome.value}: {settlement.reason}" if settlement.reason else settlement.outcome.value


_SAME = "seq = ? AND kind = ? AND id = ? AND changed_at = ?"  # seq alone is not enough: SQLite may give it out again


def _identity(entry: Entry) -> tuple[int, str, int | str, int]:
    return entry.seq, entry.ref.kind.value, entry.ref.id, entry.changed_at


def _remove(store: Store, entries: Sequence[Entry]) -> None:
    store.db.executemany(f"DELETE FROM outbox WHERE {_SAME}", [_identity(entry) for entry in entries])


def _accept(store: Store, entries: Sequence[Entry], now_ms: int) -> None:
    store.db.executemany(
        "UPDATE ledger SET accepted_hash = ?, accepted_at = ?, accepted_delete = ?, accepted_refs = ?,"
        " answered_ms = ?, answer = '' WHERE kind = ? AND id = ? AND accepted_at <= ?",
        [
            (
                entry.hash,
                entry.changed_at,
                int(entry.action is Action.DELETE),
                dump_refs(entry.refs) if entry.refs else "",
                now_ms,
                entry.ref.kind.value,
                entry.ref.id,
                entry.changed_at,
            )
            for entry in entries
        ],
    )
    contact_emails.forget(store, [entry.ref for entry in entries if entry.action is Action.DELETE])
    dead_letters.supersede(store, [(entry.ref, entry.changed_at) for entry in entries])
