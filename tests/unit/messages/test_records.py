"""What receivers that name records themselves are told of an object, and what is kept of their answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc.delivery.batch_sender import message_of
from cdc.messages import selection, unconfirmed
from cdc.messages.contact_emails import EmailRule
from cdc.messages.outbox import Entry
from cdc.messages.receipts import Settlement, settle
from cdc.messages.selection import Limits
from cdc.model import Action, ObjectRef, ObjectType, Outcome, Reference, Rendered, Urgency
from tests.kit.delivery_harness import Books, customer, order
from tests.kit.toy import FixedClock

_LIMITS = Limits(messages=100, size=1 << 20)
_LATER_MS = 10_000_000


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    made = Books(tmp_path, FixedClock())
    yield made
    made.store.close()


def take(books: Books, ref: ObjectRef) -> Entry:
    """The object's entry, as delivery takes it, marked as tried."""
    for urgency in Urgency:
        rank = {ObjectType.CONTACT: 0, ObjectType.DEAL: 1}[ref.object_type]
        found = books.run(lambda store: selection.ready(store, rank, _LATER_MS, urgency, _LIMITS))  # noqa: B023  # runs now
        for entry in found.entries:
            if entry.ref == ref:
                books.run(lambda store: selection.note_on_wire(store, [entry], _LATER_MS))  # noqa: B023  # runs now
                return entry
    raise AssertionError(f"{ref} is not ready")


def answer(
    books: Books,
    ref: ObjectRef,
    outcome: Outcome = Outcome.ACCEPTED,
    *,
    record_id: str = "",
    is_record_gone: bool = False,
) -> Entry:
    """Send the object's message and settle it with this receipt."""
    entry = take(books, ref)
    settlement = Settlement(entry, outcome, record_id=record_id, is_record_gone=is_record_gone)
    books.run(lambda store: settle(store, [settlement], _LATER_MS))
    return entry


def test_a_new_object_has_no_record(books: Books) -> None:
    """What was never accepted comes without a record, and nothing says that it may exist."""
    books.put(customer(1))
    entry = take(books, customer(1))

    assert (entry.record_id, entry.was_accepted, entry.may_repeat, entry.linked) == ("", False, False, ())


def test_the_record_of_a_receipt_goes_with_the_next_message(books: Books) -> None:
    """The receiver's record id is kept and handed to every later message of the object."""
    books.put(customer(1), name="a")
    answer(books, customer(1), record_id="901")
    books.put(customer(1), name="b")
    entry = take(books, customer(1))

    assert (entry.record_id, entry.was_accepted) == ("901", True)


def test_an_answer_without_a_record_leaves_the_known_one(books: Books) -> None:
    """A receipt that names no record says nothing of the record that is known."""
    books.put(customer(1), name="a")
    answer(books, customer(1), record_id="901")
    books.put(customer(1), name="b")
    answer(books, customer(1))
    books.put(customer(1), name="c")

    assert take(books, customer(1)).record_id == "901"


def test_a_refused_message_may_tell_the_record_too(books: Books) -> None:
    """A record that was found by a message that failed is kept: the next one need not look for it."""
    books.put(customer(1), name="a")
    answer(books, customer(1), Outcome.RETRY, record_id="901")

    assert take(books, customer(1)).record_id == "901"


def test_a_deletion_keeps_the_record(books: Books) -> None:
    """A contact that was kept in HubSpot is the same record when its customer comes back."""
    books.put(customer(1), name="a")
    answer(books, customer(1), record_id="901")
    books.remove(customer(1))
    assert answer(books, customer(1), record_id="901").action is Action.DELETE
    books.put(customer(1), name="a")

    assert take(books, customer(1)).record_id == "901"


def test_a_record_that_is_gone_is_forgotten(books: Books) -> None:
    """After a receipt that says so the object comes back without a record."""
    books.put(customer(1), name="a")
    answer(books, customer(1), record_id="901")
    books.remove(customer(1))
    answer(books, customer(1), is_record_gone=True)
    books.put(customer(1), name="a")

    assert take(books, customer(1)).record_id == ""


def test_a_message_names_the_records_it_refers_to_and_was_linked_to(books: Books) -> None:
    """References carry the records of their objects, and so do those of the last accepted version."""
    for number in (1, 2):
        books.put(customer(number))
    for number in (1, 2):
        answer(books, customer(number), record_id=f"90{number}")
    books.put(order(5), customer(1), name="a")
    answer(books, order(5), record_id="500")
    books.put(order(5), customer(2), name="a")
    message = message_of(take(books, order(5)), "magento")

    assert message.record_id == "500"
    assert message.references == (Reference(ObjectType.CONTACT, "magento-customer-2", "902"),)
    assert message.linked == (Reference(ObjectType.CONTACT, "magento-customer-1", "901"),)


def test_a_written_message_stays_to_be_linked(books: Books) -> None:
    """With the properties written and the links not, the entry stays and says that only the linking is left."""
    books.put(customer(1))
    answer(books, customer(1), record_id="901")
    books.put(order(5), customer(1))
    first = answer(books, order(5), Outcome.WRITTEN, record_id="500")
    again = take(books, order(5))

    assert (again.only_links, again.attempts, again.changed_at) == (True, 1, first.changed_at)
    assert (again.record_id, again.was_accepted) == ("500", False)


def test_a_retry_after_the_properties_were_written_links_only(books: Books) -> None:
    """What was written once stays written, whatever later attempts to link it bring."""
    books.put(customer(1))
    answer(books, customer(1), Outcome.WRITTEN, record_id="901")
    answer(books, customer(1), Outcome.RETRY)

    assert take(books, customer(1)).only_links


def test_a_newer_version_is_sent_whole(books: Books) -> None:
    """A version that replaces a written one has properties of its own to write."""
    books.put(customer(1), name="a")
    answer(books, customer(1), Outcome.WRITTEN, record_id="901")
    books.put(customer(1), name="b")
    entry = take(books, customer(1))

    assert (entry.only_links, entry.attempts, entry.record_id) == (False, 0, "901")


def test_an_unconfirmed_attempt_goes_with_the_message(books: Books) -> None:
    """After an attempt without an answer the object may exist already, and the message says so."""
    books.put(customer(1))
    entry = take(books, customer(1))
    books.run(lambda store: unconfirmed.note_unanswered(store, [entry]))

    assert take(books, customer(1)).may_repeat


def test_history_is_told_from_changes_of_now(books: Books) -> None:
    """What the snapshot brought is a backfill until a change of now replaces it; a promotion does not make it one."""
    books.put(customer(1), urgency=Urgency.HISTORY, name="a")
    books.put(customer(2), urgency=Urgency.HISTORY, name="a")
    books.put(customer(2), name="b")
    books.put(order(5), customer(1))
    books.run(lambda store: selection.ready(store, 1, _LATER_MS, Urgency.LIVE, _LIMITS))

    promoted, changed = take(books, customer(1)), take(books, customer(2))
    assert (promoted.urgency, promoted.is_backfill) == (Urgency.LIVE, True)
    assert not changed.is_backfill


def sent_order(books: Books) -> None:
    """Customers 1 and 2 with one record, and an order of customer 1 that was accepted."""
    for number in (1, 2):
        books.put(customer(number))
        answer(books, customer(number), record_id="901")
    books.put(order(5), customer(1), name="a")
    answer(books, order(5), record_id="500")


def test_another_reference_alone_is_a_matter_of_links(books: Books) -> None:
    """Values that were accepted are not written again, and a link to the same record counts as made."""
    sent_order(books)
    books.put(order(5), customer(2), name="a")
    entry = take(books, order(5))

    assert (entry.only_links, entry.linked_records) == (True, frozenset({(ObjectType.CONTACT, "901")}))


def test_a_repeated_attempt_writes_as_much_as_the_first(books: Books) -> None:
    """The attempt itself does not turn a matter of links into a write."""
    sent_order(books)
    books.put(order(5), customer(2), name="a")
    answer(books, order(5), Outcome.RETRY, record_id="500")

    assert take(books, order(5)).only_links


def test_values_that_may_not_be_there_are_written(books: Books) -> None:
    """After an attempt with other values, a refused version, or a request to send it anyway, the message goes whole."""
    sent_order(books)
    books.put(order(5), customer(1), name="b")
    answer(books, order(5), Outcome.RETRY, record_id="500")
    books.put(order(5), customer(2), name="a")
    assert not answer(books, order(5), record_id="500").only_links

    books.shop[order(5)] = Rendered({"name": "a"}, (customer(1),))
    books.render(order(5), force=True)
    assert not take(books, order(5)).only_links


def test_a_link_to_a_record_that_changed_hands_does_not_count(books: Books) -> None:
    """While the former contact is to be sent, or left the record, nobody knows where its links are."""
    sent_order(books)
    books.put(order(5), customer(2), name="a")
    books.put(customer(1), name="b")
    assert take(books, order(5)).linked_records == frozenset()
    answer(books, customer(1), record_id="902")
    assert take(books, order(5)).linked_records == frozenset()


def test_a_deal_waits_for_a_contact_that_may_be_moving(books: Books) -> None:
    """A contact on the wire with another address may leave its record, so what refers to it is not linked meanwhile."""
    sent_order(books)
    books.put(order(5), customer(1), name="b")
    limits = _LIMITS._replace(moving={customer(1)})
    assert not books.run(lambda store: selection.ready(store, 1, _LATER_MS, Urgency.LIVE, limits)).entries
    assert books.run(lambda store: selection.ready(store, 1, _LATER_MS, Urgency.LIVE, _LIMITS)).entries


def test_a_contact_that_may_move_waits_for_deals_on_the_wire(books: Books) -> None:
    """The other way round; a contact whose address stays as it is does not wait."""
    books.renderer.emails = EmailRule(address="email")
    books.put(customer(1), email="ann@example.com")
    answer(books, customer(1), record_id="901")
    limits = _LIMITS._replace(referred={customer(1)})
    books.put(customer(1), email="ann@example.com", city="Brno")
    [entry] = books.run(lambda store: selection.ready(store, 0, _LATER_MS, Urgency.LIVE, limits)).entries
    assert not entry.may_move
    books.put(customer(1), email="bob@example.com")
    assert not books.run(lambda store: selection.ready(store, 0, _LATER_MS, Urgency.LIVE, limits)).entries
    assert take(books, customer(1)).may_move
