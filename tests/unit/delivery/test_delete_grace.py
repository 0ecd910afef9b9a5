"""Deletions rest in the outbox for a while, so that what comes back meanwhile is only compared."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from cdc.messages import outbox
from cdc.model import Action
from tests.kit.clock import simulate
from tests.kit.delivery_harness import DeliveryHarness, customer, order

GRACE_S = 60


def tell(tmp_path: Path, story: Callable[[DeliveryHarness], Awaitable[None]]) -> None:
    """A harness with a grace time; ten customers and an order of each were sent and accepted."""

    async def told() -> None:
        harness = DeliveryHarness(tmp_path)
        harness.books.renderer.delete_grace_ms = GRACE_S * 1000
        for number in range(10):
            harness.books.put(customer(number), name=f"c{number}")
            harness.books.put(order(number), customer(number), total=f"{number}")
        async with harness.running() as delivery:
            assert await harness.settle(delivery) == "empty"
            harness.sink.requests.clear()
            await story(harness)

    simulate(told())


def empty_the_shop(harness: DeliveryHarness) -> None:
    """All rows go."""
    for number in range(10):
        harness.books.remove(order(number))
        harness.books.remove(customer(number))
    harness.delivery.wake()


def test_a_table_emptied_and_filled_again_sends_nothing(tmp_path: Path) -> None:
    """Objects that come back as they were within the grace time cause no DELETE and no UPSERT."""

    async def story(harness: DeliveryHarness) -> None:
        empty_the_shop(harness)
        await asyncio.sleep(GRACE_S - 1)
        for number in range(10):
            harness.books.put(customer(number), name=f"c{number}")
            harness.books.put(order(number), customer(number), total=f"{number}")
        harness.delivery.wake()
        await asyncio.sleep(10 * GRACE_S)
        assert harness.sink.requests == []
        assert not harness.books.run(outbox.is_any)

    tell(tmp_path, story)


def test_what_comes_back_changed_is_sent_at_once_and_is_not_deleted(tmp_path: Path) -> None:
    """An object that comes back different sends one UPSERT, which does not wait for the grace time."""

    async def story(harness: DeliveryHarness) -> None:
        harness.books.remove(customer(1))
        await asyncio.sleep(1)
        harness.books.put(customer(1), name="another")
        harness.delivery.wake()
        await asyncio.sleep(1)
        assert harness.sent() == [("customer-1",)]
        await asyncio.sleep(2 * GRACE_S)
        assert harness.sent() == [("customer-1",)]
        assert harness.properties(customer(1)) == {"name": "another"}

    tell(tmp_path, story)


def test_what_stays_away_is_deleted_once_the_grace_time_is_over(tmp_path: Path) -> None:
    """The lane wakes by itself at the end of the grace time, not before, and nothing restarts that time."""

    async def story(harness: DeliveryHarness) -> None:
        harness.books.remove(customer(1))
        harness.delivery.wake()
        for _ in range(GRACE_S - 1):
            await asyncio.sleep(1)
            harness.books.render(customer(1))  # another change of rows that are gone
        assert harness.sink.requests == []
        await asyncio.sleep(2)
        assert [[m.action for m in messages] for _, messages in harness.sink.requests] == [[Action.DELETE]]

    tell(tmp_path, story)


def test_until_the_end_waits_for_what_rests(tmp_path: Path) -> None:
    """A run that ends at the log's end sends the deletions first: no later run would know how long they rested."""

    async def story(harness: DeliveryHarness) -> None:
        harness.books.remove(order(1))
        harness.delivery.wake()
        assert await harness.settle(harness.delivery) == "empty"
        assert [[m.action for m in messages] for _, messages in harness.sink.requests] == [[Action.DELETE]]

    tell(tmp_path, story)


def test_a_deletion_that_was_asked_for_goes_at_once(tmp_path: Path) -> None:
    """`deadletter retry` and `verify --repair` ask for one object by name: nobody expects it to come back."""

    async def story(harness: DeliveryHarness) -> None:
        del harness.books.shop[order(1)]
        harness.books.render(order(1), force=True)
        harness.delivery.wake()
        await asyncio.sleep(1)
        assert [[m.action for m in messages] for _, messages in harness.sink.requests] == [[Action.DELETE]]

    tell(tmp_path, story)


def test_a_member_that_takes_over_lets_deletions_rest(tmp_path: Path) -> None:
    """A takeover tries at once what was parked, but a deletion still rests."""

    async def story(harness: DeliveryHarness) -> None:
        harness.books.remove(order(1))
        harness.books.run(lambda store: outbox.raise_changed_at(store, harness.clock.now_ms()))
        harness.delivery.wake()
        await asyncio.sleep(GRACE_S / 2)
        assert harness.sink.requests == []
        await asyncio.sleep(GRACE_S)
        assert len(harness.sink.requests) == 1

    tell(tmp_path, story)
