"""How many messages a second go from the outbox to a sink that takes everything at once, without a quota.

The state file is the real one, with its durable commits and in its own thread as in the daemon; the sink only answers.
What takes its time from a quota or from a sink that is down is measured in simulated time (quota_sims.py).
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import structlog

from cdc.clock import SystemClock
from cdc.delivery.engine import Delivery
from cdc.messages.renderer import RenderRequest
from cdc.model import Rendered, Urgency
from cdc.state.store import Store
from tests.benchmarks.quota_sims import bad_messages, full_quota, live_first, sink_down
from tests.benchmarks.row import Row
from tests.kit.delivery_harness import Books, customer, item, order, product, settings
from tests.kit.fakesink import FakeSink, Plan

T = TypeVar("T")

MESSAGES = 40_000
ANSWER_S = 0.02


class ThreadState:
    """One thread for the state, one commit a call."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="state")
        self.busy_s = 0.0

    async def call(self, work: Callable[[Store], T]) -> T:
        """Run and commit in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, work)

    def _run(self, work: Callable[[Store], T]) -> T:
        started = time.perf_counter()
        try:
            return self._books.run(work)
        finally:
            self.busy_s += time.perf_counter() - started


def fill(books: Books, messages: int) -> None:
    """Orders with one line each, their customers and a few products; property sizes as an order's."""
    values = {f"property_{number}": f"value of {number}" for number in range(12)}
    with books.store.transaction():
        render = books.renderer.render
        cause = RenderRequest("binlog.000001:4", 0, Urgency.LIVE)
        for number in range(messages // 3):
            for ref, refs in (
                (customer(number), ()),
                (order(number), (customer(number),)),
                (item(number), (order(number), product(number % 500))),
            ):
                books.shop[ref] = Rendered({**values, "number": str(number)}, refs)
                for other in render(ref, cause):
                    books.shop[other] = Rendered(values)
                    render(other, cause)


async def deliver(books: Books, state: ThreadState, total: int) -> float:
    """Seconds to send everything."""
    sink = FakeSink(plan=lambda _: Plan(ANSWER_S, 0.0))
    delivery = Delivery(sink, state, settings(), SystemClock())
    started = time.perf_counter()
    task = asyncio.create_task(delivery.run())
    while sum(delivery.status()["accepted"].values()) < total:
        await asyncio.sleep(0.05)  # each look sorts the last latencies
        if task.done():
            await task
    seconds = time.perf_counter() - started
    await delivery.drain(time.monotonic() + 5)
    await task
    return seconds


def no_quota(folder: Path) -> Row:
    """The whole way from the outbox to a sink that takes everything at once."""
    books = Books(folder, SystemClock())
    books.store.db.execute("PRAGMA synchronous = FULL")
    fill(books, MESSAGES)
    total = books.rows("SELECT count(*) FROM outbox")[0][0]
    state = ThreadState(books)
    seconds = asyncio.run(deliver(books, state, total))
    books.store.close()
    note = f"{total:,} messages, answers after {ANSWER_S * 1000:.0f} ms, state thread busy {state.busy_s / seconds:.0%}"
    return Row("outbox → a sink that takes everything, no quota", total / seconds, "messages/s", "≥ 5,000", note)


def rows() -> Iterable[Row]:
    """Speed without a quota, use of one, live work before a backlog, an hour without the sink, bad messages."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    for measure in (no_quota, full_quota, live_first, sink_down, bad_messages):
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(folder))
            yield from [found] if isinstance(found, Row) else found
