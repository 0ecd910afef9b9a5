"""What a sink's fault does: retries, splits, parked messages, healing, and the end of a run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cdc.errors import OutcomeUnknownError, SinkError, SinkUnauthorizedError, SinkUnavailableError
from cdc.model import ObjectType, Outcome
from tests.kit.clock import simulate
from tests.kit.delivery_harness import DeliveryHarness, customer, order, product
from tests.kit.fakesink import FakeSink, Plan


def test_one_poison_message_of_two_hundred_is_set_aside_alone(tmp_path: Path) -> None:
    """A refused batch is split until the guilty message stands alone; all others are accepted within a second."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        harness.sink.poison = {"magento-customer-137"}
        for number in range(200):
            harness.books.put(customer(number))
        assert await harness.deliver() == "empty"
        assert harness.books.letters() == [("customer", 137)]
        assert len(harness.sink.held) == 199
        assert len(harness.sink.requests) <= 2 * 8 + 1
        assert harness.sink.requests[-1][0] < 1.0

    simulate(story())


@pytest.mark.parametrize("fault", [SinkUnavailableError, OutcomeUnknownError], ids=["refused", "timed out"])
def test_a_message_that_only_ever_fails_is_parked_alone(tmp_path: Path, fault: type[SinkError]) -> None:
    """A batch that fails three times while others succeed is split, and the guilty message gets its own schedule."""

    async def story() -> None:
        def plan(messages: object) -> Plan:
            ids = {m.external_id for m in messages}  # type: ignore[attr-defined]
            if "magento-customer-3" in ids:
                return Plan(is_applied=False, error=fault("no"))
            return Plan()

        harness = DeliveryHarness(tmp_path, FakeSink(plan=plan))
        for number in range(8):
            harness.books.put(customer(number))
        for number in range(30):
            harness.books.put(product(number))
        async with harness.running() as delivery:
            for number in range(400):
                harness.books.put(product(number), name=str(number))
                delivery.wake()
                await asyncio.sleep(0.1)
        assert {f"magento-customer-{n}" for n in range(8) if n != 3} <= set(harness.sink.held)
        assert harness.books.rows("SELECT kind, id, attempts >= 3 FROM outbox") == [("customer", 3, 1)]
        assert harness.books.letters() == []
        alone = [batch for batch in harness.sent(ObjectType.CONTACT) if "customer-3" in batch][-1]
        assert alone == ("customer-3",)

    simulate(story())


def parked(tmp_path: Path) -> DeliveryHarness:
    """A delivery harness whose customer 3 failed alone and is parked for minutes."""
    harness = DeliveryHarness(tmp_path)
    harness.books.put(customer(3), name="old")
    rest_ms = harness.clock.now_ms() + 600_000
    harness.books.run(lambda store: store.db.execute("UPDATE outbox SET attempts = 3, not_before_ms = ?", (rest_ms,)))
    return harness


def test_a_newer_version_of_a_parked_message_goes_at_once(tmp_path: Path) -> None:
    """What was wrong with the old one may be gone; it is sent and decided on again."""

    async def story() -> None:
        harness = parked(tmp_path)
        async with harness.running() as delivery:
            await asyncio.sleep(60)
            assert harness.sink.requests == []
            harness.books.put(customer(3), name="new")
            delivery.wake()
            await asyncio.sleep(1)
        assert harness.properties(customer(3)) == {"name": "new"}

    simulate(story())


@pytest.mark.parametrize("skew_ms", [-86_400_000, 86_400_000], ids=["a day back", "a day on"])
def test_a_clock_that_is_set_keeps_nothing_parked(tmp_path: Path, skew_ms: int) -> None:
    """Times of the outbox are the wall clock's: a rest that seems longer than any is over; times go on rising."""

    async def story() -> None:
        harness = parked(tmp_path)
        async with harness.running() as delivery:
            await asyncio.sleep(60)
            harness.clock.skew_ms = skew_ms
            harness.books.put(order(5), customer(3))
            delivery.wake()
            await asyncio.sleep(10)
            harness.books.put(customer(3), name="new")
            delivery.wake()
            await asyncio.sleep(10)
        changed = [
            m.changed_at for _, batch in harness.sink.requests for m in batch if m.object_type is ObjectType.CONTACT
        ]
        assert len(changed) == 2
        assert changed == sorted(changed)
        assert set(harness.sink.held) == {"magento-customer-3", "magento-order-5"}

    simulate(story())


def test_an_hour_without_the_sink_loses_nothing_and_tries_seldom(tmp_path: Path) -> None:
    """Back-off is capped, endless and shared by all lanes; the first success brings everything back at once."""

    async def story() -> None:
        sink = FakeSink()
        sink.plan = lambda _: (
            Plan(is_applied=False, error=SinkUnavailableError("refused"))
            if asyncio.get_running_loop().time() < 3600
            else Plan()
        )
        harness = DeliveryHarness(tmp_path, sink)
        for number in range(300):
            harness.books.put(order(number), customer(number))
            harness.books.put(customer(number))
        async with harness.running() as delivery:
            await asyncio.sleep(3000)
            assert not delivery.is_accepting
            assert "refused" in delivery.reason
            tried = len(sink.requests)
            assert 100 < tried < 500
            await harness.settle(delivery)
            assert delivery.is_accepting
        assert len(sink.held) == 600
        assert sink.requests[-1][0] < 3600 + 40

    simulate(story())


def test_a_repaired_key_heals_by_itself(tmp_path: Path) -> None:
    """401 stops sending but for one request every thirty seconds, until one is taken."""

    async def story() -> None:
        sink = FakeSink()
        sink.plan = lambda _: (
            Plan(is_applied=False, error=SinkUnauthorizedError("401"))
            if asyncio.get_running_loop().time() < 100
            else Plan()
        )
        harness = DeliveryHarness(tmp_path, sink)
        harness.books.put(customer(1))
        async with harness.running() as delivery:
            await asyncio.sleep(50)
            assert delivery.reason.startswith("unauthorized")
            assert await harness.settle(delivery) == "empty"
            assert delivery.is_accepting
        assert [round(at) for at, _ in sink.requests] == [0, 30, 60, 90, 120]

    simulate(story())


def test_a_bad_key_shows_before_there_is_anything_to_send(tmp_path: Path) -> None:
    """The first poll for verdicts already says that the sink takes nothing."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        harness.sink.poll_error = SinkUnauthorizedError("401")
        async with harness.running() as delivery:
            await asyncio.sleep(1)
            assert delivery.reason.startswith("unauthorized")
            harness.sink.poll_error = None
            await asyncio.sleep(20)
            assert delivery.is_accepting

    simulate(story())


def test_a_message_the_sink_wants_again_is_sent_again(tmp_path: Path) -> None:
    """A receipt that says RETRY leaves the entry in the outbox, to be sent unchanged after a moment."""

    async def story() -> None:
        sink = FakeSink()
        answers = [{"magento-customer-1": Outcome.RETRY}]
        sink.plan = lambda _: Plan(outcomes=answers.pop() if answers else {})
        harness = DeliveryHarness(tmp_path, sink)
        harness.books.put(customer(1))
        harness.books.put(customer(2))
        assert await harness.deliver() == "empty"
        assert harness.sent() == [("customer-1", "customer-2"), ("customer-1",)]
        first, second = (batch[0] for _, batch in sink.requests)
        assert first == second

    simulate(story())


def test_what_is_cut_off_at_the_deadline_stays_in_the_outbox(tmp_path: Path) -> None:
    """Draining waits for requests under way until the deadline; what was cut off is sent again by the next run."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, FakeSink(plan=lambda _: Plan(before_s=60.0)))
        harness.books.put(customer(1))
        task = asyncio.create_task(harness.delivery.run())
        await asyncio.sleep(1)
        await harness.delivery.drain(harness.clock.monotonic() + 5)
        await task
        assert asyncio.get_running_loop().time() == pytest.approx(6, abs=0.1)
        assert harness.books.rows("SELECT count(*) FROM outbox") == [(1,)]

    simulate(story())


def test_draining_lets_requests_under_way_finish(tmp_path: Path) -> None:
    """A request that is answered in time is settled before run returns."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, FakeSink(plan=lambda _: Plan(before_s=3.0)))
        harness.books.put(customer(1))
        task = asyncio.create_task(harness.delivery.run())
        await asyncio.sleep(1)
        harness.books.put(customer(2))
        await harness.delivery.drain(harness.clock.monotonic() + 5)
        await task
        assert harness.books.rows("SELECT id FROM outbox") == [(2,)]

    simulate(story())
