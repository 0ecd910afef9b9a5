"""The request quota and who gets how much of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from cdc.errors import MAX_RETRY_AFTER_S, SinkError, SinkThrottledError, SinkUnavailableError
from cdc.model import Quota, SyncError, Urgency
from tests.kit.clock import simulate
from tests.kit.delivery_harness import DeliveryHarness, customer, order, product
from tests.kit.fakesink import FakeSink, Plan


@pytest.mark.parametrize("fault", [SinkThrottledError, SinkUnavailableError], ids=["429", "503"])
def test_retry_after_stops_all_lanes_for_the_time_it_says(
    tmp_path: Path, fault: type[SinkThrottledError | SinkUnavailableError]
) -> None:
    """It holds for every lane, not only for the one that met it."""

    async def story() -> None:
        sink = FakeSink()
        errors = [fault("slow down", retry_after_s=7)]
        sink.plan = lambda _: Plan(is_applied=False, error=errors.pop()) if errors else Plan()
        harness = DeliveryHarness(tmp_path, sink)
        harness.books.put(customer(1))
        async with harness.running() as delivery:
            await asyncio.sleep(1)
            harness.books.put(order(3))
            delivery.wake()
            await harness.settle(delivery)
        times = [at for at, _ in sink.requests]
        assert times[0] == 0
        assert all(at >= 7 for at in times[1:])
        assert len(sink.held) == 2

    simulate(story())


@pytest.mark.parametrize(("asked_s", "kept_s"), [(20, 20), (80_000, MAX_RETRY_AFTER_S)])
def test_a_restart_keeps_the_silence_asked_for(tmp_path: Path, asked_s: float, kept_s: float) -> None:
    """No more than the longest silence: a header may say anything, and the clock may have been set meanwhile."""

    async def story() -> None:
        sink = FakeSink()
        sink.plan = lambda _: Plan(is_applied=False, error=SinkThrottledError("slow down", retry_after_s=asked_s))
        harness = DeliveryHarness(tmp_path, sink)
        harness.books.put(customer(1))
        async with harness.running():
            await asyncio.sleep(1)
        sink.plan = lambda _: Plan()
        harness.delivery = harness.make()
        await harness.deliver()
        assert [round(at) for at, _ in sink.requests] == [0, round(kept_s)]

    simulate(story())


def test_the_quota_is_used_and_never_passed(tmp_path: Path) -> None:
    """With 100 requests per ten seconds and 80 ms answers no window holds more, and 95 % are used."""

    async def story() -> None:
        sink = FakeSink(max_batch=1, plan=lambda _: Plan(0.04, 0.04, quota=Quota(100, None, 10_000)))
        harness = DeliveryHarness(tmp_path, sink, sink={"max_requests_per_10s": 190})
        harness.books.run(lambda _: None)
        for number in range(1000):
            harness.books.put(customer(number), urgency=Urgency.HISTORY)
        await harness.deliver()
        times = [at for at, _ in sink.requests]
        for start in times:
            assert sum(1 for at in times if start <= at < start + 10) <= 100
        steady = [at for at in times if 20 <= at < 80]
        assert len(steady) >= 0.95 * 600

    simulate(story())


def test_a_live_change_does_not_wait_behind_history_for_quota(tmp_path: Path) -> None:
    """History leaves room in the window, so a change goes at once even when a backlog uses the quota."""

    async def story() -> None:
        sink = FakeSink(max_batch=1)
        harness = DeliveryHarness(tmp_path, sink, sink={"max_requests_per_10s": 100})
        for number in range(500):
            harness.books.put(customer(number), urgency=Urgency.HISTORY)
        async with harness.running() as delivery:
            await asyncio.sleep(30)
            harness.books.put(customer(9999))
            delivery.wake()
            await asyncio.sleep(0.2)
            assert "magento-customer-9999" in sink.held

    simulate(story())


def test_history_is_spread_evenly(tmp_path: Path) -> None:
    """A backlog sends one request after the other at the pace of its quota, in no burst that would fill the window."""

    async def story() -> None:
        sink = FakeSink(max_batch=1)
        harness = DeliveryHarness(tmp_path, sink, sink={"max_requests_per_10s": 100})
        for number in range(100):
            harness.books.put(customer(number), urgency=Urgency.HISTORY)
        async with harness.running():
            await asyncio.sleep(5)
        times = [at for at, _ in sink.requests]
        assert 45 <= len(times) <= 50
        assert min(later - earlier for earlier, later in pairwise(times)) >= 0.09

    simulate(story())


def test_history_gets_a_small_share_while_live_work_is_ready(tmp_path: Path) -> None:
    """With live work all the time, history uses at most its share of the quota, but is never starved."""

    async def story() -> None:
        sink = FakeSink(max_batch=1)
        harness = DeliveryHarness(tmp_path, sink, sink={"max_requests_per_10s": 50})
        for number in range(300):
            harness.books.put(product(number), urgency=Urgency.HISTORY)
        for number in range(600):
            harness.books.put(customer(number))
        async with harness.running():
            await asyncio.sleep(100)
            sent = [batch[0] for batch in harness.sent()]
        history = sum(1 for name in sent if name.startswith("product"))
        assert 10 <= history <= 0.1 * 500 + 5

    simulate(story())


def test_splitting_leaves_most_of_the_quota_to_others(tmp_path: Path) -> None:
    """Of ten requests per ten seconds at most five are of a refused batch and its pieces, though nobody else sends."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, sink={"max_requests_per_10s": 10})
        harness.sink.poison = {"magento-customer-3"}
        for number in range(8):
            harness.books.put(customer(number))
        assert await harness.deliver() == "empty"
        times = [at for at, _ in harness.sink.requests[1:]]
        assert all(sum(1 for t in times if at <= t < at + 10) <= 5 for at in times)

    simulate(story())


def test_what_the_sink_asked_for_outlives_other_faults(tmp_path: Path) -> None:
    """Retry-After of one request holds though others, sent before, fail or are taken after it."""

    async def story() -> None:
        sink = FakeSink()
        faults: list[SinkError] = [
            SinkThrottledError("slow down", retry_after_s=20),
            SinkUnavailableError("503"),
            SinkUnavailableError("503"),
        ]
        pace = iter((0.0, 0.1, 0.2, 0.3))
        sink.plan = lambda _: (
            Plan(next(pace, 0.0), 0.0, False, faults.pop(0)) if len(sink.requests) > 1 and faults else Plan()
        )
        harness = DeliveryHarness(tmp_path, sink, sink={"max_batch": 1})
        for number in range(4):
            harness.books.put(customer(number))
        await harness.deliver()

        times = [at for at, _ in sink.requests]
        assert len(sink.held) == 4
        assert all(at >= 20 for at in times if at > 0.2), times

    simulate(story())


def test_a_spent_daily_limit_waits_for_the_accounts_midnight(tmp_path: Path) -> None:
    """Once an hour is tried at most, then right after midnight there; one reason says so; polls are silent, too."""
    zone = "Asia/Kolkata"

    async def story() -> None:
        sink = FakeSink()
        harness = DeliveryHarness(tmp_path, sink, sink={"time_zone": zone})
        midnight_s = 24 * 3600 - (3 * 3600 + 43 * 60 + 20)  # the clock begins at 22:13:20 UTC, 03:43:20 in Kolkata
        polls: list[float] = []

        def poll(since_ms: int) -> Sequence[SyncError]:
            polls.append(harness.clock.monotonic())
            return []

        sink.late_verdicts = poll  # type: ignore[method-assign]
        sink.plan = lambda _: (
            Plan(0, 0, False, SinkThrottledError("daily limit", policy="DAILY"))
            if harness.clock.monotonic() < midnight_s
            else Plan()
        )
        harness.books.put(customer(1))
        async with harness.running() as delivery:
            await asyncio.sleep(3 * 3600)
            assert not delivery.is_accepting
            assert delivery.reason == (
                f"daily_limit: daily limit; it ends at midnight in {zone}; messages wait, and nothing is lost"
            )
            assert len(sink.requests) <= 4
            assert all(at < 60 for at in polls)
            await asyncio.sleep(midnight_s + 40 - harness.clock.monotonic())
        arrived = sink.requests[-1][0]
        assert midnight_s < arrived <= midnight_s + 31
        assert len(sink.requests) <= 24

    simulate(story())


@pytest.mark.parametrize("jump_s", [-86_400, -3600, 3600, 86_400])
def test_a_wall_clock_that_jumps_stops_nothing(tmp_path: Path, jump_s: int) -> None:
    """Quota and waits go by the monotonic clock: a clock set forward or back neither floods nor blocks."""

    async def story() -> None:
        sink = FakeSink(max_batch=1)
        harness = DeliveryHarness(tmp_path, sink, sink={"max_requests_per_10s": 20})
        for number in range(60):
            harness.books.put(customer(number))
        async with harness.running() as delivery:
            await asyncio.sleep(5)
            harness.clock.skew_ms = jump_s * 1000
            harness.books.put(customer(0), name="after the jump")
            delivery.wake()
            await asyncio.wait_for(harness.settle(delivery), 60)
        times = [at for at, _ in sink.requests]
        assert all(sum(1 for at in times if start <= at < start + 10) <= 20 for start in times)
        assert harness.properties(customer(0)) == {"name": "after the jump"}

    simulate(story())
