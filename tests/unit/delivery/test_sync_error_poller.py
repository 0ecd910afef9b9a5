"""Verdicts that come after acceptance."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cdc.delivery.sync_error_poller import PAGES_A_POLL
from cdc.errors import SinkThrottledError, SinkUnavailableError
from cdc.messages import dead_letters
from cdc.model import ObjectType, SyncError, SyncErrorPage
from cdc.protocols import Requests
from tests.kit.clock import simulate
from tests.kit.delivery_harness import DeliveryHarness, customer, order
from tests.kit.fakesink import FAMILY, FakeSink


def verdict(harness: DeliveryHarness, name: str, kind: str, *, older_by: int = 0) -> SyncError:
    """What the bridge says of the version it holds."""
    message = harness.sink.held[f"magento-{name}"]
    return SyncError(
        message.object_type, message.external_id, message.changed_at - older_by, harness.clock.now_ms(), kind, "details"
    )


def test_a_bad_verdict_makes_a_dead_letter(tmp_path: Path) -> None:
    """HubSpot's type is the reason; the version no longer counts as accepted."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        harness.books.put(customer(1))
        async with harness.running() as delivery:
            await harness.settle(delivery)
            harness.sink.verdicts.append(verdict(harness, "customer-1", "INVALID_EMAIL_ADDRESS"))
            await asyncio.sleep(60)
        letter = harness.books.run(dead_letters.list_all)[0]
        assert (letter.ref, letter.reason, letter.detail) == (customer(1), "INVALID_EMAIL_ADDRESS", "details")
        assert harness.books.rows("SELECT accepted_at, accepted_hash FROM ledger") == [(0, None)]

    simulate(story())


def test_a_verdict_on_an_older_version_does_not_count(tmp_path: Path) -> None:
    """Sync errors count only for the version that was sent last."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        harness.books.put(customer(1))
        async with harness.running() as delivery:
            await harness.settle(delivery)
            harness.sink.verdicts.append(verdict(harness, "customer-1", "INVALID_EMAIL_ADDRESS", older_by=1))
            await asyncio.sleep(60)
        assert harness.books.letters() == []

    simulate(story())


def test_a_dropped_letter_stays_dropped(tmp_path: Path) -> None:
    """The bridge goes on listing its open errors; each counts once."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        harness.books.put(customer(1))
        async with harness.running() as delivery:
            await harness.settle(delivery)
            harness.sink.verdicts.append(verdict(harness, "customer-1", "UNKNOWN_ERROR"))
            await asyncio.sleep(20)
            said = harness.books.run(lambda store: dead_letters.drop(store, customer(1), "magento"))
            assert said == "magento-customer-1: the receiver never gets it unless the object changes again"
            await asyncio.sleep(100)
        assert harness.books.letters() == []

    simulate(story())


def test_a_missing_parent_is_waited_for_and_the_object_rendered_again(tmp_path: Path) -> None:
    """A deal refused because its contact was not processed yet is sent afresh once the contact is known."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        harness.books.put(customer(1))
        harness.books.put(order(3), customer(1))
        async with harness.running() as delivery:
            await harness.settle(delivery)
            harness.sink.unknown.add("magento-customer-1")
            harness.sink.verdicts.append(verdict(harness, "order-3", "MISSING_ASSOCIATED_OBJECT"))
            await asyncio.sleep(60)
            assert harness.books.rows("SELECT kind, id FROM waiting_for_parent") == [("order", 3)]
            assert len(harness.sent(ObjectType.DEAL)) == 1
            harness.sink.unknown.clear()
            await asyncio.sleep(20)
            await harness.settle(delivery)
        first, second = (m for _, batch in harness.sink.requests for m in batch if m.object_type is ObjectType.DEAL)
        assert second.changed_at > first.changed_at
        assert second.associations == first.associations
        assert harness.books.letters() == []
        assert harness.books.rows("SELECT count(*) FROM waiting_for_parent") == [(0,)]

    simulate(story())


def test_a_parent_that_never_comes_ends_the_wait(tmp_path: Path) -> None:
    """After its time the waiting object becomes a dead letter, with HubSpot's type."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        harness.books.put(customer(1))
        harness.books.put(order(3), customer(1))
        async with harness.running() as delivery:
            await harness.settle(delivery)
            harness.sink.unknown.add("magento-customer-1")
            harness.sink.verdicts.append(verdict(harness, "order-3", "INVALID_ASSOCIATION_PROPERTY"))
            await asyncio.sleep(3700)
        assert [x.reason for x in harness.books.run(dead_letters.list_all)] == ["INVALID_ASSOCIATION_PROPERTY"]

    simulate(story())


def test_an_association_that_stays_wrong_is_not_sent_for_ever(tmp_path: Path) -> None:
    """If the parent is known and the verdict comes again and again, something else is wrong: a dead letter."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        harness.books.put(customer(1))
        harness.books.put(order(3), customer(1))
        async with harness.running() as delivery:
            for _ in range(40):
                await harness.settle(delivery)
                harness.sink.verdicts.append(verdict(harness, "order-3", "MISSING_ASSOCIATED_OBJECT"))
                await asyncio.sleep(15)
        assert harness.books.letters() == [("order", 3)]
        assert len(harness.sent(ObjectType.DEAL)) == 4

    simulate(story())


def test_a_failing_poll_stops_nothing(tmp_path: Path) -> None:
    """Messages go on while verdicts cannot be asked for, and then the sink counts as accepting."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        harness.sink.poll_error = SinkUnavailableError("no route")
        async with harness.running() as delivery:
            await asyncio.sleep(1)
            assert not delivery.is_accepting
            harness.books.put(customer(1))
            delivery.wake()
            await harness.settle(delivery)
            assert delivery.is_accepting

    simulate(story())


class Paged(FakeSink):
    """Lists its verdicts on pages of ten, from the oldest on, and may fail at a page once."""

    def __init__(self) -> None:
        super().__init__()
        self.fails_at = -1
        self.pages: list[int] = []

    async def sync_errors(self, progress: str, requests: Requests) -> SyncErrorPage:
        """Ten verdicts behind ``progress``."""
        first = int(progress or 0)
        async with requests.permit(FAMILY):
            self.pages.append(first)
            if len(self.pages) == self.fails_at:
                raise SinkThrottledError("slow down", retry_after_s=300)
            errors = tuple(self.verdicts[first : first + 10])
        return SyncErrorPage(errors, str(first + len(errors)), is_last=first + 10 >= len(self.verdicts))


async def accepted(harness: DeliveryHarness, count: int) -> None:
    """So many customers are accepted and refused later."""
    for number in range(count):
        harness.books.put(customer(number))
    harness.delivery.wake()
    await harness.settle(harness.delivery)
    for number in range(count):
        harness.sink.verdicts.append(verdict(harness, f"customer-{number}", "INVALID_ENUM_PROPERTY"))


def test_a_poll_that_fails_at_a_page_goes_on_at_that_page(tmp_path: Path) -> None:
    """What was read is written down page by page; each page is a call, and the silence asked for holds for all."""

    async def story() -> None:
        sink = Paged()
        harness = DeliveryHarness(tmp_path, sink)
        async with harness.running() as delivery:
            await accepted(harness, 100)
            sink.pages, sink.fails_at = [], 4
            await asyncio.sleep(20)
            assert len(harness.books.letters()) == 30
            assert "sending goes on in" in delivery.reason
            sink.fails_at = -1
            await asyncio.sleep(320)
        assert sink.pages[:5] == [0, 10, 20, 30, 30]
        assert len(harness.books.letters()) == 100
        assert harness.delivery.status()["requests"]["ok"] >= 11

    simulate(story())


def test_the_circuit_breaker_is_looked_at_after_each_page(tmp_path: Path) -> None:
    """Sending stops within the poll that shows too many dead letters, and the rest is still read."""

    async def story() -> None:
        sink = Paged()
        harness = DeliveryHarness(tmp_path, sink, delivery={"max_dead_letters_per_hour": 15})
        async with harness.running() as delivery:
            await accepted(harness, 100)
            await asyncio.sleep(16)
            assert delivery.reason.startswith("dead_letters")
            sent = len(sink.requests)
            harness.books.put(customer(999))
            delivery.wake()
            await asyncio.sleep(60)
            assert len(sink.requests) == sent
        assert len(harness.books.letters()) == 100

    simulate(story())


def test_one_poll_reads_a_bounded_number_of_pages(tmp_path: Path) -> None:
    """A long list is read over several polls, each going on where the last one ended."""

    async def story() -> None:
        sink = Paged()
        harness = DeliveryHarness(tmp_path, sink)
        async with harness.running():
            await accepted(harness, 10 * (PAGES_A_POLL + 5))
            sink.pages = []
            await asyncio.sleep(16)
            assert len(sink.pages) == PAGES_A_POLL
            await asyncio.sleep(15)
            assert len(sink.pages) >= PAGES_A_POLL + 5

    simulate(story())
