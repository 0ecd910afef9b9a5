"""Looking through the outbox: what waits is marked once, set free, counted and explained."""

from __future__ import annotations

from pathlib import Path

from cdc.messages import dead_letters, outbox, selection, waiting
from cdc.messages.dependencies import look_again
from cdc.messages.receipts import Settlement, settle
from cdc.messages.selection import Limits
from cdc.model import RANK, Action, ObjectType, Outcome, Urgency
from sinks.jsonl import OPTIONAL_REFERENCES
from tests.kit.delivery_harness import Books, customer, item, order, product
from tests.kit.toy import FixedClock

LINES = RANK[ObjectType.LINE_ITEM]

LIMITS = Limits(200, 1_000_000, optional=OPTIONAL_REFERENCES)
NOW_MS = 1_800_000_000_000


def ready(books: Books, rank: int, urgency: Urgency = Urgency.LIVE, limits: Limits = LIMITS) -> list[str]:
    """The names of what may be sent."""
    found = books.run(lambda store: selection.ready(store, rank, NOW_MS, urgency, limits))
    return [f"{entry.ref.kind.value}-{entry.ref.id}" for entry in found.entries]


def accept(books: Books, rank: int) -> None:
    """All of a rank that is ready is sent and accepted."""

    def work(store: object) -> None:
        found = selection.ready(books.store, rank, NOW_MS, Urgency.LIVE, LIMITS)
        selection.note_on_wire(books.store, found.entries)
        settle(books.store, [Settlement(entry, Outcome.ACCEPTED) for entry in found.entries], NOW_MS)

    books.run(work)


def blocked(books: Books) -> list[tuple[str, str]]:
    """Who waits for whom."""
    return [tuple(row) for row in books.rows("SELECT kind || '-' || id, blocked_by FROM outbox WHERE blocked_by > ''")]


def test_a_waiting_entry_is_marked_and_set_free_by_the_receipt(tmp_path: Path) -> None:
    """A backlog that waits is looked at once, not at every look."""
    books = Books(tmp_path, FixedClock())
    books.put(order(3), customer(1))
    books.put(customer(1))
    assert ready(books, 1) == []
    assert blocked(books) == [("order-3", "customer:1")]
    accept(books, 0)
    assert blocked(books) == []
    assert ready(books, 1) == ["order-3"]


def test_a_receipt_of_an_older_version_leaves_the_newer_entry(tmp_path: Path) -> None:
    """What was accepted is noted, what is pending stays."""
    books = Books(tmp_path, FixedClock())
    books.put(customer(1), name="old")
    entry = books.run(lambda store: selection.ready(store, 0, NOW_MS, Urgency.LIVE, LIMITS)).entries[0]
    books.put(customer(1), name="new")
    books.run(lambda store: settle(store, [Settlement(entry, Outcome.ACCEPTED)], NOW_MS))
    assert ready(books, 0) == ["customer-1"]
    assert books.rows("SELECT accepted_at < rendered_at FROM ledger") == [(1,)]


def test_a_wait_nobody_ends_is_found(tmp_path: Path) -> None:
    """A customer that vanished before it was ever sent leaves no receipt; its order goes without it all the same."""
    books = Books(tmp_path, FixedClock())
    books.put(order(3), customer(1))
    books.put(customer(1))
    assert ready(books, 1) == []
    books.remove(customer(1))
    assert books.run(lambda store: look_again(store, OPTIONAL_REFERENCES)) == ("", 1)
    assert ready(books, 1) == ["order-3"]


def test_a_wait_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    """Looking again neither frees what still waits nor a line whose deal is a dead letter."""
    books = Books(tmp_path, FixedClock())
    books.put(order(3))
    books.put(item(5), order(3))
    assert ready(books, LINES) == []
    assert books.run(lambda store: look_again(store, OPTIONAL_REFERENCES)) == ("", 0)
    entry = books.run(lambda store: selection.ready(store, 1, NOW_MS, Urgency.LIVE, LIMITS)).entries[0]
    books.run(lambda store: settle(store, [Settlement(entry, Outcome.REJECTED, "refused", "no")], NOW_MS))
    assert ready(books, LINES) == []
    assert books.run(lambda store: look_again(store, OPTIONAL_REFERENCES)) == ("", 0)
    assert dead_letters.drop(books.store, order(3), "magento").endswith("1 message(s) that refer to it go on waiting")


def test_what_a_live_entry_waits_for_becomes_live_all_the_way_down(tmp_path: Path) -> None:
    """A live line lifts its deal, and with it the deal's contact, out of history."""
    books = Books(tmp_path, FixedClock())
    books.put(customer(1), urgency=Urgency.HISTORY)
    books.put(order(3), customer(1), urgency=Urgency.HISTORY)
    books.put(item(5), order(3), urgency=Urgency.LIVE)
    assert ready(books, LINES) == []
    assert ready(books, 0) == ["customer-1"]


def test_a_parked_entry_comes_alone_when_its_time_has_come(tmp_path: Path) -> None:
    """What failed again and again never takes a batch with it."""
    books = Books(tmp_path, FixedClock())
    for number in range(4):
        books.put(customer(number))
    entries = books.run(lambda store: selection.ready(store, 0, NOW_MS, Urgency.LIVE, LIMITS)).entries
    parked = Settlement(entries[1], Outcome.RETRY, retry_at_ms=NOW_MS, park=True)
    later = Settlement(entries[2], Outcome.RETRY, retry_at_ms=NOW_MS + 1, park=True)
    books.run(lambda store: settle(store, [parked, later], NOW_MS))
    assert ready(books, 0) == ["customer-0"]
    assert ready(books, 0, limits=Limits(200, 1_000_000, skip={customer(0)})) == ["customer-1"]
    assert ready(books, 0, limits=Limits(200, 1_000_000, skip={customer(0), customer(1)})) == ["customer-3"]
    assert outbox.next_due_ms(books.store, 0) == NOW_MS + 1


def test_an_object_that_a_message_on_the_wire_refers_to_is_not_deleted(tmp_path: Path) -> None:
    """Else the message would arrive behind the deletion of what it refers to."""
    books = Books(tmp_path, FixedClock())
    books.put(customer(1))
    accept(books, 0)
    books.remove(customer(1))
    assert ready(books, 0, limits=Limits(200, 1_000_000, referred={customer(1)})) == []
    assert ready(books, 0) == ["customer-1"]


def test_counts_and_causes(tmp_path: Path) -> None:
    """The outbox says how much is pending by type and class, how much of it waits, and why."""
    books = Books(tmp_path, FixedClock())
    books.put(order(3), customer(1), commit_ms=NOW_MS)
    books.put(customer(1))
    books.put(product(2), urgency=Urgency.HISTORY)
    ready(books, 1)
    found = outbox.counts(books.store)
    nothing = {object_type.value: {"live": 0, "history": 0} for object_type in ObjectType}
    assert found["pending"] == nothing | {
        "CONTACT": {"live": 1, "history": 0},
        "PRODUCT": {"live": 0, "history": 1},
        "DEAL": {"live": 1, "history": 0},
    }
    assert (found["total"], found["blocked"], found["held"]) == (3, 1, 0)
    assert found["oldest_commit_ms"] == NOW_MS
    found_waiting = waiting.waiting(books.store)
    assert [(w.ref, w.action, w.cause) for w in found_waiting] == [
        (order(3), Action.UPSERT, "waits for customer-1, which is not accepted yet")
    ]


def test_retry_asks_for_a_fresh_rendering(tmp_path: Path) -> None:
    """A dead letter that is retried is rendered from the replica as it is now."""
    books = Books(tmp_path, FixedClock())
    books.put(customer(1), name="old")
    entry = books.run(lambda store: selection.ready(store, 0, NOW_MS, Urgency.LIVE, LIMITS)).entries[0]
    books.run(lambda store: settle(store, [Settlement(entry, Outcome.REJECTED, "refused", "no")], NOW_MS))
    assert ready(books, 0) == []
    assert books.run(lambda store: dead_letters.retry(store, customer(1)))
    assert not books.run(lambda store: dead_letters.retry(store, customer(1)))
    books.work()
    assert ready(books, 0) == ["customer-1"]
