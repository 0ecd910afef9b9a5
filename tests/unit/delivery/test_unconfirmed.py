"""Attempts that got no answer may land late: the object's newest state is sent once more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from cdc.errors import OutcomeUnknownError, SinkUnavailableError
from cdc.model import Message
from tests.kit.clock import simulate
from tests.kit.delivery_harness import DeliveryHarness, customer
from tests.kit.fakesink import FakeSink, Plan, on_wire

LATE_S = 60.0


def late_sink() -> FakeSink:
    """Its first request times out and takes effect a minute later."""
    sink = FakeSink()
    landing: list[asyncio.Task[None]] = []

    async def land(messages: Sequence[Message]) -> None:
        await asyncio.sleep(LATE_S)
        for message in messages:
            sink.held[message.external_id] = message

    def plan(messages: Sequence[Message]) -> Plan:
        if landing:
            return Plan()
        landing.append(asyncio.create_task(land(messages)))
        return Plan(is_applied=False, error=OutcomeUnknownError("timed out"))

    sink.plan = plan
    return sink


class Follower:
    """Does not send for now."""

    may_send = True


async def rendering(harness: DeliveryHarness, seconds: float) -> None:
    """Let this time pass while whatever asks for it is rendered."""
    for _ in range(int(seconds)):
        await asyncio.sleep(1.0)
        if harness.books.work():
            harness.delivery.wake()


def test_the_newest_state_wins_over_an_attempt_that_lands_late(tmp_path: Path) -> None:
    """An older version that takes effect after the newer one was accepted is written over."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, late_sink())
        harness.books.put(customer(1), name="old")
        async with harness.running() as delivery:
            await asyncio.sleep(0.03)
            harness.books.put(customer(1), name="new")
            delivery.wake()
            await rendering(harness, LATE_S + 5)
            assert harness.properties(customer(1)) == {"name": "old"}  # the damage that is to be mended
            await rendering(harness, 120)
        assert harness.properties(customer(1)) == {"name": "new"}

    simulate(story())


def test_a_deletion_wins_over_an_attempt_that_lands_late(tmp_path: Path) -> None:
    """An object that comes back through a late attempt after its DELETE was accepted is deleted once more."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, late_sink())
        harness.books.put(customer(1))
        async with harness.running() as delivery:
            await asyncio.sleep(0.03)
            harness.books.remove(customer(1))
            delivery.wake()
            await rendering(harness, LATE_S + 5)
            assert "magento-customer-1" in harness.sink.held
            await rendering(harness, 120)
        assert harness.sink.held == {}

    simulate(story())


def test_it_is_sent_once_more_and_no_oftener(tmp_path: Path) -> None:
    """The attempt, the repeat that is accepted, and one more after ``sink.unknown_resend_s``."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, late_sink(), sink={"unknown_resend_s": 10})
        harness.books.put(customer(1))
        async with harness.running():
            await rendering(harness, 1000)
        first, second, third = (messages[0] for _, messages in harness.sink.requests)
        assert on_wire(first) == on_wire(second)
        assert third.changed_at > second.changed_at
        times = [at for at, _ in harness.sink.requests]
        assert 10 <= times[2] - times[1] < 15

    simulate(story())


def test_what_was_on_the_wire_at_a_kill_is_sent_once_more(tmp_path: Path) -> None:
    """The process ends with a request out; the next one repeats it, and sends the newest state again later."""

    async def story() -> None:
        sink = FakeSink(plan=lambda _: Plan(before_s=1000.0))
        harness = DeliveryHarness(tmp_path, sink)
        harness.books.put(customer(1))
        killed = asyncio.create_task(harness.delivery.run())
        await asyncio.sleep(1)
        harness.state.crash()
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
        harness.sink = FakeSink()
        harness.state = type(harness.state)(harness.books)
        harness.delivery = harness.make()
        async with harness.running():
            await rendering(harness, 200)
        assert len(harness.sink.requests) == 2

    simulate(story())


def test_an_answered_failure_is_not_sent_twice(tmp_path: Path) -> None:
    """A request that the sink surely did not take leaves nothing to be sent again."""

    async def story() -> None:
        answers = iter([Plan(is_applied=False, error=SinkUnavailableError("503"))])
        harness = DeliveryHarness(tmp_path, FakeSink(plan=lambda _: next(answers, Plan())))
        harness.books.put(customer(1))
        async with harness.running():
            await rendering(harness, 500)
        assert len(harness.sink.requests) == 2

    simulate(story())


def test_who_does_not_send_keeps_it_for_later(tmp_path: Path) -> None:
    """A member that follows meanwhile puts nothing into its outbox, where no receipt would ever fetch it."""

    async def story() -> None:
        harness, leader_gate = DeliveryHarness(tmp_path, late_sink()), Follower()
        harness.delivery = harness.make(leader_gate=leader_gate)
        harness.books.put(customer(1), name="old")
        async with harness.running() as delivery:
            await asyncio.sleep(0.03)
            harness.books.put(customer(1), name="new")
            delivery.wake()
            await rendering(harness, 5)
            leader_gate.may_send = False
            await rendering(harness, 300)
            assert harness.books.rows("SELECT * FROM outbox") == []
            leader_gate.may_send = True
            delivery.wake()
            await rendering(harness, 5)
        assert harness.properties(customer(1)) == {"name": "new"}

    simulate(story())
