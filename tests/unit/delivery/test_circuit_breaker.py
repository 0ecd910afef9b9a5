"""The circuit breaker, and deletions that the sink refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from cdc.delivery import circuit_breaker
from cdc.delivery.engine import Delivery
from cdc.errors import BatchRefusedError
from cdc.messages.dead_letters import RENDER, DeadLetter, not_rendered
from cdc.model import Action
from tests.kit.clock import simulate
from tests.kit.delivery_harness import DeliveryHarness, customer, product
from tests.kit.fakesink import FakeSink, Plan


@asynccontextmanager
async def after_deletions(folder: Path, count: int) -> AsyncIterator[tuple[DeliveryHarness, Delivery]]:
    """30 customers are accepted, and so many of them are gone; 10 deletions an hour may go."""
    harness = DeliveryHarness(folder, delivery={"max_deletes_per_hour": 10})
    for number in range(30):
        harness.books.put(customer(number))
    async with harness.running() as delivery:
        assert await harness.settle(delivery) == "empty"
        for number in range(count):
            harness.books.remove(customer(number))
        delivery.wake()
        yield harness, delivery


def test_a_mass_deletion_is_held_until_released(tmp_path: Path) -> None:
    """Over the limit no DELETE is sent at all; released ones go, and the count begins anew."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, delivery={"max_deletes_per_hour": 10})
        for number in range(30):
            harness.books.put(customer(number))
        await harness.deliver()
        for number in range(11):
            harness.books.remove(customer(number))
        harness.delivery = harness.make()
        async with harness.running() as delivery:
            assert await harness.settle(delivery) == "stuck"
            await asyncio.sleep(3)
            assert delivery.reason.startswith("deletes: 11 deletions are held")
            assert len(harness.sink.held) == 30
            assert len(harness.books.run(lambda store: circuit_breaker.held(store))) == 11
            now_ms = harness.clock.now_ms()
            assert harness.books.run(lambda store: circuit_breaker.release(store, now_ms)) == 11
            await asyncio.sleep(3)
            assert await harness.settle(delivery) == "empty"
            assert delivery.is_accepting
        assert len(harness.sink.held) == 19

    simulate(story())


@pytest.mark.parametrize(
    ("held", "deleted", "is_held"),
    [
        pytest.param(90, 90, True, id="a wrong filter in a small shop: all of 90"),
        pytest.param(480, 480, True, id="all of a shop under the number per hour"),
        pytest.param(200, 40, True, id="exactly a fifth"),
        pytest.param(200, 39, False, id="less than a fifth"),
        pytest.param(20, 20, False, id="all of a shop so small that nobody would call it a mass"),
        pytest.param(21, 21, True, id="one more"),
    ],
)
def test_deletions_of_a_fifth_of_what_is_held_are_held(tmp_path: Path, held: int, deleted: int, is_held: bool) -> None:
    """Over 20 deletions within an hour are held from a fifth of what the receiver holds, whatever the cause."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        for number in range(held):
            harness.books.put(customer(number))
        await harness.deliver()
        for number in range(deleted):
            harness.books.remove(customer(number))
        harness.delivery = harness.make()
        async with harness.running() as delivery:
            assert await harness.settle(delivery) == ("stuck" if is_held else "empty")
            await asyncio.sleep(3)
            assert len(harness.sink.held) == (held if is_held else held - deleted)
            for setting in ("max_deletes_per_hour", "max_deletes_share (20%)", "deletes release"):
                assert (setting in delivery.reason) is is_held

    simulate(story())


def test_deletions_that_were_sent_within_the_hour_count_for_the_fifth(tmp_path: Path) -> None:
    """Deletions that come a few at a time are held once those of an hour are a fifth of what was held before them."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        for number in range(200):
            harness.books.put(customer(number))
        async with harness.running() as delivery:
            await harness.settle(delivery)
            for number in range(100):
                harness.books.remove(customer(number))
                delivery.wake()
                await harness.settle(delivery)
            assert len(harness.sink.held) == 161

    simulate(story())


def test_a_release_between_two_looks_at_the_brake_wakes_the_lanes(tmp_path: Path) -> None:
    """DELETEs go within seconds even if the circuit breaker tripped and was released before housekeeping saw it."""

    async def story() -> None:
        async with after_deletions(tmp_path, 11) as (harness, delivery):
            await asyncio.sleep(0.2)
            assert len(harness.books.run(lambda store: circuit_breaker.held(store))) == 11
            assert not delivery.reason  # no round of housekeeping has seen the circuit breaker
            harness.books.run(lambda store: circuit_breaker.release(store, harness.clock.now_ms()))
            await asyncio.sleep(3)
            assert len(harness.sink.held) == 19

    simulate(story())


def test_deletions_released_by_name_go_and_the_rest_stays_held(tmp_path: Path) -> None:
    """The circuit breaker holds the rest until nothing is held any more, and then counts from 0 again."""

    async def story() -> None:
        async with after_deletions(tmp_path, 12) as (harness, delivery):
            await asyncio.sleep(3)
            refs = [one.ref for one in harness.books.run(circuit_breaker.held)]
            now_ms = harness.clock.now_ms()
            assert harness.books.run(lambda store: circuit_breaker.release(store, now_ms, refs[:2])) == 2
            await asyncio.sleep(3)
            assert (len(harness.sink.held), len(harness.books.run(circuit_breaker.held))) == (28, 10)
            assert not delivery.is_accepting

            assert harness.books.run(lambda store: circuit_breaker.release(store, now_ms, refs)) == 10
            await asyncio.sleep(3)
            assert await harness.settle(delivery) == "empty"
            assert delivery.is_accepting
        assert len(harness.sink.held) == 18

    simulate(story())


def test_the_circuit_breaker_ends_by_itself_when_no_deletion_is_left(tmp_path: Path) -> None:
    """Held deletions whose objects come back leave nothing to hold, so the next single deletion goes."""

    async def story() -> None:
        async with after_deletions(tmp_path, 11) as (harness, delivery):
            await asyncio.sleep(3)
            assert delivery.reason.startswith("deletes: 11 deletions are held")
            for number in range(10):
                harness.books.put(customer(number))  # as a filter or a database that is right again renders them
            delivery.wake()
            await asyncio.sleep(3)
            assert delivery.reason.startswith("deletes: 1 deletions are held")  # what is left still waits for a person

            harness.books.put(customer(10))
            delivery.wake()
            await asyncio.sleep(3)
            assert delivery.is_accepting
            harness.books.remove(customer(0))
            delivery.wake()
            assert await harness.settle(delivery) == "empty"
        assert len(harness.sink.held) == 29

    simulate(story())


def test_deletions_sent_before_a_circuit_breaker_ended_by_itself_still_count(tmp_path: Path) -> None:
    """The hour's count is not forgotten as after a release by a person, so a flapping cause cannot leak deletions."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, delivery={"max_deletes_per_hour": 10})
        for number in range(40):
            harness.books.put(customer(number))
        async with harness.running() as delivery:
            await harness.settle(delivery)
            for held in (range(8), range(8, 20)):
                for number in held:
                    harness.books.remove(customer(number))
                delivery.wake()
                await asyncio.sleep(3)
            assert delivery.reason.startswith("deletes: 12 deletions are held")
            for number in range(8, 20):
                harness.books.put(customer(number))
            delivery.wake()
            await asyncio.sleep(3)
            assert delivery.is_accepting

            for number in range(8, 11):
                harness.books.remove(customer(number))
            delivery.wake()
            await asyncio.sleep(3)
            assert delivery.reason.startswith("deletes: 3 deletions are held")
        assert len(harness.sink.held) == 32

    simulate(story())


def test_a_deletion_on_the_wire_counts_though_its_object_came_back(tmp_path: Path) -> None:
    """Its message left the outbox for the object's newer one, and it may land all the same: the limit holds with it."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, delivery={"max_deletes_per_hour": 2})
        books = harness.books
        for number in range(5):
            books.put(customer(number))
        await harness.deliver()
        harness.sink.plan = lambda messages: Plan(after_s=5.0 if messages[0].action is Action.DELETE else 0.02)
        books.remove(customer(0))
        harness.delivery = harness.make()
        async with harness.running() as delivery:
            await asyncio.sleep(1)
            books.put(customer(0), name="back")
            books.remove(customer(1))
            books.remove(customer(2))
            delivery.wake()
            await asyncio.sleep(20)
            assert {*harness.sink.held} >= {"magento-customer-1", "magento-customer-2"}
            assert delivery.reason.startswith("deletes: 2 deletions are held")

    simulate(story())


def test_deletions_within_the_limit_go(tmp_path: Path) -> None:
    """An hour's worth of deletions is sent without anybody's leave; the next hour has its own."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, delivery={"max_deletes_per_hour": 10})
        for number in range(30):
            harness.books.put(customer(number))
        async with harness.running() as delivery:
            for start in (0, 10):
                for number in range(start, start + 10):
                    harness.books.remove(customer(number))
                delivery.wake()
                assert await harness.settle(delivery) == "empty"
                await asyncio.sleep(3700)
        assert len(harness.sink.held) == 10

    simulate(story())


def test_too_many_dead_letters_stop_sending(tmp_path: Path) -> None:
    """A fault that makes every message of one kind bad must not turn the whole outbox into dead letters."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, FakeSink(max_batch=5), delivery={"max_dead_letters_per_hour": 10})
        harness.sink.poison = {f"magento-customer-{number}" for number in range(200)}
        for number in range(200):
            harness.books.put(customer(number))
            harness.books.put(product(number))  # these are taken, so the account is not to blame
        async with harness.running() as delivery:
            assert await harness.settle(delivery) == "stuck"
            assert delivery.reason.startswith("dead_letters")
            assert 10 < len(harness.books.letters()) < 40

    simulate(story())


def test_objects_that_cannot_be_rendered_count_for_the_circuit_breaker(tmp_path: Path) -> None:
    """A wrong mapping makes dead letters by the thousand before anything is sent: that stops sending, too."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, delivery={"max_dead_letters_per_hour": 10})
        now_ms = harness.clock.now_ms()
        for number in range(11):
            letter = DeadLetter(customer(number), Action.UPSERT, 1, now_ms + 1, RENDER, "the total is no number", "")
            harness.books.run(partial(not_rendered, letter=letter))
        async with harness.running() as delivery:
            await asyncio.sleep(3)
            assert delivery.reason.startswith("dead_letters")

    simulate(story())


def test_a_refused_deletion_leaves_the_object_in_place(tmp_path: Path) -> None:
    """While a DELETE is on the wire the object counts as deleted; refused, it counts as there again."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        harness.books.put(customer(1))
        await harness.deliver()
        harness.delivery = harness.make()
        harness.sink.plan = lambda m: Plan(
            is_applied=False, error=BatchRefusedError("no") if m[0].action is Action.DELETE else None
        )
        harness.books.remove(customer(1))
        await harness.deliver()
        assert harness.books.rows("SELECT accepted_delete FROM ledger") == [(0,)]
        assert harness.books.letters() == [("customer", 1)]

    simulate(story())
