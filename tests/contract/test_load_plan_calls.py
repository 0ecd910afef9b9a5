"""The calls that a first load's plan names, against the calls that the sandbox receives for the same objects."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import pytest

from cdc.model import ObjectRef, Rendered, Urgency
from cdc.protocols import SinkSetup
from cdc.settings.config import Settings
from cdc.snapshot.load_plan import cost
from sinks.registry import make_sink
from sinks.sandbox.server import SandboxServer, start
from tests.kit.delivery_harness import DeliveryHarness, customer, item, order, product
from tests.kit.fakesink import FakeSink
from tests.kit.requests import FreeRequests

CUSTOMERS, PRODUCTS, ORDERS, LINES = 730, 350, 1010, 3
SLICE = 200  # objects that a first load renders in one commit
ALLOWED = 0.05


def shop() -> Iterator[tuple[ObjectRef, Rendered]]:
    """Objects of invented people in the order in which a first load renders them."""
    for n in range(CUSTOMERS):
        yield customer(n), Rendered({"email": f"customer{n}@example.com", "firstname": "Ann"}, ())
    for n in range(PRODUCTS):
        yield product(n), Rendered({"name": f"Mug {n}", "sku": f"MUG-{n}", "price": "9.90", "type": "simple"}, ())
    for n in range(ORDERS):
        values = {"name": f"#{n:09}", "stage": "processed", "amount": "29.70", "currency": "EUR"}
        yield order(n), Rendered(values, (customer(n % CUSTOMERS),))
    for n in range(ORDERS * LINES):
        values = {"name": "Mug", "sku": f"MUG-{n % PRODUCTS}", "quantity": "1", "price": "9.90"}
        yield item(n), Rendered(values, (order(n // LINES), product(n % PRODUCTS)))


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """A sandbox whose quotas are not met."""
    running = await start(auto_validate=False)
    for quota in running.crm.quotas.values():
        quota.set(100_000, 1_000_000, None)
    yield running
    await running.close()


async def load(harness: DeliveryHarness) -> None:
    """Render in slices while what is rendered is sent, as a first load does."""
    objects = list(shop())
    async with harness.running() as delivery:
        for at in range(0, len(objects), SLICE):
            with harness.books.store.transaction():
                for ref, rendered in objects[at : at + SLICE]:
                    harness.books.shop[ref] = rendered
                    harness.books._render(ref, Urgency.HISTORY, False, 0)
            delivery.wake()
            await asyncio.sleep(0.001)
        await harness.settle(delivery)


@pytest.mark.parametrize("kind", ["bridge", "crm"])
async def test_the_plan_names_the_calls_that_a_load_makes(sandbox: SandboxServer, kind: str, tmp_path: Path) -> None:
    """Messages are exact, and calls are within five per cent, for the bridge and for the CRM."""
    key = "access_token" if kind == "crm" else "api_key"
    asked = {"kind": kind, "base_url": sandbox.url, key: "sandbox", "max_requests_per_10s": 1000}
    settings = Settings.model_validate({"sink": asked})
    sink = make_sink(settings)
    assert isinstance(sink, SinkSetup)
    await sink.push_mapping(FreeRequests(), dry_run=False)
    harness = DeliveryHarness(tmp_path, cast(FakeSink, sink), sink=asked)  # it only hands the sink to delivery
    await load(harness)
    status = harness.delivery.status()
    await sink.close()
    made = sum(status["requests"].values())
    expected = Counter(ref.object_type for ref, _ in shop())
    planned, _ = cost(expected, sink.traits, settings.sink.max_batch, settings.sink.requests_per_10s)
    assert planned is not None
    assert status["accepted"] == {one.value: count for one, count in expected.items()}
    assert abs(planned - made) <= ALLOWED * made, f"{planned} calls were planned, {made} were made"
