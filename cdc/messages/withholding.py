"""Withholds history: orders that are older than ``history.send`` asks for, with the customers and products they use.
Once an operator has stopped the first load, all that is left of it is withheld.

A withheld object is rendered and noted in the ledger, and not sent. It is sent later if it changes, or if an object
that is sent refers to it. Use inside a store transaction.
"""

from __future__ import annotations

from cdc.messages import dead_letters, outbox
from cdc.messages.first_load import FirstCounts
from cdc.messages.ledger import Ledger, LedgerEntry
from cdc.model import ObjectRef
from cdc.protocols import Mapper, RowReader
from cdc.state.store import Store

_EMPTY = LedgerEntry()


class Withholding:
    """Decides which objects are withheld. ``first`` counts them."""

    def __init__(self, store: Store, rows: RowReader, mapper: Mapper, ledger: Ledger, first: FirstCounts) -> None:
        self._store = store
        self._rows = rows
        self._mapper = mapper
        self._ledger = ledger
        self._first = first
        self.before_ms: float | None = None
        """Orders of the history placed before this time (epoch milliseconds) are withheld; None: no orders are."""
        self.has_any = store.meta.has_withheld
        """Whether this state ever withheld an object; most states never do, and need no look-ups."""
        self._is_stopped = store.meta.is_history_stopped

    def reread(self) -> None:
        """A transaction was undone, or another process wrote the state: read the values kept in memory again."""
        self.has_any = self._store.meta.has_withheld
        self._is_stopped = self._store.meta.is_history_stopped

    def is_withheld(self, ref: ObjectRef, held: LedgerEntry | None = None) -> bool:
        """Whether the object is withheld now. ``held``: its line of the ledger, if the caller has read it."""
        held = held or self._ledger.get(ref) or _EMPTY
        # A withheld object was rendered. A deleted object is not withheld: there is nothing to send.
        if not self.has_any or held.rendered_hash is None or held.rendered_delete:
            return False
        # An object that is sent, waits to be sent, or was set aside has left the withheld history for good.
        return not self._was_chosen(ref, held) and dead_letters.show(self._store, ref) is None

    def applies_to(self, ref: ObjectRef, held: LedgerEntry) -> bool:
        """Whether to withhold this object of the history, which no sent object refers to."""
        # What HubSpot has, or will have, must stay up to date, however old it is.
        if (self.before_ms is None and not self._is_stopped) or self._was_chosen(ref, held):
            return False
        # Every order, whatever its date.
        if self._is_stopped or self.before_ms is None:
            return True
        placed_ms = self._mapper.placed_ms(ref, self._rows)
        # A customer or a product has no date of its own: it is sent with the first order that is sent.
        return placed_ms is None or placed_ms < self.before_ms

    def note(self, ref: ObjectRef, digest: bytes, held: LedgerEntry, properties: int, lsn: int) -> None:
        """The object is withheld: note its rendering. ``properties``: bitmap of names that ever had a value."""
        if not self.has_any:
            self.has_any = self._store.meta.has_withheld = True
        if held.rendered_hash is None:
            self._first.withheld[ref.object_type] += 1
        if digest != held.rendered_hash:
            self._ledger.set_rendered(ref, digest, held.rendered_at, delete=False, properties=properties, lsn=lsn)

    def _was_chosen(self, ref: ObjectRef, held: LedgerEntry) -> bool:
        """Whether the object was ever on the wire, or waits to be sent."""
        return bool(held.tried_at or held.accepted_at) or outbox.is_pending(self._store, ref)
