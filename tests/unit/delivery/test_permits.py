"""Each call has its permit: a quota per family, the leader gate asked each time, every call counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cdc.delivery.permits import StandaloneRequests
from cdc.errors import SendingStoppedError, SetupError, SinkUnavailableError
from cdc.messages.writes import Writes
from cdc.model import Answer, Message, ObjectType, Outcome, Quota, Receipt, Urgency
from cdc.protocols import CallFamily, Requests, SinkNotes, SinkTraits
from tests.kit.clock import LoopClock, simulate
from tests.kit.delivery_harness import DeliveryHarness, customer
from tests.kit.fakesink import FAMILY, FakeSink

OBJECTS, LINKS = "objects", "links"


class TwoCalls(FakeSink):
    """Writes objects with one call and links them with another; ``links`` may be lowered by the answers' headers."""

    def __init__(self, *, objects: int, links: int, max_batch: int = 1, told: int | None = None) -> None:
        super().__init__(max_batch=max_batch)
        families = {OBJECTS: CallFamily(objects), LINKS: CallFamily(links), FAMILY: CallFamily(1000)}
        self.traits = replace(self.traits, families=families)
        self.calls: list[tuple[str, float]] = []
        self.told = told
        self.stopped = 0
        self.after_objects: Callable[[], object] = lambda: None

    async def send(self, messages: Sequence[Message], requests: Requests) -> Answer:
        """Two calls; what was written without the second call is to be linked later."""
        await self._one(OBJECTS, requests)
        self.after_objects()
        try:
            await self._one(LINKS, requests)
        except SendingStoppedError:
            self.stopped += 1
            return Answer(tuple(Receipt(m.external_id, m.changed_at, Outcome.WRITTEN) for m in messages))
        self._apply(messages)
        return Answer(tuple(Receipt(m.external_id, m.changed_at, Outcome.ACCEPTED) for m in messages))

    async def _one(self, family: str, requests: Requests) -> None:
        async with requests.permit(family) as permit:
            self.calls.append((family, asyncio.get_running_loop().time()))
            await asyncio.sleep(0.05)
            if family == LINKS and self.told is not None:
                permit.answered(Quota(self.told, None, 10_000))

    def most_in_window(self, family: str) -> int:
        """The most calls of a family within any ten seconds."""
        times = [at for name, at in self.calls if name == family]
        return max((sum(1 for at in times if start <= at < start + 10) for start in times), default=0)


def test_each_family_has_a_quota_of_its_own(tmp_path: Path) -> None:
    """The slower family sets the pace of sends that need both, and no window of either is passed."""

    async def story() -> None:
        sink = TwoCalls(objects=40, links=20)
        harness = DeliveryHarness(tmp_path, sink)
        for number in range(100):
            harness.books.put(customer(number))
        assert await harness.deliver() == "empty"
        assert sink.most_in_window(LINKS) <= 20
        assert sink.most_in_window(OBJECTS) <= 40
        assert len(sink.held) == 100
        assert asyncio.get_running_loop().time() < 60

    simulate(story())


def test_headers_lower_the_family_that_they_speak_of(tmp_path: Path) -> None:
    """What an answer says of one family's limit leaves the other family alone."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, TwoCalls(objects=40, links=40, told=10))
        for number in range(5):
            harness.books.put(customer(number))
        await harness.deliver()
        quota = harness.delivery.status()["quota"]
        assert (quota[OBJECTS]["limit_per_10s"], quota[LINKS]["limit_per_10s"]) == (40, 10)

    simulate(story())


def test_the_setting_caps_every_family(tmp_path: Path) -> None:
    """``sink.max_requests_per_10s`` is the upper bound of each family."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, TwoCalls(objects=40, links=20), sink={"max_requests_per_10s": 30})
        quota = harness.delivery.status()["quota"]
        assert (quota[OBJECTS]["limit_per_10s"], quota[LINKS]["limit_per_10s"]) == (30, 20)

    simulate(story())


def test_a_sink_without_families_has_no_quota(tmp_path: Path) -> None:
    """A file is written as fast as it takes the lines, whatever the setting for requests says."""

    async def story() -> None:
        sink = FakeSink(max_batch=1)
        sink.traits = replace(sink.traits, families={})
        harness = DeliveryHarness(tmp_path, sink, sink={"max_requests_per_10s": 1})
        for number in range(50):
            harness.books.put(customer(number), urgency=Urgency.HISTORY)
        assert await harness.deliver() == "empty"
        assert asyncio.get_running_loop().time() < 5
        assert harness.delivery.status()["quota"] == {}

    simulate(story())


class NoCalls(FakeSink):
    """Takes every message without a call, as if there were nothing to write."""

    async def send(self, messages: Sequence[Message], requests: Requests) -> Answer:
        return Answer(tuple(Receipt(one.external_id, one.changed_at, Outcome.ACCEPTED) for one in messages))


def test_an_answer_without_a_call_is_no_success_of_the_receiver(tmp_path: Path) -> None:
    """The messages are settled, but nobody knows whether the receiver works."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, NoCalls())
        harness.books.put(customer(1))
        assert await harness.deliver() == "empty"
        assert harness.delivery._context.health.successes == 0
        assert harness.books.rows("SELECT accepted_at > 0 FROM ledger") == [(1,)]

    simulate(story())


class Gate:
    """A leader gate that a test closes."""

    may_send = True


def test_the_leader_gate_is_asked_at_each_permit(tmp_path: Path) -> None:
    """A member that stops leading between the calls of one send makes no further call; its sink says how far it was."""

    async def story() -> None:
        sink, gate = TwoCalls(objects=40, links=20), Gate()
        sink.after_objects = lambda: setattr(gate, "may_send", False)
        harness = DeliveryHarness(tmp_path, sink)
        harness.delivery = harness.make(leader_gate=gate)
        harness.books.put(customer(1))
        async with harness.running():
            await asyncio.sleep(10)
        assert [name for name, _ in sink.calls] == [OBJECTS]
        assert sink.stopped == 1
        assert harness.books.rows("SELECT writes FROM outbox") == [(Writes.LINKS,)]

    simulate(story())


def test_every_call_is_counted_and_a_failed_call_by_its_kind(tmp_path: Path) -> None:
    """``/status`` counts calls, not sends."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, TwoCalls(objects=40, links=20))
        for number in range(3):
            harness.books.put(customer(number))
        harness.sink.poll_error = SinkUnavailableError("no route")
        async with harness.running() as delivery:
            await harness.settle(delivery)
        assert harness.delivery.status()["requests"] == {"ok": 6, "unavailable": 1}

    simulate(story())


def test_a_family_that_the_traits_do_not_name_is_a_fault_of_the_sink() -> None:
    """A misspelt family would have no quota; so it is refused, unless the sink has no quota at all."""

    async def story() -> None:
        clock = LoopClock()
        traits = SinkTraits(name="x", max_batch=1, families={OBJECTS: CallFamily(10)})
        with pytest.raises(KeyError):
            async with StandaloneRequests(traits, clock).permit("object"):
                pass
        async with StandaloneRequests(replace(traits, families={}), clock).permit("anything"):
            pass

    simulate(story())


def test_without_a_daemon_the_quota_is_kept_too() -> None:
    """Commands wait for the window, and may be held to a share of it."""

    async def story() -> float:
        traits = SinkTraits(name="x", max_batch=1, families={OBJECTS: CallFamily(10)})
        requests = StandaloneRequests(traits, LoopClock(), share=0.5)
        for _ in range(6):
            async with requests.permit(OBJECTS):
                pass
        return asyncio.get_running_loop().time()

    assert simulate(story()) == pytest.approx(10, abs=0.1)


class Starting(FakeSink):
    """Has to learn the account's id before the first message."""

    def __init__(self, failures: int = 0, fault: Exception | None = None) -> None:
        super().__init__()
        self.failures, self.fault = failures, fault
        self.started: list[float] = []

    async def start(self, requests: Requests, notes: SinkNotes) -> None:
        """Fails so many times first."""
        async with requests.permit("fake"):
            self.started.append(asyncio.get_running_loop().time())
            assert not self.requests
            if self.fault is not None:
                raise self.fault
            if len(self.started) <= self.failures:
                raise SinkUnavailableError("no route")
        seen = await notes.get("account")
        await notes.put("account", seen or "4711")


def test_a_sink_is_started_before_the_first_send(tmp_path: Path) -> None:
    """While it cannot be, nothing is sent and ``/ready`` says why; what it notes is there in the next run."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, Starting(failures=3))
        harness.books.put(customer(1))
        async with harness.running() as delivery:
            await asyncio.sleep(0.1)
            assert "no route" in delivery.reason
            await harness.settle(delivery)
            assert delivery.is_accepting
        assert len(harness.sink.started) == 4  # type: ignore[attr-defined]
        assert harness.books.run(lambda store: store.meta.sink_notes) == {"fake:account": "4711"}

    simulate(story())


def test_an_account_that_is_not_set_up_ends_the_run(tmp_path: Path) -> None:
    """SetupError comes out of delivery: exit code 2 with the sink's own advice."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path, Starting(fault=SetupError("no key property", hint="mapping push")))
        with pytest.raises(SetupError, match="no key property"):
            await harness.delivery.run()

    simulate(story())


def test_types_that_a_sink_does_not_take_are_never_rendered(tmp_path: Path) -> None:
    """They are not in the outbox, so nothing waits for them."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        harness.books.renderer.object_types = frozenset({ObjectType.DEAL})
        harness.books.put(customer(1))
        assert harness.books.rows("SELECT count(*) FROM outbox") == [(0,)]

    simulate(story())
