"""A first sync into the CRM at 100 calls per 10 s of simulated time: hours, calls an object, memory.

100,000 orders of as many guests with three lines each of 500 products; CRM_HISTORY_ORDERS sets another number.
"""

from __future__ import annotations

import logging
import os
import resource
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import structlog

from cdc.messages.renderer import Renderer, RenderRequest
from cdc.model import Kind, ObjectRef, Rendered, Urgency
from cdc.protocols import RowReader
from cdc.replica.rows import ReplicaRows
from sinks.crm.sink import CrmSink
from tests.benchmarks.row import Row
from tests.kit.clock import LoopClock, simulate
from tests.kit.crm import settings
from tests.kit.delivery_harness import DeliveryHarness, ShopMapper, item, order, product
from tests.kit.memory_http import MemoryHttp, MemorySandbox
from tests.kit.requests import FreeRequests

ONLY_BY_NAME: Final = True
ORDERS: Final = int(os.environ.get("CRM_HISTORY_ORDERS", "100000"))
PRODUCTS: Final = 500
LINES: Final = 3
LIMIT: Final = 100
"""Calls of each family in ten seconds: what a small account has."""

ANSWER_S: Final = 0.2
"""What HubSpot takes for a batch."""

PAGE: Final = 5000
OBJECTS: Final = PRODUCTS + ORDERS * (2 + LINES)


def guest(number: int) -> ObjectRef:
    """The guest of an order."""
    return ObjectRef(Kind.GUEST, f"{number:024x}")


class History(ShopMapper):
    """A shop that is computed, so that it takes no memory."""

    def render(self, ref: ObjectRef, rows: RowReader) -> Rendered | None:
        """What the object is."""
        number = int(ref.id, 16) if isinstance(ref.id, str) else ref.id
        return Rendered(*_MADE[ref.kind](number))


Made = tuple[Mapping[str, str], tuple[ObjectRef, ...]]


def _guest(number: int) -> Made:
    address = {"phone": "+49 30 1234", "address": "Main St 1", "city": "Berlin", "zip": "10115", "country": "DE"}
    return {"email": f"guest{number}@example.com", "firstname": "Ann", "lastname": f"Lee {number}", **address}, ()


def _product(number: int) -> Made:
    return {"name": f"Mug {number}", "sku": f"MUG-{number}", "price": "9.90", "type": "simple", "status": "enabled"}, ()


def _order(number: int) -> Made:
    amounts = {"amount": "29.70", "tax_amount": "4.74", "shipping_amount": "5.00", "currency": "EUR"}
    words = {"name": f"#{number:09}", "order_number": f"{number:09}", "stage": "shipped", "status": "complete"}
    return {**words, **amounts, "created_at": "1700000000000"}, (guest(number),)


def _item(number: int) -> Made:
    values = {"name": "Mug", "sku": "MUG-1", "quantity": "1", "price": "9.90", "amount": "9.90", "currency": "EUR"}
    return values, (order(number // LINES), product(number % PRODUCTS))


_MADE: Final = {Kind.GUEST: _guest, Kind.PRODUCT: _product, Kind.ORDER: _order, Kind.ITEM: _item}


def rows() -> Iterator[Row]:
    """Hours, calls and memory of one first sync."""
    # each call is a debug line otherwise
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder, MemorySandbox(LIMIT) as sandbox:
        seconds, calls, throttled, rss_mb = simulate(_first_sync(Path(folder), sandbox))
    note = f"{ORDERS:,} orders, {OBJECTS:,} objects, {LIMIT} calls per 10 s and family"
    yield Row("CRM: first sync, simulated time", seconds / 3600, "h", "", note)
    families = f"{calls['objects']:,} objects, {calls['associations']:,} associations"
    total = calls["objects"] + calls["associations"]
    yield Row("CRM: calls an object of a first sync", total / OBJECTS, "calls", "< 0.02", families)
    best_s = max(calls["objects"], calls["associations"]) / LIMIT * 10
    yield Row("CRM: use of the quota", best_s / seconds * 100, "%", "≥ 95, no 429", f"{throttled} answers 429")
    yield Row("CRM: peak memory of state, delivery and sink", rss_mb, "MB", "", "the sandbox is a process of its own")


async def _first_sync(folder: Path, sandbox: MemorySandbox) -> tuple[float, Counter[str], int, float]:
    made = settings("http://sandbox.example.com", {"max_requests_per_10s": None})
    sink = CrmSink(made)
    http = MemoryHttp(sandbox, LoopClock(), ANSWER_S)
    sink.api.http = sink._http = http
    await sink.push_mapping(FreeRequests(), dry_run=False)
    harness = DeliveryHarness(folder, sink, sink=made.sink.model_dump())  # type: ignore[arg-type]  # another sink
    books = harness.books
    books.renderer = Renderer(books.store, ReplicaRows(books.store, ()), History(), harness.clock)
    for refs in _pages():
        with books.store.transaction():
            for ref in refs:
                books.renderer.render(ref, RenderRequest("binlog.000001:4", 0, Urgency.HISTORY))
    http.calls.clear()
    began_s = harness.clock.monotonic()
    async with harness.running() as delivery:
        result = await harness.settle(delivery)
    assert result == "empty", result
    accepted = books.rows("SELECT count(*) FROM ledger WHERE accepted_at > 0")[0][0]
    assert accepted == OBJECTS, accepted
    calls = Counter("associations" if "/associations/" in path else "objects" for path in http.calls)
    throttled = delivery.status()["requests"].get("throttled", 0)
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = harness.clock.monotonic() - began_s
    books.store.close()
    return seconds, calls, throttled, rss_mb


def _pages() -> Iterator[list[ObjectRef]]:
    """All objects, what is referred to first."""
    page: list[ObjectRef] = []
    for ref in _objects():
        page.append(ref)
        if len(page) == PAGE:
            yield page
            page = []
    yield page


def _objects() -> Iterator[ObjectRef]:
    yield from map(product, range(PRODUCTS))
    for number in range(ORDERS):
        yield guest(number)
        yield order(number)
        yield from map(item, range(number * LINES, (number + 1) * LINES))
