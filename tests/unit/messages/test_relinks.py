"""An object that gets another record: what refers to it is linked again, slice by slice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc.messages import dead_letters, relinks
from cdc.messages.receipts import Settlement, settle
from cdc.model import ObjectRef, ObjectType, Outcome
from tests.kit.delivery_harness import Books, customer, order
from tests.kit.toy import FixedClock
from tests.unit.messages.test_records import answer, take

NOW = 10_000_000


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    made = Books(tmp_path, FixedClock())
    yield made
    made.store.close()


SLICES = 3
"""A pass over the objects that may refer to a contact takes a slice for each kind: orders, and both kinds of carts."""


def work(books: Books) -> int:
    """Let it work until nothing is to be done; how many slices that took."""
    slices = 0
    while books.run(relinks.work):
        slices += 1
    return slices


def linked_order(books: Books) -> None:
    """Customer 1 with record 901, and an order that is linked to it, at rest."""
    books.put(customer(1), name="a")
    answer(books, customer(1), record_id="901")
    books.put(order(5), customer(1))
    answer(books, order(5), record_id="950")


def waiting(books: Books) -> list[ObjectRef]:
    """What is to be rendered."""
    return [ObjectRef(kind, key) for kind, key in books.rows("SELECT kind, id FROM render_queue ORDER BY kind, id")]


def test_another_record_links_what_refers_to_it_again(books: Books) -> None:
    """The order's next message does not count the contact as linked, so that it is linked to the new record."""
    linked_order(books)
    books.put(customer(1), name="b")
    answer(books, customer(1), record_id="902")

    assert work(books) == SLICES
    assert waiting(books) == [order(5)]
    books.work()
    entry = take(books, order(5))
    assert (entry.refs, entry.linked) == ((customer(1),), ())
    assert entry.record_ids[customer(1)] == "902"
    assert entry.only_links  # its values are as they were accepted


def test_the_same_record_links_nothing_again(books: Books) -> None:
    """An acceptance that names the record that is known costs nothing."""
    linked_order(books)
    books.put(customer(1), name="b")
    answer(books, customer(1), record_id="901")

    assert work(books) == 0
    assert waiting(books) == []


def test_a_reference_without_a_record_is_sent_anew_and_linked_then(books: Books) -> None:
    """A link found the contact's record gone: the contact is sent, and the order is linked once it has a record."""
    linked_order(books)
    books.put(order(5), customer(1), name="b")
    entry = take(books, order(5))
    gone = Settlement(entry, Outcome.ACCEPTED, "link_target_gone", record_id="950", gone=(customer(1),))
    books.run(lambda store: settle(store, [gone], NOW))

    assert waiting(books) == [customer(1)]
    assert work(books) == 0  # not before there is a record to link to
    books.work()
    assert take(books, customer(1)).record_id == ""
    answer_again(books, customer(1), "903")
    assert work(books) == SLICES
    assert waiting(books) == [order(5)]


def test_a_record_that_is_gone_while_the_links_are_made_links_its_referrers(books: Books) -> None:
    """The contact is tried again and gets a new record: what refers to it is linked, as after any other change."""
    linked_order(books)
    books.put(customer(1), name="b")
    answer(books, customer(1), Outcome.RETRY, is_record_gone=True)
    assert work(books) == 0
    answer_again(books, customer(1), "903")
    assert work(books) == SLICES
    assert waiting(books) == [order(5)]


def test_what_hangs_on_a_record_that_a_contact_left_is_linked_again(books: Books) -> None:
    """The contact that moved may have taken the order along: the order is linked to its own contact, and a link to the
    moved contact's new record counts as one to be ended."""
    linked_order(books)
    books.put(customer(2), name="a")
    answer(books, customer(2), record_id="901")
    books.put(order(5), customer(2))
    assert answer(books, order(5), record_id="950").linked_records == {(ObjectType.CONTACT, "901")}
    books.put(customer(1), name="b")
    answer(books, customer(1), record_id="902")

    assert work(books) == SLICES
    books.work()
    entry = take(books, order(5))
    assert (entry.refs, entry.linked, entry.linked_records) == ((customer(2),), (customer(1),), frozenset())
    assert (entry.record_ids[customer(1)], entry.record_ids[customer(2)]) == ("902", "901")


def answer_again(books: Books, ref: ObjectRef, record_id: str) -> None:
    """The receipt of a message that was taken before."""
    entry = take(books, ref)
    books.run(lambda store: settle(store, [Settlement(entry, Outcome.ACCEPTED, record_id=record_id)], NOW))


def test_many_objects_are_found_in_slices(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass over the ledger serves all objects that got another record, whatever is noted meanwhile comes after."""
    monkeypatch.setattr(relinks, "SLICE", 2)
    for number in range(1, 6):
        books.put(customer(number), name="a")
        answer(books, customer(number), record_id=f"{900 + number}")
        books.put(order(number), customer(number))
        answer(books, order(number), record_id=f"{950 + number}")
    books.run(lambda store: relinks.note(store, [(customer(1), "801"), (customer(5), "805")]))
    books.run(relinks.work)
    books.run(lambda store: relinks.note(store, [(customer(1), "901")]))

    assert work(books) >= 4
    assert waiting(books) == [order(1), order(5)]
    assert books.rows("SELECT * FROM relink") == []


def test_a_retried_dead_letter_forgets_the_record(books: Books) -> None:
    """A record that people deleted is looked for anew, else the message would be refused the same way for ever."""
    linked_order(books)
    books.put(customer(1), name="b")
    entry = take(books, customer(1))
    refused = Settlement(entry, Outcome.REJECTED, "deleted_by_people")
    books.run(lambda store: settle(store, [refused], NOW))
    assert books.run(lambda store: dead_letters.retry(store, customer(1)))
    books.work()

    assert take(books, customer(1)).record_id == ""
