"""Where an object is: every position that a message can be in has its own word, and says why."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cdc.errors import OutcomeUnknownError
from cdc.messages import render_queue
from cdc.messages.trace import RowTrail, Whereabouts, trail
from cdc.model import Kind, ObjectRef, Outcome
from cdc.replica.rows import ReplicaRows
from tests.kit.clock import simulate
from tests.kit.delivery_harness import DeliveryHarness, customer, order, product, reject
from tests.kit.fakesink import FakeSink, Plan
from tests.kit.toy import ToyMapper, insert, position, toy_engine, transaction


def states(harness: DeliveryHarness, ref: ObjectRef) -> list[str]:
    """The words for an object."""
    return [one.state for one in harness.books.run(lambda store: trail(store, ref, harness.clock.now_ms())).where]


def test_every_stop_on_the_way_has_a_word(tmp_path: Path) -> None:
    """Never rendered, ready, waiting, in flight, accepted, deleted, dead letter, to be rendered."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, FakeSink(plan=lambda _: Plan(5.0, 5.0)))
        assert states(harness, customer(1)) == ["never rendered"]
        harness.books.put(customer(1))
        harness.books.put(order(1), customer(1))
        assert states(harness, customer(1)) == ["ready"]
        async with harness.running():
            await asyncio.sleep(2)
            assert states(harness, customer(1)) == ["in flight"]
            found = harness.books.run(lambda store: trail(store, order(1), 0))
            assert found.where == (Whereabouts("waiting", "waits for customer-1, which is not accepted yet"),)
            await asyncio.sleep(30)
            assert states(harness, customer(1)) == ["accepted"]
            held = harness.books.run(lambda store: trail(store, customer(1), 0)).ledger
            assert held is not None
            assert (held.answer, held.answered_ms - held.sent_ms) == ("", 10_000)
            harness.books.run(lambda store: render_queue.mark(store, customer(1)))
            assert states(harness, customer(1)) == ["to be rendered", "accepted"]
            harness.books.remove(order(1))
            harness.delivery.wake()
            await asyncio.sleep(30)
            assert states(harness, order(1)) == ["deleted"]
            harness.sink.plan = lambda _: Plan(outcomes=reject("product-1"))
            harness.books.put(product(1))
            harness.delivery.wake()
            await asyncio.sleep(30)
            assert states(harness, product(1)) == ["dead letter"]
            letter = harness.books.run(lambda store: trail(store, product(1), 0)).ledger
            assert letter is not None
            assert letter.answer == "rejected: told so"

    simulate(story())


def test_a_failed_attempt_leaves_its_answer(tmp_path: Path) -> None:
    """What a time-out or a fault of the sink brought last can be read, until something is accepted."""

    async def story() -> None:
        faults = [OutcomeUnknownError("gave no answer within 30 s")]
        harness = DeliveryHarness(tmp_path, FakeSink(plan=lambda _: Plan(error=faults.pop() if faults else None)))
        harness.books.put(customer(1))
        async with harness.running():
            await asyncio.sleep(0.1)
            held = harness.books.run(lambda store: trail(store, customer(1), 0))
            assert held.ledger is not None
            assert held.ledger.answer == "unknown: gave no answer within 30 s"
            assert [one.state for one in held.where] == ["sent once more later", "ready"]
            await asyncio.sleep(30)
            assert "accepted" in states(harness, customer(1))

    simulate(story())


def test_a_parked_message_says_when_it_is_tried_again(tmp_path: Path) -> None:
    """Parked, with the number of attempts and the time left."""

    async def story() -> None:
        harness = DeliveryHarness(
            tmp_path, FakeSink(plan=lambda _: Plan(outcomes={"magento-customer-1": Outcome.RETRY}))
        )
        harness.books.put(customer(1))
        async with harness.running():
            await asyncio.sleep(60)
        found = harness.books.run(lambda store: trail(store, customer(1), harness.clock.now_ms()))
        assert found.where[0].state == "parked"
        assert "failed attempts; again in" in found.where[0].cause

    simulate(story())


def test_the_rows_that_make_an_object_are_named_with_their_position(tmp_path: Path) -> None:
    """A renderer's reads are noted: each row by table and key, with the position of the change that wrote it."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group([transaction(100, insert("customers", 7, "ann@example.com", None))])
        engine.apply_group([transaction(200, insert("orders", 1, 7, "9.90"), insert("items", 5, 1, "A"))])
    rows = RowTrail(ReplicaRows(engine.store, engine.tables))
    ToyMapper().render(ObjectRef(Kind.ORDER, 1), rows)
    ledger = engine.renderer.ledger.get(ObjectRef(Kind.CUSTOMER, 7))

    assert {key: engine.positions.text_of(lsn) for key, lsn in rows.seen.items()} == {
        ("orders", (1,)): "binlog.000001:200",
        ("items", (5,)): "binlog.000001:200",
    }
    assert ledger is not None
    assert engine.positions.text_of(ledger.rendered_lsn) == "binlog.000001:100"
    with engine.store.transaction():
        engine.positions.begin_epoch(position(4, number=1))
    assert engine.positions.text_of(ledger.rendered_lsn).startswith("an earlier log")
    engine.close()
