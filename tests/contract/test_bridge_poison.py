"""Bad messages through the real client and a real server: the good ones arrive, the bad ones are looked after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from cdc.clock import SystemClock
from cdc.delivery.engine import Delivery
from cdc.messages import dead_letters
from sinks.bridge.sink import BridgeSink
from sinks.sandbox.server import SandboxServer, start
from tests.kit.delivery_harness import Books, DirectState, customer, settings

BAD = (3, 77, 150)


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    running = await start(strict=True)
    yield running
    await running.close()


async def refuse(sandbox: SandboxServer, *numbers: int) -> None:
    """A batch with one of these customers in it is refused as a whole."""
    spec = {"refuse_ids": [f"magento-customer-{number}" for number in numbers]}
    async with aiohttp.ClientSession() as session, session.post(f"{sandbox.url}/_sandbox/faults", json=spec) as answer:
        assert answer.status == 200


async def deliver(books: Books, sandbox: SandboxServer) -> None:
    """Send all that can be sent."""
    chosen = settings(sink={"base_url": sandbox.url, "api_key": "sandbox"})
    sink = BridgeSink(chosen.sink)
    delivery = Delivery(sink, DirectState(books), chosen, SystemClock())
    running = asyncio.create_task(delivery.run())
    books.work()
    delivery.wake()
    await delivery.until_empty()
    await delivery.drain(SystemClock().monotonic() + 5)
    await running
    await sink.close()


def letters(books: Books) -> list[int]:
    """The customers that are set aside."""
    return [number for _, number in books.letters()]


async def test_bad_messages_are_set_aside_retried_dropped_and_superseded(
    tmp_path: Path, sandbox: SandboxServer
) -> None:
    """Of 200 three are refused; one is mended in the shop, one is retried, one is dropped."""
    books = Books(tmp_path, SystemClock())
    for number in range(200):
        books.put(customer(number), email=f"shopper{number}@example.com")
    await refuse(sandbox, *BAD)
    await deliver(books, sandbox)
    assert letters(books) == list(BAD)
    assert sandbox.store.accepted == 197
    assert all("not valid" in letter.detail for letter in books.run(dead_letters.list_all))

    await refuse(sandbox, BAD[1])
    books.put(customer(BAD[0]), email="mended@example.com")
    for number in BAD[1:]:
        assert books.run(lambda store, n=number: dead_letters.retry(store, customer(n)))  # type: ignore[misc]
    await deliver(books, sandbox)
    assert letters(books) == [BAD[1]]
    assert sandbox.store.accepted == 199

    said = books.run(lambda store: dead_letters.drop(store, customer(BAD[1]), "magento"))
    assert said == f"magento-customer-{BAD[1]}: the receiver never gets it unless the object changes again"
    await deliver(books, sandbox)
    assert (letters(books), sandbox.store.accepted) == ([], 199)
    assert sandbox.store.watch.counts == {}
