"""Delivery where a quota or a fault sets the pace: simulated time, so that an hour is over in seconds.

State file, renderer, lanes and quota are the real ones; time jumps from timer to timer (tests/kit/clock.py), the sink
answers after 80 ms and counts as HubSpot does: requests by their arrival in a rolling window, 429 over it.
"""

from __future__ import annotations

import asyncio
import resource
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from cdc.delivery.latency import percentile
from cdc.errors import SinkThrottledError, SinkUnavailableError
from cdc.messages.renderer import RenderRequest
from cdc.model import Message, Quota, Rendered, Urgency
from tests.benchmarks.row import Row
from tests.kit.clock import simulate
from tests.kit.delivery_harness import DeliveryHarness, customer
from tests.kit.fakesink import FakeSink, Plan

LIMIT: Final = 100
WINDOW_S: Final = 10.0
BACKLOG: Final = 100_000
ANSWER_S: Final = 0.08


class Counting:
    """HubSpot's burst limit: ``limit`` arrivals in any ten seconds, said in every answer."""

    def __init__(self) -> None:
        self.arrivals: deque[float] = deque()
        self.throttled = 0
        self.is_down = False

    def __call__(self, messages: Sequence[Message]) -> Plan:
        now_s = asyncio.get_running_loop().time()
        while self.arrivals and self.arrivals[0] <= now_s - WINDOW_S:
            self.arrivals.popleft()
        if self.is_down:
            return Plan(ANSWER_S / 2, ANSWER_S / 2, False, SinkUnavailableError("503"))
        if len(self.arrivals) >= LIMIT:
            self.throttled += 1
            error = SinkThrottledError("429", policy="TEN_SECONDLY_ROLLING")
            return Plan(ANSWER_S / 2, ANSWER_S / 2, False, error)
        self.arrivals.append(now_s)
        return Plan(ANSWER_S / 2, ANSWER_S / 2, quota=Quota(LIMIT, LIMIT - len(self.arrivals), 10_000))


def _backlog(harness: DeliveryHarness, messages: int) -> None:
    with harness.books.store.transaction():
        cause = RenderRequest("binlog.000001:4", 0, Urgency.HISTORY)
        for number in range(messages):
            ref = customer(number)
            harness.books.shop[ref] = Rendered({"name": str(number)})
            harness.books.renderer.render(ref, cause)


def _commit(harness: DeliveryHarness, number: int) -> None:
    harness.books.put(customer(number), commit_ms=harness.clock.now_ms(), name=f"live {number}")
    harness.delivery.wake()


def full_quota(folder: Path) -> Row:
    """A minute of a backlog through a quota of 100 requests in ten seconds."""

    async def story() -> tuple[float, int]:
        sink = FakeSink(max_batch=10, plan=(counting := Counting()))
        harness = DeliveryHarness(folder, sink, sink={"max_requests_per_10s": 190})
        _backlog(harness, 20_000)
        async with harness.running():
            await asyncio.sleep(80)
        steady = [at for at, _ in sink.requests if 20 <= at < 80]
        harness.books.store.close()
        return len(steady) / (60 / WINDOW_S * LIMIT), counting.throttled

    used, throttled = simulate(story())
    note = f"{LIMIT} per {WINDOW_S:.0f} s, answers after {ANSWER_S * 1000:.0f} ms, {throttled} answers 429"
    return Row("use of a quota while there is work", used * 100, "%", "≥ 95, no 429", note)


def live_first(folder: Path) -> list[Row]:
    """Commit → accepted of single changes, on an idle system and in front of a backlog, under the same quota."""

    async def story(backlog: int) -> tuple[list[float], int]:
        sink = FakeSink(plan=(counting := Counting()))
        harness = DeliveryHarness(folder / str(backlog), sink, sink={"max_requests_per_10s": 190, "max_delay_ms": 200})
        _backlog(harness, backlog)
        async with harness.running():
            await asyncio.sleep(5)
            for number in range(200):
                _commit(harness, backlog + number)
                await asyncio.sleep(0.3)
            await asyncio.sleep(2)
        totals = sorted(one.total for held in harness.delivery._context.report.latencies._held.values() for one in held)
        harness.books.store.close()
        return totals, counting.throttled

    rows = []
    for backlog, name in ((0, "idle"), (BACKLOG, f"under a backlog of {BACKLOG:,}")):
        (folder / str(backlog)).mkdir()
        totals, throttled = simulate(story(backlog))
        note = f"p99 {percentile(totals, 99) * 1000:.0f} ms, of {len(totals)} changes, {throttled} answers 429"
        rows.append(
            Row(
                f"commit → accepted, {name}, simulated time, p50",
                percentile(totals, 50) * 1000,
                "ms",
                "< 350, p99 < 1,000",
                note,
            )
        )
    return rows


def sink_down(folder: Path) -> list[Row]:
    """An hour of 50 changes a second to 20,000 objects while the sink answers 503; then it comes back."""

    async def story() -> tuple[int, int, float, float, bool]:
        sink = FakeSink(plan=(counting := Counting()))
        harness = DeliveryHarness(folder, sink, sink={"max_requests_per_10s": 190})
        counting.is_down = True
        objects, early_kb = 20_000, 0
        async with harness.running() as delivery:
            for minute in range(60):
                with harness.books.store.transaction():
                    for change in range(3000):
                        number = (minute * 3000 + change) * 7919 % objects
                        ref = customer(number)
                        harness.books.shop[ref] = Rendered({"name": f"{minute}.{change}"})
                        cause = RenderRequest("binlog.000001:4", harness.clock.now_ms(), Urgency.LIVE)
                        harness.books.renderer.render(ref, cause)
                delivery.wake()
                await asyncio.sleep(60)
                if minute == 20:
                    early_kb = _rss_kb()
            grown_mb = (_rss_kb() - early_kb) / 1024
            waiting = harness.books.rows("SELECT count(*) FROM outbox")[0][0]
            sink.requests.clear()
            counting.is_down = False
            back_s = harness.clock.monotonic()
            await harness.settle(delivery)
            seconds = harness.clock.monotonic() - back_s
        order = [m.changed_at for _, batch in sink.requests[1:] for m in batch]
        drops = sum(1 for before, after in pairwise(order) if after < before - 60_000)
        harness.books.store.close()
        return waiting, len(sink.held), grown_mb, seconds, drops == 0

    waiting, held, grown_mb, seconds, in_order = simulate(story())
    note = f"180,000 changes to 20,000 objects; {waiting:,} waited, {held:,} arrived"
    return [
        Row("an hour without the sink: memory grown", grown_mb, "MB", "flat", note),
        Row(
            "the same: backlog sent after", seconds, "s", f"in order: {'yes' if in_order else 'no'}",
            "requests in the quota's pace",
        ),
    ]  # fmt: skip


def _rss_kb() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


def bad_messages(folder: Path) -> list[Row]:
    """A batch of 200 of which some are refused: when the good ones are in, and in how many requests."""

    async def story(bad: int) -> tuple[float, int, int]:
        sink = FakeSink(plan=Counting())
        harness = DeliveryHarness(folder / str(bad), sink, sink={"max_requests_per_10s": 190})
        _backlog(harness, 200)
        sink.poison = {f"magento-customer-{number * 200 // bad}" for number in range(bad)}
        good_s = 0.0
        async with harness.running() as delivery:
            settled = asyncio.create_task(harness.settle(delivery))
            while not settled.done():
                await asyncio.sleep(0.01)
                if not good_s and len(sink.held) == 200 - bad:
                    good_s = harness.clock.monotonic()
        letters = len(harness.books.letters())
        harness.books.store.close()
        return good_s, len(sink.requests), letters

    rows = []
    for bad in (1, 3, 20):
        (folder / str(bad)).mkdir()
        good_s, requests, letters = simulate(story(bad))
        note = f"{requests} requests, {letters} dead letters, quota {LIMIT} per {WINDOW_S:.0f} s"
        rows.append(Row(f"200 messages, {bad} bad: the good ones accepted after", good_s, "s", "same second", note))
    return rows
