"""What a dry run counts as held by the receiver."""

from __future__ import annotations

from pathlib import Path

from cdc.messages import selection
from cdc.messages.held_objects import HeldObjects
from cdc.messages.receipts import Settlement, settle
from cdc.messages.selection import Limits
from cdc.model import ObjectRef, Outcome, Urgency
from cdc.state.copies import STATE_FILE
from tests.kit.delivery_harness import Books, customer
from tests.kit.toy import FixedClock


def send(books: Books, outcome: Outcome | None = Outcome.ACCEPTED) -> None:
    """Send what waits; None: it is on its way."""
    limits = Limits(messages=100, size=1 << 20)
    found = books.run(lambda store: selection.ready(store, 0, 10_000_000, Urgency.LIVE, limits))
    books.run(lambda store: selection.note_on_wire(store, found.entries, 1))
    if outcome is not None:
        books.run(lambda store: settle(store, [Settlement(entry, outcome) for entry in found.entries], 1))


def test_receipts_decide_what_is_held(tmp_path: Path) -> None:
    """Held from the acceptance on until a deletion is accepted, and not again when the object comes back unsent."""
    books = Books(tmp_path, FixedClock())
    held = HeldObjects(tmp_path / STATE_FILE)
    who: ObjectRef = customer(1)
    books.put(who, name="a")
    seen = [(held.has(who), held.count())]
    send(books)
    seen.append((held.has(who), held.count()))
    books.remove(who)
    send(books, None)  # the DELETE is on the wire
    seen.append((held.has(who), held.count()))
    send(books)
    seen.append((held.has(who), held.count()))
    books.put(who, name="a")
    send(books, None)
    seen.append((held.has(who), held.count()))
    held.close()
    books.store.close()

    assert seen == [(False, 0), (True, 1), (True, 1), (False, 0), (False, 0)]


def test_nothing_is_held_without_a_state(tmp_path: Path) -> None:
    """A dry run before the first run counts from nothing."""
    assert HeldObjects(tmp_path / STATE_FILE).count() == 0
