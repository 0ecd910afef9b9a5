"""Follows one object through the state: the rows that it is made of, and where its newest message is now.

Nothing is written. Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from cdc.messages import dead_letters, outbox, render_queue, unconfirmed, waiting, waiting_for_parent
from cdc.messages.ledger import Ledger, LedgerEntry
from cdc.messages.refs import HELD_DELETE
from cdc.model import Action, ObjectRef, Row, Value
from cdc.replica.rows import ReplicaRows, Stored, TableRows
from cdc.state.store import Store

T = TypeVar("T")


class RowTrail:
    """A ``RowReader`` that notes which rows a renderer reads; small reference tables are not noted."""

    def __init__(self, rows: ReplicaRows) -> None:
        self._rows = rows
        self.seen: dict[tuple[str, tuple[Value, ...]], int] = {}
        """(table, key) → LSN."""

    def get(self, table: str, *key: Value) -> Row | None:
        """See ``RowReader``."""
        rows = self._rows.tables.get(table)
        # A table of the state: its rows are none of the shop's, and have no position in the log.
        if rows is None:
            return self._rows.get(table, *key)
        stored = rows.get(key)
        return self._noted(rows, stored) if stored else None

    def find(self, table: str, column: str, value: Value) -> Sequence[Row]:
        """See ``RowReader``."""
        rows = self._rows.tables.get(table)
        return [self._noted(rows, stored) for stored in rows.find(column, value)] if rows else []

    def descending(self, table: str, column: str, value: Value, order: tuple[str, ...]) -> Iterator[Row]:
        """See ``RowReader``."""
        rows = self._rows.tables.get(table)
        if rows:
            for stored in rows.descending(column, value, order):
                yield self._noted(rows, stored)

    def totals(self, table: str, column: str, value: Value) -> Sequence[Row] | None:
        """See ``RowReader``. Totals are no rows of the shop, so they are not noted."""
        return self._rows.totals(table, column, value)

    def reference(self, name: str, build: Callable[[Any], T]) -> T:
        """See ``RowReader``."""
        return self._rows.reference(name, build)

    def _noted(self, rows: TableRows, stored: Stored) -> Row:
        self.seen[rows.spec.name, rows.key_of(stored)] = stored[-1]
        return rows.as_row(stored)


class Whereabouts(NamedTuple):
    """Where an object, or its newest message, is: a fixed word and a sentence.

    ``detail``: what the receiver said of the object, which may quote a value.
    """

    state: str
    plain_cause: str = ""
    detail: str = ""

    @property
    def cause(self) -> str:
        """The sentence with the detail."""
        return f"{self.plain_cause}: {self.detail}" if self.detail else self.plain_cause


NEVER_RENDERED: Final = Whereabouts("never rendered")
"""Nothing is known of the object."""


class Pending(NamedTuple):
    """The unsent message. Times are epoch milliseconds; ``properties`` and ``refs`` are JSON."""

    action: Action
    changed_at: int
    properties: str
    refs: str
    position: str
    rendered_ms: int
    attempts: int
    not_before_ms: int
    blocked_by: str | None


@dataclass(frozen=True, slots=True)
class Trail:
    """What the state knows of one object. ``ledger`` is None for an object that was never rendered."""

    ref: ObjectRef
    ledger: LedgerEntry | None
    pending: Pending | None
    where: tuple[Whereabouts, ...]


def trail(store: Store, ref: ObjectRef, now_ms: int) -> Trail:
    """Look up an object."""
    held = Ledger(store).get(ref)
    columns = "action, changed_at, properties, refs, position, rendered_ms, attempts, not_before_ms, blocked_by"
    row = outbox.pending(store, ref, columns)
    pending = Pending(Action(row[0]), *row[1:]) if row else None
    found = [*_unrendered(store, ref), *_set_aside(store, ref)]
    if pending is not None:
        found.append(_pending(store, ref, pending, held, now_ms))
    elif held is None:
        # Neither rendered nor queued.
        found = found or [NEVER_RENDERED]
    elif not {"dead letter", "waits for its parent"} & {one.state for one in found}:
        found.append(_settled(held))
    return Trail(ref, held, pending, tuple(found))


def _unrendered(store: Store, ref: ObjectRef) -> Iterator[Whereabouts]:
    asked = render_queue.get(store, ref)
    if asked is not None:
        why = "its rows are read from the server first" if asked.fetch else "as soon as its turn comes"
        yield Whereabouts("to be rendered", why)


def _set_aside(store: Store, ref: ObjectRef) -> Iterator[Whereabouts]:
    letter = dead_letters.show(store, ref)
    if letter is not None:
        yield Whereabouts("dead letter", letter.reason, letter.detail)
    waits = waiting_for_parent.get(store, ref)
    if waits is not None:
        reason = waits[2]
        yield Whereabouts("waits for its parent", f"refused with {reason}; rendered again once the parent is known")
    if unconfirmed.is_noted(store, ref):
        yield Whereabouts("sent once more later", "an attempt got no answer and may still land over a newer version")


def _pending(store: Store, ref: ObjectRef, pending: Pending, held: LedgerEntry | None, now_ms: int) -> Whereabouts:
    if pending.blocked_by is not None:
        cause = waiting.cause_of(store, pending.action.value, pending.blocked_by)
        return Whereabouts("held by the circuit breaker" if pending.blocked_by == HELD_DELETE else "waiting", cause)
    # It went out, and the answer is older than the sending.
    if held is not None and held.tried_at >= pending.changed_at and held.answered_ms < held.sent_ms:
        return Whereabouts("in flight", "sent, no answer yet; or the process ended before it came")
    if pending.attempts >= outbox.SUSPECT:
        wait_s = max(0, pending.not_before_ms - now_ms) / 1000
        return Whereabouts("parked", f"after {pending.attempts} failed attempts; again in {wait_s:.0f} s")
    if not pending.attempts and pending.not_before_ms > now_ms:
        wait_s = (pending.not_before_ms - now_ms) / 1000
        return Whereabouts("delayed", f"a deletion waits delivery.delete_grace_s; it goes in {wait_s:.0f} s")
    return Whereabouts("ready", "to be tried again" if pending.attempts else "its turn has not come yet")


def _settled(held: LedgerEntry) -> Whereabouts:
    # The receiver never knew it.
    if held.rendered_delete and not held.tried_at and not held.accepted_at:
        return Whereabouts("gone", "the object was deleted before it was ever sent")
    if not held.accepted_at and not held.tried_at and held.rendered_hash is not None:
        return Whereabouts("withheld", "by history.send; it is sent when it changes, or with an order that is sent")
    if not held.accepted_at:
        return Whereabouts("not accepted")
    return Whereabouts("deleted" if held.accepted_delete else "accepted")
