"""A state that is older than what HubSpot holds is noticed by HubSpot's newest records."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from cdc.delivery.engine import Delivery
from cdc.errors import SinkUnavailableError
from cdc.messages import render_queue
from cdc.messages.verification import Expected
from cdc.model import ObjectType
from cdc.protocols import Requests
from cdc.replica.load_state import Phase
from cdc.replica.rows import ReplicaRows
from tests.kit.clock import simulate
from tests.kit.delivery_harness import DeliveryHarness, customer
from tests.kit.fakesink import FAMILY, FakeSink


class WitnessSink(FakeSink):
    """A receiver that lists its newest records. ``strays``: records that this state never sent."""

    def __init__(self, *strays: str) -> None:
        super().__init__()
        self.strays = strays
        self.asked = 0
        self.error: SinkUnavailableError | None = None

    async def newest(self, object_type: ObjectType, requests: Requests) -> Sequence[tuple[str, str]]:
        """See ``SinkWitness``."""
        async with requests.permit(FAMILY):
            self.asked += 1
            if self.error is not None:
                raise self.error
        held = [name for name, message in self.held.items() if message.object_type is object_type]
        return [(name, "7") for name in [*held, *(self.strays if object_type is ObjectType.CONTACT else ())]]


def told(folder: Path, sink: WitnessSink, phase: Phase = Phase.COMPLETE, waits: bool = False) -> list[dict[str, Any]]:
    """What the log says of it within some minutes of a run that sends one customer."""

    async def story() -> None:
        harness = DeliveryHarness(folder, sink)
        books = harness.books
        books.run(lambda store: setattr(store.meta, "load_state", {"phase": phase.value}))
        books.put(customer(1))
        if waits:
            books.run(lambda store: render_queue.mark(store, customer(2)))
        expected = Expected(books.store, books.mapper, ReplicaRows(books.store, ()), "magento")
        delivery = Delivery(sink, harness.state, harness.settings, harness.clock, expected=expected)
        run = asyncio.create_task(delivery.run())
        await asyncio.sleep(150)
        if waits:
            books.work()
            await asyncio.sleep(150)
        delivery.stop()
        await run

    with capture_logs() as lines:
        simulate(story())
    return [dict(line) for line in lines if line["event"] == "state_behind_hubspot"]


def test_records_that_the_state_never_knew_are_named(tmp_path: Path) -> None:
    """An older copy was put back: objects made since are an error that names them, once a run."""
    [line] = told(tmp_path, WitnessSink("magento-customer-9"))

    assert (line["records"], line["objects"]) == (1, ["magento-customer-9"])
    assert line["log_level"] == "error"


@pytest.mark.parametrize("strays", [(), ("other-customer-9",), ("magento-customer-x",)])
def test_what_the_state_knows_or_is_not_ours_is_no_sign(tmp_path: Path, strays: tuple[str, ...]) -> None:
    """Objects that were sent, other shops' namespaces and texts that are no key say nothing."""
    sink = WitnessSink(*strays)

    assert told(tmp_path, sink) == []
    assert sink.asked == len(sink.traits.object_types)


def test_a_load_is_waited_for(tmp_path: Path) -> None:
    """A lost state that is filled again knows nobody yet: no word while that lasts."""
    assert told(tmp_path, WitnessSink("magento-customer-9"), Phase.LOADING) == []


def test_what_waits_to_be_rendered_is_waited_for(tmp_path: Path) -> None:
    """An object that the state has yet to render for the first time is none that it has forgotten."""
    assert told(tmp_path, WitnessSink("magento-customer-2"), waits=True) != []


def test_an_account_that_does_not_answer_is_asked_later(tmp_path: Path) -> None:
    """A failed look stops nothing, and is repeated."""
    sink = WitnessSink("magento-customer-9")
    sink.error = SinkUnavailableError("503")

    assert told(tmp_path, sink) == []
    assert sink.asked > 1


def test_the_silence_that_the_answer_asks_for_holds_for_sending(tmp_path: Path) -> None:
    """A look that is answered with Retry-After keeps every other caller silent too."""

    async def story() -> None:
        sink = WitnessSink()
        sink.error = SinkUnavailableError("503", retry_after_s=600.0)
        harness = DeliveryHarness(tmp_path, sink)
        books = harness.books
        books.run(lambda store: setattr(store.meta, "load_state", {"phase": Phase.COMPLETE.value}))
        expected = Expected(books.store, books.mapper, ReplicaRows(books.store, ()), "magento")
        delivery = Delivery(sink, harness.state, harness.settings, harness.clock, expected=expected)
        run = asyncio.create_task(delivery.run())
        await asyncio.sleep(5)
        books.put(customer(1))
        delivery.wake()
        await asyncio.sleep(500)
        assert sink.requests == []
        assert books.store.meta.quiet_until_ms > harness.clock.now_ms()
        sink.error = None
        await asyncio.sleep(200)
        assert len(sink.requests) == 1
        delivery.stop()
        await run

    simulate(story())
