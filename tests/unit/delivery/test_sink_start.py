"""What a sink learns before the first message, and the waits that a receipt asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from cdc.errors import BatchRefusedError, SetupError, SinkError, SinkThrottledError, SinkUnavailableError
from cdc.model import Answer, Message, Outcome
from cdc.protocols import Requests, SinkNotes
from tests.kit.clock import simulate
from tests.kit.delivery_harness import DeliveryHarness, customer
from tests.kit.fakesink import FAMILY, FakeSink


class StartingSink(FakeSink):
    """A sink that asks something first; ``answers`` are raised one after the other."""

    def __init__(self, *answers: Exception) -> None:
        super().__init__()
        self.answers = list(answers)
        self.started: list[str] = []

    async def start(self, requests: Requests, notes: SinkNotes) -> None:
        """See ``SinkStart``."""
        async with requests.permit(FAMILY):
            self.started.append(await notes.get("seen"))
        if self.answers:
            raise self.answers.pop(0)
        await notes.put("seen", "yes")


def test_nothing_is_sent_before_the_sink_has_started(tmp_path: Path) -> None:
    """The start is tried again until it succeeds, whatever the fault; then messages go, and the notes are kept."""

    async def story() -> None:
        faults: list[SinkError] = [SinkUnavailableError("no"), BatchRefusedError("what?", status=400)]
        sink = StartingSink(*faults)
        harness = DeliveryHarness(tmp_path, sink)
        harness.books.put(customer(1))
        async with harness.running() as delivery:
            await asyncio.sleep(0.2)  # the shortest wait before another attempt is 0.25 s
            assert not sink.requests
            assert len(sink.started) == 1
            await asyncio.sleep(100)
            assert await harness.settle(delivery) == "empty"
        assert sink.started == ["", "", ""]
        await harness.make().drain(harness.clock.monotonic())
        assert harness.books.rows("SELECT value FROM meta WHERE key = 'sink_notes'") == [('{"fake:seen": "yes"}',)]

    simulate(story())


@pytest.mark.parametrize(
    ("fault", "at_least_s"),
    [
        (SinkThrottledError("429", retry_after_s=700.0), 700.0),
        (SinkThrottledError("429", policy="TEN_SECONDLY_ROLLING"), 10.0),
        (SinkThrottledError("429", policy="DAILY"), 30.0),
        (SinkUnavailableError("503", retry_after_s=700.0), 700.0),
    ],
    ids=["Retry-After", "a limit's window", "a used-up day", "Retry-After of a 503"],
)
def test_a_start_waits_as_long_as_the_answer_asks(tmp_path: Path, fault: SinkError, at_least_s: float) -> None:
    """The account is not asked again before, a long wait is a reason with its end, and a restart keeps it."""

    async def story() -> None:
        sink = StartingSink(fault)
        harness = DeliveryHarness(tmp_path, sink)
        async with harness.running() as delivery:
            await asyncio.sleep(at_least_s - 0.5)
            assert len(sink.started) == 1
            assert not delivery.is_accepting or at_least_s < 60
            await asyncio.sleep(40)
            assert len(sink.started) == 2

    simulate(story())


def test_an_account_that_is_not_set_up_ends_the_run(tmp_path: Path) -> None:
    """SetupError comes out of delivery, so that the run ends with its exit code and its advice."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, StartingSink(SetupError("no key", hint="push")))
        with pytest.raises(SetupError, match="push"):
            await harness.delivery.run()

    simulate(story())


def test_a_stop_ends_a_start_that_never_succeeds(tmp_path: Path) -> None:
    """A daemon whose receiver is not there stops like any other."""

    async def story() -> None:
        sink = StartingSink(*[SinkUnavailableError("no")] * 100)
        harness = DeliveryHarness(tmp_path, sink)
        async with harness.running():
            await asyncio.sleep(5)
        assert harness.clock.monotonic() < 10

    simulate(story())


class PatientSink(FakeSink):
    """Asks for an hour's patience with its first message."""

    async def send(self, messages: Sequence[Message], requests: Requests) -> Answer:
        """RETRY after an hour, once."""
        answer = await super().send(messages, requests)
        if len(self.requests) > 1:
            return answer
        receipts = [
            r.__class__(r.external_id, r.changed_at, Outcome.RETRY, retry_after_s=3600.0) for r in answer.receipts
        ]
        return Answer(tuple(receipts))


def test_a_receipt_may_ask_for_a_longer_wait(tmp_path: Path) -> None:
    """RETRY with a wait is tried again no sooner."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, PatientSink())
        harness.books.put(customer(1))
        async with harness.running():
            await asyncio.sleep(3500)
            assert len(harness.sink.requests) == 1
            await asyncio.sleep(200)
        assert [round(at_s, -2) for at_s, _ in harness.sink.requests] == [0, 3600]

    simulate(story())
