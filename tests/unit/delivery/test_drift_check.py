"""``verify.every_h``: rounds that read a sample back, go on where they were, and never get in the way of sending."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from structlog.testing import capture_logs

from cdc.delivery import drift_check
from cdc.delivery.drift_check import SAMPLE
from cdc.delivery.engine import Delivery
from cdc.errors import SinkUnavailableError
from cdc.messages.verification import Expected
from cdc.model import Comparison, Drift, Message, ObjectType
from cdc.protocols import Requests
from cdc.replica.rows import ReplicaRows
from tests.kit.clock import simulate
from tests.kit.delivery_harness import DeliveryHarness, customer, order
from tests.kit.fakesink import FAMILY, FakeSink

HOUR_S = 3600.0


class ReadableSink(FakeSink):
    """A sink that can be read back. ``compared``: the objects asked for, call by call."""

    def __init__(self) -> None:
        super().__init__()
        self.compared: list[list[str]] = []
        self.error: SinkUnavailableError | None = None
        self.meanwhile: Callable[[], None] = lambda: None
        self.strays: list[str] = []

    async def compare(self, messages: Sequence[Message], requests: Requests) -> Sequence[Comparison]:
        """See ``SinkReader``."""
        if not messages:
            return ()
        async with requests.permit(FAMILY):
            if self.error is not None:
                raise self.error
            self.compared.append([message.external_id for message in messages])
            self.meanwhile()
            return [self._verdict(message) for message in messages]

    def _verdict(self, message: Message) -> Comparison:
        held = self.held.get(message.external_id)
        if held is None:
            return Comparison(message.external_id, Drift.MISSING)
        same = dict(held.properties) == dict(message.properties)
        return Comparison(message.external_id, Drift.EQUAL if same else Drift.DIFFERING, record_id="7")

    async def keys(
        self, object_type: ObjectType, after: str, requests: Requests
    ) -> tuple[Sequence[tuple[str, str]], str]:
        """See ``SinkReader``."""
        async with requests.permit(FAMILY):
            held = [name for name, message in self.held.items() if message.object_type is object_type]
        return [(name, "9") for name in [*held, *(self.strays if object_type is ObjectType.CONTACT else ())]], ""

    def record_link(self, object_type: ObjectType, record_id: str) -> str:
        """See ``SinkReader``."""
        return f"https://example.com/{record_id}" if record_id else ""

    def lose(self, name: str) -> None:
        """People delete the record."""
        del self.held[name]

    @property
    def names(self) -> list[str]:
        """All objects that were asked for so far."""
        return [name for call in self.compared for name in call]


def harness_in(folder: Path, every_h: float = 1.0) -> tuple[DeliveryHarness, ReadableSink]:
    """A delivery that reads back every hour."""
    sink = ReadableSink()
    harness = DeliveryHarness(folder, sink, verify={"every_h": every_h})
    harness.delivery = with_rounds(harness)
    return harness, sink


def with_rounds(harness: DeliveryHarness) -> Delivery:
    """Another delivery on the same books."""
    books = harness.books
    expected = Expected(books.store, books.mapper, ReplicaRows(books.store, ()), "magento")
    return harness.make(expected=expected)


def test_a_round_counts_by_class_and_names_what_differs(tmp_path: Path) -> None:
    """A lost record and a stray one are told in the log and in the status, with the page of the record."""

    async def story() -> None:
        harness, sink = harness_in(tmp_path)
        for number in range(3):
            harness.books.put(customer(number))
        with capture_logs() as lines:
            async with harness.running() as delivery:
                assert await harness.settle(delivery) == "empty"
                sink.lose("magento-customer-1")
                sink.strays = ["magento-customer-77", "other-customer-1", "words"]
                await asyncio.sleep(HOUR_S + 60)
                found = delivery.status()["verify"]
        assert found["counts"] == {
            "equal": 2, "missing": 1, "differing": 0, "link_missing": 0, "merged": 0, "extra": 1,
        }  # fmt: skip
        assert found["drifts"] == [
            {"object": "magento-customer-1", "class": "missing", "record": ""},
            {"object": "magento-customer-77", "class": "extra", "record": "https://example.com/9"},
        ]
        told = [line for line in lines if line["event"] in ("drift_found", "drift_checked")]
        assert [line["event"] for line in told] == ["drift_checked", "drift_found"]
        assert told[1]["objects"] == ["magento-customer-1", "magento-customer-77"]

    simulate(story())


def test_each_round_goes_on_where_the_one_before_ended(tmp_path: Path) -> None:
    """More objects than a round looks at are all looked at in time, over a restart too, and then from the first on."""

    async def story() -> None:
        harness, sink = harness_in(tmp_path)
        count = SAMPLE + 50
        for number in range(count):
            harness.books.put(customer(number))
        async with harness.running() as delivery:
            await asyncio.sleep(10)
            assert await harness.settle(delivery) == "empty"
            sink.compared.clear()
            await asyncio.sleep(HOUR_S)
        first = sink.names
        assert len(first) == SAMPLE
        sink.compared.clear()
        harness.delivery = with_rounds(harness)
        async with harness.running():
            await asyncio.sleep(60)
            assert not sink.names  # the state knows when the last round was
            await asyncio.sleep(HOUR_S)
        assert len(sink.names) == count - SAMPLE
        assert len({*first, *sink.names}) == count

    simulate(story())


def test_what_changed_while_it_was_read_is_no_drift(tmp_path: Path) -> None:
    """The record is newer than the rendering, or the other way round: the object's next message tells."""

    async def story() -> None:
        harness, sink = harness_in(tmp_path)
        for number in range(2):
            harness.books.put(customer(number))
        async with harness.running() as delivery:
            assert await harness.settle(delivery) == "empty"
            sink.lose("magento-customer-0")
            sink.meanwhile = lambda: harness.books.put(customer(0), name="new")
            await asyncio.sleep(HOUR_S + 60)
            assert delivery.status()["verify"]["counts"]["missing"] == 0
            assert delivery.status()["verify"]["counts"]["equal"] == 1

    simulate(story())


def test_a_round_that_fails_comes_later_and_stops_nothing(tmp_path: Path) -> None:
    """A receiver that cannot be read is tried again in a minute; messages go all the time."""

    async def story() -> None:
        harness, sink = harness_in(tmp_path)
        harness.books.put(customer(1))
        async with harness.running() as delivery:
            assert await harness.settle(delivery) == "empty"
            sink.error = SinkUnavailableError("no")
            await asyncio.sleep(HOUR_S + 10)
            at = delivery.status()["verify"]["at"]
            harness.books.put(order(3), customer(1))
            delivery.wake()
            assert await harness.settle(delivery) == "empty"
            sink.error = None
            await asyncio.sleep(drift_check.TRY_AGAIN_S + 1)
            assert delivery.status()["verify"]["at"] > at
            assert delivery.status()["verify"]["counts"]["equal"] == 2

    simulate(story())


def test_without_the_setting_nothing_is_read(tmp_path: Path) -> None:
    """The default is 0: no call, no entry in the status."""

    async def story() -> None:
        harness, sink = harness_in(tmp_path, every_h=0)
        harness.books.put(customer(1))
        async with harness.running() as delivery:
            await asyncio.sleep(HOUR_S * 3)
            assert "verify" not in delivery.status()
        assert not sink.compared

    simulate(story())


def test_a_member_that_follows_reads_nothing(tmp_path: Path) -> None:
    """Only who sends compares: what a follower holds may be older than what its leader sent."""

    class Following:
        may_send = False

    async def story() -> None:
        harness, sink = harness_in(tmp_path)
        books = harness.books
        expected = Expected(books.store, books.mapper, ReplicaRows(books.store, ()), "magento")
        harness.delivery = harness.make(expected=expected, leader_gate=Following())
        async with harness.running():
            await asyncio.sleep(HOUR_S * 2)
        assert not sink.compared

    simulate(story())


def test_an_object_deleted_while_records_are_listed_is_no_stray(tmp_path: Path) -> None:
    """Its record was there when the list was read; the deletion was accepted since."""

    async def story() -> None:
        harness, _ = harness_in(tmp_path)
        books = harness.books
        books.put(customer(1))
        async with harness.running() as delivery:
            assert await harness.settle(delivery) == "empty"
            since_ms = harness.clock.now_ms()
            books.remove(customer(1))
            delivery.wake()
            await asyncio.sleep(5)
        expected = Expected(books.store, books.mapper, ReplicaRows(books.store, ()), "magento")
        listed = [("magento-customer-1", "9")]
        assert books.run(lambda _: expected.extras(listed, since_ms)) == []
        later_ms = harness.clock.now_ms() + 1
        assert [one.drift for one in books.run(lambda _: expected.extras(listed, later_ms))] == [Drift.EXTRA]

    simulate(story())
