"""What a DELETE waits for: an object that takes its record over, and bulk invalidations that may name its referrers."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.messages import outbox, render_queue, selection, unconfirmed, waiting
from cdc.messages.contact_emails import EmailRule
from cdc.messages.dependencies import look_again
from cdc.messages.receipts import Settlement, settle
from cdc.model import BulkInvalidation, Kind, ObjectRef, Outcome, TableSpec, Urgency
from cdc.replica.affected import AffectedObjects
from cdc.state.store import Store
from sinks.jsonl import OPTIONAL_REFERENCES
from tests.kit.delivery_harness import Books, customer, order, product
from tests.kit.toy import FixedClock
from tests.unit.delivery.test_dependencies import LIMITS, NOW_MS, accept, blocked, ready

GUEST = ObjectRef(Kind.GUEST, "5f2c0000000000000000aaaa")
ADDRESS = "ann@example.com"
ITEMS = TableSpec("sales_order_item", ("item_id",), ("item_id", "order_id"))
LINES = BulkInvalidation(Kind.ITEM, "sales_order_item", "item_id", "", None)


def by_address(folder: Path) -> Books:
    """Books for a receiver that has one contact per address."""
    books = Books(folder, FixedClock())
    books.renderer.emails = EmailRule(address="email")
    return books


def settle_one(books: Books, ref: ObjectRef, outcome: Outcome) -> None:
    """The object's message is sent and has this outcome."""

    def work(store: Store) -> None:
        found = selection.ready(store, 0, NOW_MS, Urgency.LIVE, LIMITS)
        entries = [entry for entry in found.entries if entry.ref == ref]
        assert entries
        selection.note_on_wire(store, entries)
        settle(store, [Settlement(entry, outcome, "refused") for entry in entries], NOW_MS)

    books.run(work)


def a_guest_who_registers(books: Books) -> None:
    """The guest was accepted; now a customer has the address, and the guest is gone."""
    books.put(GUEST, email=ADDRESS)
    accept(books, 0)
    books.remove(GUEST)
    books.put(customer(7), email="Ann@Example.com")


@pytest.mark.parametrize("outcome", [Outcome.ACCEPTED, Outcome.REJECTED])
def test_a_guests_deletion_waits_for_the_customer_who_takes_the_record_over(tmp_path: Path, outcome: Outcome) -> None:
    """Archived first, the record would be gone for the customer; the wait ends with the customer's receipt."""
    books = by_address(tmp_path)
    a_guest_who_registers(books)
    assert ready(books, 0) == ["customer-7"]
    assert blocked(books) == [("guest-5f2c0000000000000000aaaa", "customer:7")]
    [shown] = waiting.waiting(books.store)
    assert shown.cause == "customer-7 may take its record over and has a message pending"
    settle_one(books, customer(7), outcome)
    assert ready(books, 0) == ["guest-5f2c0000000000000000aaaa"]


def test_the_customers_deletion_waits_for_the_guest_whose_orders_remain(tmp_path: Path) -> None:
    """It holds in both directions, and for history: the successor comes with the live ones then."""
    books = by_address(tmp_path)
    books.put(customer(7), email=ADDRESS)
    accept(books, 0)
    books.put(GUEST, email=ADDRESS, urgency=Urgency.HISTORY)
    books.remove(customer(7))
    assert ready(books, 0) == []
    assert ready(books, 0) == ["guest-5f2c0000000000000000aaaa"]


def test_a_successor_that_vanishes_before_it_was_sent_ends_the_wait(tmp_path: Path) -> None:
    """It leaves no receipt, so the wait is found by looking again."""
    books = by_address(tmp_path)
    a_guest_who_registers(books)
    ready(books, 0)
    books.remove(customer(7))
    assert books.run(lambda store: look_again(store, OPTIONAL_REFERENCES)) == ("", 1)
    assert ready(books, 0) == ["guest-5f2c0000000000000000aaaa"]


def test_a_contact_to_be_rendered_may_be_the_successor(tmp_path: Path) -> None:
    """Its rows are read from the server first, so its address is not known yet: the DELETE waits for its message."""
    books = by_address(tmp_path)
    books.put(GUEST, email=ADDRESS)
    accept(books, 0)
    books.remove(GUEST)
    books.run(lambda store: render_queue.mark(store, customer(7), fetch=True))
    assert ready(books, 0) == []
    assert blocked(books) == [("guest-5f2c0000000000000000aaaa", "customer:7")]


def test_deletions_of_other_addresses_and_of_other_receivers_do_not_wait(tmp_path: Path) -> None:
    """Another address, an accepted contact, and a receiver without the rule: the DELETE goes at once."""
    books = by_address(tmp_path)
    books.put(customer(7), email=ADDRESS)
    books.put(GUEST, email=ADDRESS)
    accept(books, 0)
    books.remove(GUEST)
    books.put(customer(7), email=ADDRESS, name="Ann")  # it has a record of its own: it takes nothing over
    books.put(customer(8), email="lee@example.com")
    assert sorted(ready(books, 0)) == ["customer-7", "customer-8", "guest-5f2c0000000000000000aaaa"]

    plain = Books(tmp_path / "plain", FixedClock())
    a_guest_who_registers(plain)
    assert sorted(ready(plain, 0)) == ["customer-7", "guest-5f2c0000000000000000aaaa"]


def test_a_deletion_waits_for_bulk_invalidations_of_its_referrers(tmp_path: Path) -> None:
    """A bulk invalidation may name lines that still refer to the product; once it is worked off the wait ends."""
    books = Books(tmp_path, FixedClock(), (ITEMS,))
    books.put(product(1))
    accept(books, 0)
    books.remove(product(1))
    books.run(lambda store: render_queue.add_invalidation(store, LINES, urgency=Urgency.HISTORY))
    assert ready(books, 0) == []
    assert blocked(books) == [("product-1", "bulk:item")]
    [shown] = waiting.waiting(books.store)
    assert shown.cause == "a bulk invalidation may name objects of kind item that still refer to it"
    assert books.run(lambda store: look_again(store, OPTIONAL_REFERENCES)) == ("", 0)
    assert books.run(lambda store: render_queue.work_invalidation(store, 0, 10))
    assert ready(books, 0) == ["product-1"]


def test_bulk_invalidations_that_were_dropped_end_the_wait(tmp_path: Path) -> None:
    """A bulk invalidation that is dropped as a whole frees nobody by itself; looking again does."""
    books = Books(tmp_path, FixedClock(), (ITEMS,))
    books.put(product(1))
    accept(books, 0)
    books.remove(product(1))
    books.run(lambda store: render_queue.add_invalidation(store, LINES, urgency=Urgency.HISTORY))
    ready(books, 0)
    books.run(render_queue.clear_invalidations)
    assert books.run(lambda store: look_again(store, OPTIONAL_REFERENCES)) == ("", 1)
    assert ready(books, 0) == ["product-1"]


def test_bulk_invalidations_of_other_kinds_hold_no_deletion_up(tmp_path: Path) -> None:
    """Lines refer to no contact."""
    books = Books(tmp_path, FixedClock(), (ITEMS,))
    books.put(customer(1))
    accept(books, 0)
    books.remove(customer(1))
    books.run(lambda store: render_queue.add_invalidation(store, LINES, urgency=Urgency.HISTORY))
    assert ready(books, 0) == ["customer-1"]
    assert not outbox.is_pending(books.store, order(1))


def test_a_deletion_waits_for_referrers_that_a_read_of_stale_tables_changed(tmp_path: Path) -> None:
    """The order's new row is known, but the order is rendered only once all stale tables are read."""
    books = Books(tmp_path, FixedClock())
    books.put(customer(7))
    accept(books, 0)
    books.put(order(1), customer(7))
    accept(books, 1)
    found = AffectedObjects()
    found.add([order(1)], 0)
    books.run(lambda store: render_queue.hold_found(store, found))
    books.remove(customer(7))
    assert ready(books, 0) == []
    assert blocked(books) == [("customer-7", "order:1")]
    assert books.run(lambda store: look_again(store, OPTIONAL_REFERENCES)) == ("", 0)
    books.run(lambda store: render_queue.release_found(store, 0))
    assert books.run(lambda store: look_again(store, OPTIONAL_REFERENCES)) == ("", 0)


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "timed out"])
def test_a_deletion_waits_for_referrers_whose_receipt_was_lost(tmp_path: Path, is_killed: bool) -> None:
    """The receiver may hold the order with its reference: the order's own DELETE goes first."""
    books = Books(tmp_path, FixedClock())
    books.put(customer(7))
    accept(books, 0)
    books.put(order(1), customer(7))

    def lose_the_answer(store: Store) -> None:
        entries = selection.ready(store, 1, NOW_MS, Urgency.LIVE, LIMITS).entries
        assert [entry.ref for entry in entries] == [order(1)]
        selection.note_on_wire(store, entries)
        if is_killed:
            unconfirmed.note_interrupted(store)
        else:
            unconfirmed.note_unanswered(store, entries)

    books.run(lose_the_answer)
    books.remove(order(1))
    books.remove(customer(7))
    assert ready(books, 0) == []
    assert blocked(books) == [("customer-7", "order:1")]
    accept(books, 1)
    assert ready(books, 0) == ["customer-7"]
