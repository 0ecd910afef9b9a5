"""What the CRM sink's work costs in calls to /crm/objects and /crm/associations, beside the fewest that could do it.

And how much of a quota the sink uses while there is work, for each of the two families. That part runs in simulated
time: state file, renderer, lanes, quota and sink are the real ones, and the sandbox counts the calls as HubSpot does.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import structlog

from cdc.messages.renderer import RenderRequest
from cdc.model import ObjectRef, Rendered, Urgency
from sinks.crm.sink import CrmSink
from tests.benchmarks.row import Row
from tests.kit.clock import LoopClock, simulate
from tests.kit.crm import bench, settings
from tests.kit.crm_cost import COSTS, Cost
from tests.kit.delivery_harness import DeliveryHarness, customer, order
from tests.kit.memory_http import MemoryHttp, MemorySandbox
from tests.kit.requests import FreeRequests

LIMIT: Final = 100
"""Calls of each family in ten seconds."""

WINDOW_S: Final = 10.0
ANSWER_S: Final = 0.2
BATCH: Final = 10
"""Messages of a call: small, so that few objects fill the quota for minutes."""

OBJECTS: Final = 8000
BEGIN_S: Final = 20.0
STEADY_S: Final = 60.0
"""The part of the time that is looked at: the window is full by then, and the work is not done yet."""


def rows() -> Iterator[Row]:
    """One line per kind of work, counted by the sandbox; one per family and class of work for the quota."""
    for name, cost in COSTS.items():
        calls = asyncio.run(_calls(cost))
        yield Row(name, calls, "calls", f"<= {cost.allowed}", f"minimum {cost.minimum}")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    for family in ("objects", "associations"):
        for urgency in Urgency:
            yield _quota_use(family, urgency)


async def _calls(cost: Cost) -> int:
    async with bench() as crm:
        return len(await cost.work(crm))


def _quota_use(family: str, urgency: Urgency) -> Row:
    with tempfile.TemporaryDirectory() as folder, MemorySandbox(LIMIT) as sandbox:
        used, throttled = simulate(_busy(Path(folder), sandbox, family, urgency))
    note = f"{LIMIT} calls per {WINDOW_S:.0f} s, answers after {ANSWER_S * 1000:.0f} ms, {throttled} answers 429"
    return Row(f"CRM: use of the quota of {family}, {urgency.name.lower()}", used * 100, "%", "≥ 95, no 429", note)


async def _busy(folder: Path, sandbox: MemorySandbox, family: str, urgency: Urgency) -> tuple[float, int]:
    """The used part of the quota while there is work, and the answers 429."""
    made = settings("http://sandbox.example.com", {"max_requests_per_10s": None, "max_batch": BATCH})
    sink = CrmSink(made)
    http = MemoryHttp(sandbox, LoopClock(), ANSWER_S)
    sink.api.http = sink._http = http
    await sink.push_mapping(FreeRequests(), dry_run=False)
    harness = DeliveryHarness(folder, sink, sink=made.sink.model_dump())  # type: ignore[arg-type]  # another sink
    async with harness.running() as delivery:
        if family == "associations":
            # orders at rest, which then move to another contact: no value of theirs changes
            _put(harness, Urgency.LIVE, [(customer(1), ()), (customer(2), ())])
            _put(harness, Urgency.LIVE, [(order(number), (customer(1),)) for number in range(OBJECTS)])
            await harness.settle(delivery)
        http.calls.clear()
        if family == "associations":
            _put(harness, urgency, [(order(number), (customer(2),)) for number in range(OBJECTS)])
        else:
            _put(harness, urgency, [(customer(number), ()) for number in range(OBJECTS)])
        delivery.wake()
        await asyncio.sleep(BEGIN_S)
        before = _count(http.calls, family)
        await asyncio.sleep(STEADY_S)
        used = (_count(http.calls, family) - before) / (STEADY_S / WINDOW_S * LIMIT)
        assert harness.books.rows("SELECT 1 FROM outbox LIMIT 1"), "the work was done too early"
        await harness.settle(delivery)
        throttled = delivery.status()["requests"].get("throttled", 0)
    harness.books.store.close()
    return used, throttled


def _count(calls: Iterable[str], family: str) -> int:
    return sum(1 for path in calls if f"/crm/{family}/" in path)


def _put(
    harness: DeliveryHarness, urgency: Urgency, objects: Iterable[tuple[ObjectRef, tuple[ObjectRef, ...]]]
) -> None:
    """Put objects into the outbox, all in one transaction."""
    cause = RenderRequest("binlog.000001:4", harness.clock.now_ms(), urgency)
    with harness.books.store.transaction():
        for ref, refs in objects:
            values = {"name": f"#{ref.id}"} if refs else {"email": f"buyer{ref.id}@example.com", "firstname": "Ann"}
            harness.books.shop[ref] = Rendered(values, refs)
            harness.books.renderer.render(ref, cause)
