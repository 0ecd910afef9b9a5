"""Who goes before whom: versions of one object, references, deletions, live work before history, batches."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from cdc.delivery.lane import HISTORY_REQUESTS
from cdc.delivery.take import Ask, take
from cdc.errors import SinkUnavailableError
from cdc.messages import dead_letters, render_queue
from cdc.messages.receipts import Settlement, settle
from cdc.model import ObjectType, Outcome, Urgency
from sinks.bridge.wire import FormV1, FormV2
from tests.kit.clock import START_MS, simulate
from tests.kit.delivery_harness import DeliveryHarness, customer, item, order, product, reject
from tests.kit.fakesink import FakeSink, Plan


def test_an_order_goes_after_its_customer_and_a_line_after_its_order(tmp_path: Path) -> None:
    """A message is sent when all it refers to is accepted."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        harness.books.put(item(5), order(3), product(4))
        harness.books.put(order(3), customer(1))
        for ref in (customer(1), product(4)):
            harness.books.put(ref)

        assert await harness.deliver() == "empty"
        assert [ids for batch in harness.sent() for ids in batch] == ["customer-1", "product-4", "order-3", "item-5"]
        assert harness.books.rows("SELECT count(*) FROM outbox") == [(0,)]

    simulate(story())


def test_a_number_of_the_outbox_that_is_used_again_hides_no_message(tmp_path: Path) -> None:
    """A message may get the number of one of another lane that is settled, but not yet taken off the wire."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        books, context = harness.books, harness.delivery._context
        books.put(customer(1))
        sent = books.run(lambda store: take(store, Ask(0, (Urgency.LIVE,), True, True), context)).entries
        books.run(lambda store: settle(store, [Settlement(one, Outcome.ACCEPTED) for one in sent], START_MS))
        books.put(order(3), customer(1))
        assert books.rows("SELECT seq FROM outbox") == [(sent[0].seq,)]

        found = books.run(lambda store: take(store, Ask(1, (Urgency.LIVE,), True, True), context)).entries

        assert [one.ref for one in found] == [order(3)]

    simulate(story())


def test_a_batch_holds_one_type_and_the_older_head_goes_first(tmp_path: Path) -> None:
    """Contacts and products share a lane; the type whose oldest message waits longer is sent first."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        for ref in (product(1), customer(1), product(2), customer(2)):
            harness.books.put(ref)
        await harness.deliver()
        assert harness.sent()[:2] == [("product-1", "product-2"), ("customer-1", "customer-2")]

    simulate(story())


def test_a_newer_version_waits_for_the_one_on_the_wire(tmp_path: Path) -> None:
    """One message of an object is in flight; the entry goes only if it is the version that was sent."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, FakeSink(plan=lambda _: Plan(before_s=1.0)))
        harness.books.put(customer(1), name="old")
        async with harness.running() as delivery:
            await asyncio.sleep(0.5)
            harness.books.put(customer(1), name="new")
            delivery.wake()
            await asyncio.sleep(0.3)
            assert len(harness.sent()) == 1
            await harness.settle(delivery)
        assert [m.properties["name"] for _, batch in harness.sink.requests for m in batch] == ["old", "new"]
        assert harness.properties(customer(1)) == {"name": "new"}

    simulate(story())


def test_what_was_tried_is_noted_before_the_request_leaves(tmp_path: Path) -> None:
    """The ledger knows of every version on the wire, so a crash never makes the renderer forget one."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, FakeSink(plan=lambda _: Plan(before_s=5.0)))
        harness.books.put(customer(1), commit_ms=START_MS + 7)
        async with harness.running():
            await asyncio.sleep(1.0)
            assert harness.books.rows("SELECT tried_at, accepted_at FROM ledger") == [(START_MS + 7, 0)]

    simulate(story())


def test_a_deletion_waits_for_messages_whose_accepted_version_refers_to_it(tmp_path: Path) -> None:
    """An order's customer is deleted only once the order's newer version, without it, is accepted."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        harness.books.put(order(3), customer(1))
        harness.books.put(customer(1))
        await harness.deliver()
        harness.sink.requests.clear()

        harness.delivery = harness.make()
        harness.books.remove(customer(1))
        harness.books.put(order(3))
        assert await harness.deliver() == "empty"
        assert harness.sent() == [("order-3",), ("customer-1",)]
        assert set(harness.sink.held) == {"magento-order-3"}

    simulate(story())


def test_a_deletion_waits_for_what_is_to_be_rendered_and_still_refers_to_it(tmp_path: Path) -> None:
    """The order's rows are not all read yet, say: that it lost its customer is not in the outbox, but will be."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        harness.books.put(order(3), customer(1))
        harness.books.put(customer(1))
        await harness.deliver()
        harness.sink.requests.clear()

        harness.delivery = harness.make()
        harness.books.run(lambda store: render_queue.mark(store, order(3), not_before=1))
        harness.books.remove(customer(1))
        async with harness.running() as delivery:
            await asyncio.sleep(100)
            assert harness.sent() == []
            harness.books.run(lambda store: render_queue.done(store, [order(3)]))
            harness.books.put(order(3))
            delivery.wake()
            assert await harness.settle(delivery) == "empty"
        assert harness.sent() == [("order-3",), ("customer-1",)]

    simulate(story())


def test_nothing_refers_to_an_object_whose_deletion_is_on_the_wire(tmp_path: Path) -> None:
    """From the moment a DELETE leaves, an order with that customer waits until the customer comes anew."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        harness.books.put(customer(1))
        await harness.deliver()
        harness.books.remove(customer(1))
        harness.delivery = harness.make()
        harness.sink.plan = lambda _: Plan(before_s=1.0)
        async with harness.running() as delivery:
            await asyncio.sleep(0.5)  # the DELETE is on its way
            harness.books.put(customer(1))
            harness.books.put(order(3), customer(1))
            assert await harness.settle(delivery) == "empty"
        assert harness.sent()[-2:] == [("customer-1",), ("order-3",)]

    simulate(story())


def test_an_order_goes_without_its_dead_customer_and_again_with_it(tmp_path: Path) -> None:
    """A deal never waits for a dead letter; once the contact is accepted after all, the deal is rendered again."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, FakeSink(plan=lambda _: Plan(outcomes=reject("customer-1"))))
        harness.books.put(order(3), customer(1))
        harness.books.put(customer(1))
        assert await harness.deliver() == "empty"
        assert harness.books.letters() == [("customer", 1)]
        assert harness.sink.held["magento-order-3"].associations == {}

        harness.sink.plan = lambda _: Plan()
        harness.delivery = harness.make()
        assert harness.books.run(lambda store: dead_letters.retry(store, customer(1)))
        assert await harness.deliver() == "empty"
        assert harness.books.letters() == []
        assert harness.sink.held["magento-order-3"].associations == {ObjectType.CONTACT: ("magento-customer-1",)}

    simulate(story())


def test_a_line_waits_for_its_dead_deal_and_says_so(tmp_path: Path) -> None:
    """A line item is never sent without its deal; what it waits for is listed."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, FakeSink(plan=lambda _: Plan(outcomes=reject("order-3"))))
        harness.books.put(order(3))
        harness.books.put(item(5), order(3))
        assert await harness.deliver() == "stuck"
        assert harness.books.run(harness.delivery.causes) == [
            "magento-item-5 (UPSERT): waits for order-3, which is a dead letter"
        ]

    simulate(story())


def test_a_line_goes_without_its_dead_product_only_where_the_sink_takes_that(tmp_path: Path) -> None:
    """Whether a line needs its product is the sink's to say."""

    async def story(folder: Path, *, needs: bool) -> list[str]:
        sink = FakeSink(plan=lambda _: Plan(outcomes=reject("product-4")))
        if needs:
            sink.traits = replace(sink.traits, optional_references={})
        harness = DeliveryHarness(folder, sink)
        harness.books.put(order(3))
        harness.books.put(item(5), order(3), product(4))
        harness.books.put(product(4))
        await harness.deliver()
        return sorted(harness.sink.held)

    assert simulate(story(tmp_path / "a", needs=False)) == ["magento-item-5", "magento-order-3"]
    assert simulate(story(tmp_path / "b", needs=True)) == ["magento-order-3"]


def test_live_goes_before_history_and_lifts_what_it_refers_to(tmp_path: Path) -> None:
    """A live order pulls its customer out of the history class."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, FakeSink(max_batch=2))
        for number in range(1, 21):
            harness.books.put(customer(number), urgency=Urgency.HISTORY)
        harness.books.put(order(3), customer(20), urgency=Urgency.LIVE)
        await harness.deliver()
        contacts = [name for batch in harness.sent(ObjectType.CONTACT) for name in batch]
        assert contacts.index("customer-20") < 9  # before most of the history that stood in front of it
        assert len(contacts) == 20

    simulate(story())


def test_a_live_message_waits_for_no_request_with_history(tmp_path: Path) -> None:
    """However much history is being sent, a live message of the same lane goes at once, beside it and alone."""

    async def story() -> None:
        sink = FakeSink(max_batch=2, plan=lambda _: Plan(before_s=5, after_s=5))
        harness = DeliveryHarness(tmp_path, sink, sink={"max_delay_ms": 2000})
        for number in range(1, 21):
            harness.books.put(customer(number), urgency=Urgency.HISTORY)
        async with harness.running() as delivery:
            await asyncio.sleep(1)
            assert len(sink.requests) >= 3  # history does not go one by one
            harness.books.put(customer(99))
            delivery.wake()
            await asyncio.sleep(1)
            assert [message.external_id for message in sink.requests[-1][1]] == ["magento-customer-99"]

    simulate(story())


def test_an_accepted_message_supersedes_the_dead_letter(tmp_path: Path) -> None:
    """A newer version of the object that is accepted removes its dead letter."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, FakeSink(plan=lambda _: Plan(outcomes=reject("customer-1"))))
        harness.books.put(customer(1), name="bad")
        await harness.deliver()
        assert harness.books.letters() == [("customer", 1)]
        harness.sink.plan = lambda _: Plan()
        harness.delivery = harness.make()
        harness.books.put(customer(1), name="good")
        await harness.deliver()
        assert harness.books.letters() == []

    simulate(story())


def test_who_went_bare_repeats_the_identical_message(tmp_path: Path) -> None:
    """An unanswered message without its dead customer is repeated as it was, though the customer has come since."""

    async def story() -> None:
        sink = FakeSink(plan=lambda _: Plan(outcomes=reject("customer-1")))
        harness = DeliveryHarness(tmp_path, sink)
        harness.books.put(order(3), customer(1))
        harness.books.put(customer(1))
        async with harness.running() as delivery:
            await asyncio.sleep(0.1)
            sink.plan = lambda m: Plan(
                is_applied=False, error=SinkUnavailableError("x") if m[0].object_type is ObjectType.DEAL else None
            )
            await asyncio.sleep(1)
            sink.plan = lambda _: Plan()
            harness.books.run(lambda store: dead_letters.retry(store, customer(1)))
            await harness.settle(delivery)
        assert harness.books.rows("SELECT accepted_refs FROM ledger WHERE kind = 'order'") == [("c1=",)]

    simulate(story())


def test_messages_wait_for_company_behind_a_busy_lane_only(tmp_path: Path) -> None:
    """The first message goes at once; what comes while it is on the wire gathers for max_delay_ms."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, FakeSink(plan=lambda _: Plan(5.0, 0.0)), sink={"max_delay_ms": 200})
        async with harness.running() as delivery:
            for number in range(5):
                harness.books.put(customer(number))
                delivery.wake()
                await asyncio.sleep(0.02)
            await harness.settle(delivery)
        assert harness.sent() == [("customer-0",), ("customer-1", "customer-2", "customer-3", "customer-4")]
        assert harness.sink.requests[1][0] == pytest.approx(0.22, abs=0.01)

    simulate(story())


@pytest.mark.parametrize("letter", ["x", "я", "字", "😀"])
@pytest.mark.parametrize("form", [FormV1({}), FormV2("store")], ids=["v1", "v2"])
def test_bytes_of_a_batch_are_those_of_its_encoded_body(tmp_path: Path, letter: str, form: FormV1 | FormV2) -> None:
    """Letters that take several bytes count as such: no body is over max_batch_kb, and bodies are not half empty."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, sink={"max_batch_kb": 64})
        for number in range(400):
            text = letter * 40
            harness.books.put(customer(number), firstname=text, lastname=text, street=text, city=text, company=text)
        await harness.deliver()
        sizes = [len(form.messages(messages)[1]) for _, messages in harness.sink.requests]
        assert max(sizes) <= 64 * 1024
        assert sorted(sizes)[1] > 24 * 1024

    simulate(story())


def test_a_batch_ends_at_its_bytes(tmp_path: Path) -> None:
    """A request's body stays under max_batch_kb; a message larger than that goes alone."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, sink={"max_batch_kb": 16})
        for number, size in enumerate((7_000, 7_000, 7_000, 40_000, 100)):
            harness.books.put(customer(number), name="x" * size)
        await harness.deliver()
        assert harness.sent() == [("customer-0", "customer-1"), ("customer-2",), ("customer-3",), ("customer-4",)]

    simulate(story())


def test_little_history_is_sent_while_live_messages_are_on_the_wire(tmp_path: Path) -> None:
    """Their receipts, and what waits for them, would wait behind it: one request a lane until they are settled."""

    async def story() -> None:
        sink = FakeSink(plan=lambda _: Plan(before_s=10.0))
        harness = DeliveryHarness(tmp_path, sink, sink={"max_batch": 2})
        harness.books.put(customer(100))
        async with harness.running() as delivery:
            await asyncio.sleep(1.0)
            for number in range(20):
                harness.books.put(order(number), urgency=Urgency.HISTORY)
            delivery.wake()
            await asyncio.sleep(1.0)
            beside_live = delivery.in_flight - 1
            await asyncio.sleep(9.0)  # the live message is accepted, and the first history on its way still
            delivery.wake()
            await asyncio.sleep(0.5)

            assert (beside_live, delivery.in_flight) == (2, 2 * HISTORY_REQUESTS)

    simulate(story())
