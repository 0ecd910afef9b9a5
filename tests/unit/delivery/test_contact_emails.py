"""A customer's email: what the sink took first stays, as the bridge never changes it; the rest goes on."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from cdc.errors import OutcomeUnknownError, SinkError, SinkThrottledError, SinkUnavailableError
from cdc.messages import dead_letters, ledger
from cdc.messages.contact_emails import EmailRule
from cdc.model import Action, Message, Outcome, SyncError
from tests.kit.clock import simulate
from tests.kit.delivery_harness import DeliveryHarness, customer
from tests.kit.fakesink import FakeSink, Plan

WHO = customer(7)
NAME = WHO.external_id("magento")
LEAVE_OUT, SEND = EmailRule("email", leave_out=True), EmailRule("email", leave_out=False)
OLD, NEW, NEWER = "ann@example.com", "ann.lee@example.com", "lee@example.com"


class Bridge(FakeSink):
    """Notes which address each contact got first, and every other one that reached it."""

    def __init__(self) -> None:
        super().__init__()
        self.first: dict[str, str] = {}
        self.changed: list[str] = []

    def _apply(self, messages: Sequence[Message]) -> None:
        super()._apply(messages)
        for message in messages:
            email = message.properties.get("email", "")
            if message.action is Action.DELETE:
                self.first.pop(message.external_id, None)
            elif email and self.first.setdefault(message.external_id, email) != email:
                self.changed.append(message.external_id)


def desk_in(folder: Path, rule: EmailRule = LEAVE_OUT) -> DeliveryHarness:
    """A delivery harness that treats emails by this rule."""
    harness = DeliveryHarness(folder, Bridge())
    harness.books.renderer.emails = rule
    return harness


def put(harness: DeliveryHarness, email: str, name: str = "Ann", *, force: bool = False) -> None:
    """The shop's customer is so now."""
    harness.books.put(WHO, email=email, firstname=name)
    if force:
        harness.books.render(WHO, force=True)
    harness.delivery.wake()


async def deliver(harness: DeliveryHarness) -> None:
    """A run that sends all it can."""
    harness.delivery = harness.make()
    await harness.deliver()


def sent(harness: DeliveryHarness) -> list[dict[str, str]]:
    """The properties of every message so far."""
    return [dict(message.properties) for _, batch in harness.sink.requests for message in batch]


def refusal(harness: DeliveryHarness, kind: str) -> SyncError:
    """The bridge refuses the version that it holds."""
    held = harness.sink.held[NAME]
    return SyncError(held.object_type, NAME, held.changed_at, harness.clock.now_ms(), kind)


def test_a_changed_email_alone_sends_nothing(tmp_path: Path) -> None:
    """With leave_out the message counts as the same, also when the address comes back."""

    async def story() -> None:
        harness = desk_in(tmp_path)
        for email in (OLD, NEW, OLD, NEWER):
            put(harness, email)
            await deliver(harness)
        assert sent(harness) == [{"email": OLD, "firstname": "Ann"}]

    simulate(story())


def test_the_rest_is_sent_without_the_changed_email(tmp_path: Path) -> None:
    """What else changed goes; the address goes along again only when it is the first one."""

    async def story() -> None:
        harness = desk_in(tmp_path)
        for email, name in ((OLD, "Ann"), (NEW, "Anna"), (OLD, "Annie")):
            put(harness, email, name)
            await deliver(harness)
        assert sent(harness) == [
            {"email": OLD, "firstname": "Ann"},
            {"firstname": "Anna"},
            {"email": OLD, "firstname": "Annie"},
        ]

    simulate(story())


def test_send_passes_each_change_on(tmp_path: Path) -> None:
    """With send the address is a property like all others."""

    async def story() -> None:
        harness = desk_in(tmp_path, SEND)
        for email in (OLD, NEW):
            put(harness, email)
            await deliver(harness)
        assert [properties["email"] for properties in sent(harness)] == [OLD, NEW]

    simulate(story())


@pytest.mark.parametrize(("rule", "action"), [(LEAVE_OUT, "left_out"), (SEND, "sent")])
def test_each_change_warns_once_without_the_address(tmp_path: Path, rule: EmailRule, action: str) -> None:
    """The line names the object; what follows for the same address is quiet, another address warns again."""

    async def story() -> None:
        harness = desk_in(tmp_path, rule)
        with capture_logs() as lines:
            for email, name in ((OLD, "a"), (NEW, "b"), (NEW, "c"), (OLD, "d"), (OLD, "e"), (NEWER, "f")):
                put(harness, email, name)
                await deliver(harness)
        told = [line for line in lines if line["event"] == "contact_email_changed"]
        assert [(line["object"], line["email"], line["log_level"]) for line in told] == [
            ("customer-7", action, "warning")
        ] * 2
        assert "example.com" not in str(lines)

    simulate(story())


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param(SinkUnavailableError("away"), NEW, id="not taken"),
        pytest.param(SinkThrottledError("slowly"), NEW, id="throttled"),
        pytest.param(OutcomeUnknownError("no answer"), OLD, id="perhaps taken"),
    ],
)
def test_an_email_counts_from_the_first_attempt_that_may_have_landed(
    tmp_path: Path, fault: SinkError, expected: str
) -> None:
    """Corrected before anything was taken, the new one goes; after an attempt without an answer, only the old one."""

    async def story() -> None:
        harness = desk_in(tmp_path)
        is_taken = isinstance(fault, OutcomeUnknownError)
        harness.sink.plan = lambda _: Plan(is_applied=is_taken, error=fault)
        put(harness, OLD)
        async with harness.running():
            await asyncio.sleep(5)
        put(harness, NEW, "Anna")
        harness.sink.plan = lambda _: Plan()
        await deliver(harness)
        assert harness.sink.first == {NAME: expected}  # type: ignore[attr-defined]
        assert harness.sink.changed == []  # type: ignore[attr-defined]
        assert harness.sink.held[NAME].properties["firstname"] == "Anna"

    simulate(story())


def test_a_later_attempt_that_was_not_taken_does_not_undo_an_earlier_one(tmp_path: Path) -> None:
    """The contact may be there since the attempt that got no answer."""

    async def story() -> None:
        harness = desk_in(tmp_path)
        harness.sink.plan = lambda _: Plan(error=OutcomeUnknownError("no answer"))
        put(harness, OLD)
        async with harness.running():
            await asyncio.sleep(0.1)
            harness.sink.plan = lambda _: Plan(is_applied=False, error=SinkUnavailableError("away"))
            await asyncio.sleep(5)
        assert len(harness.sink.requests) > 1
        put(harness, NEW, "Anna")
        harness.sink.plan = lambda _: Plan()
        await deliver(harness)
        assert harness.sink.changed == []  # type: ignore[attr-defined]

    simulate(story())


def test_an_email_that_changes_while_its_contact_is_on_the_wire(tmp_path: Path) -> None:
    """What is rendered then leaves it out if the request is taken, and takes it in if it is not."""

    async def story(is_taken: bool, folder: Path) -> None:
        harness = desk_in(folder)
        error = None if is_taken else SinkUnavailableError("away")
        harness.sink.plan = lambda _: Plan(before_s=1, is_applied=is_taken, error=error)
        put(harness, OLD)
        async with harness.running() as delivery:
            await asyncio.sleep(0.5)
            put(harness, NEW, "Anna")
            assert "email" not in harness.books.rows("SELECT properties FROM outbox")[0][0]
            await asyncio.sleep(0.7)
            harness.sink.plan = lambda _: Plan()
            await harness.settle(delivery)
        assert harness.sink.first == {NAME: OLD if is_taken else NEW}  # type: ignore[attr-defined]
        assert harness.sink.held[NAME].properties["firstname"] == "Anna"

    for is_taken in (True, False):
        simulate(story(is_taken, tmp_path / str(is_taken)))


def test_a_refused_update_leaves_the_first_email_where_it_is(tmp_path: Path) -> None:
    """The contact is there, whatever the bridge said of a later version; a resend of everything keeps it too."""

    async def story() -> None:
        harness = desk_in(tmp_path)
        put(harness, OLD)
        await deliver(harness)
        put(harness, NEW, "Anna")
        harness.delivery = harness.make()
        async with harness.running() as delivery:
            await harness.settle(delivery)
            harness.sink.verdicts.append(refusal(harness, "INVALID_ENUM_PROPERTY"))
            await asyncio.sleep(60)
        assert harness.books.letters() == [("customer", 7)]
        harness.books.run(lambda store: dead_letters.retry(store, WHO))
        harness.books.run(ledger.forget_hashes)
        await deliver(harness)
        assert sent(harness) == [{"email": OLD, "firstname": "Ann"}, *[{"firstname": "Anna"}] * 2]

    simulate(story())


@pytest.mark.parametrize("kind", ["INVALID_EMAIL_ADDRESS", "UNKNOWN_ERROR"])
def test_a_refused_first_message_leaves_no_email(tmp_path: Path, kind: str) -> None:
    """There is no contact, so the corrected address is sent."""

    async def story() -> None:
        harness = desk_in(tmp_path)
        put(harness, "ann@example")
        async with harness.running() as delivery:
            await harness.settle(delivery)
            harness.sink.verdicts.append(refusal(harness, kind))
            await asyncio.sleep(60)
            put(harness, NEW)
            await harness.settle(delivery)
        assert sent(harness)[-1] == {"email": NEW, "firstname": "Ann"}
        assert harness.books.letters() == []

    simulate(story())


def test_a_contact_that_lacks_the_email_left_out_is_sent_whole_once(tmp_path: Path) -> None:
    """It was gone there after all; if that is refused too, it is a dead letter."""

    async def story() -> None:
        harness = desk_in(tmp_path)
        put(harness, OLD)
        await deliver(harness)
        put(harness, NEW, "Anna")
        harness.delivery = harness.make()
        async with harness.running() as delivery:
            for letters in ([], [("customer", 7)]):
                await harness.settle(delivery)
                harness.sink.verdicts.append(refusal(harness, "MISSING_REQUIRED_PROPERTY"))
                await asyncio.sleep(30)
                await harness.settle(delivery)
                assert harness.books.letters() == letters
        assert sent(harness)[1:] == [{"firstname": "Anna"}, {"email": NEW, "firstname": "Anna"}]

    simulate(story())


def test_a_deletion_that_was_accepted_takes_every_mark_along(tmp_path: Path) -> None:
    """Nothing of the address is left in the ledger, and who comes back comes with the address of then."""

    async def story() -> None:
        harness = desk_in(tmp_path)
        for email in (OLD, NEW):
            put(harness, email)
            await deliver(harness)
        harness.books.remove(WHO)
        assert harness.books.rows("SELECT length(email), length(email_new) FROM ledger") == [(16, 16)]
        harness.sink.plan = lambda _: Plan(before_s=1)
        harness.delivery = harness.make()
        async with harness.running() as delivery:
            await asyncio.sleep(0.5)
            put(harness, NEWER)  # while the DELETE is on the wire
            await asyncio.sleep(0.6)
            assert harness.books.rows("SELECT email, email_at, email_new FROM ledger") == [(b"", 0, b"")]
            await harness.settle(delivery)
        assert harness.sink.first == {NAME: NEWER}  # type: ignore[attr-defined]

    simulate(story())


def test_a_rejected_message_told_nothing(tmp_path: Path) -> None:
    """A receipt that rejects the contact leaves it unknown to the sink."""

    async def story() -> None:
        harness = desk_in(tmp_path)
        harness.sink.plan = lambda _: Plan(outcomes={NAME: Outcome.REJECTED})
        put(harness, OLD)
        await deliver(harness)
        harness.sink.plan = lambda _: Plan()
        put(harness, NEW)
        await deliver(harness)
        assert sent(harness)[-1]["email"] == NEW

    simulate(story())


STEPS = st.lists(
    st.sampled_from(
        ["old", "new", "newer", "name", "delete", "forced", "away", "lost", "landed", "well", "crash", "wait"]
    ),
    min_size=4,
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(0, 99))
def test_no_contact_ever_gets_a_second_email(steps: list[str], seed: int) -> None:
    """Whatever fails and whenever the process ends: no other address reaches a contact, and the rest does."""

    async def story(folder: Path) -> None:
        harness, random = desk_in(folder), Random(seed)
        email, name = OLD, 0
        put(harness, email, "0")
        task = asyncio.create_task(harness.delivery.run())
        for step in steps:
            match step:
                case "old" | "new" | "newer":
                    email = {"old": OLD, "new": NEW, "newer": NEWER}[step]
                    put(harness, email, str(name))
                case "name" | "forced":
                    name += 1
                    put(harness, email, str(name), force=step == "forced")
                case "delete":
                    harness.books.remove(WHO)
                case "away":
                    harness.sink.plan = lambda _: Plan(is_applied=False, error=SinkUnavailableError("away"))
                case "lost" | "landed":
                    harness.sink.plan = lambda _, s=step: Plan(  # type: ignore[misc]
                        is_applied=s == "landed", error=OutcomeUnknownError("no answer")
                    )
                case "well":
                    harness.sink.plan = lambda _: Plan()
                case "crash":
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                    harness.books.renderer.ledger.bits.reread()
                    harness.delivery = harness.make()
                    task = asyncio.create_task(harness.delivery.run())
            harness.books.work()
            harness.delivery.wake()
            await asyncio.sleep(random.choice((0.0, 0.01, 0.03, 3.0)))
        harness.sink.plan = lambda _: Plan()
        put(harness, email, "last")
        for _ in range(3):
            await harness.settle(harness.delivery)
            _refuse_what_has_no_email(harness)
            await asyncio.sleep(40)
        await harness.delivery.drain(harness.clock.monotonic() + 100)
        await task
        assert harness.sink.changed == []  # type: ignore[attr-defined]
        assert harness.sink.held[NAME].properties["firstname"] == "last"
        assert NAME in harness.sink.first  # type: ignore[attr-defined]
        assert harness.books.letters() == []

    with tempfile.TemporaryDirectory() as folder:
        simulate(story(Path(folder)))


def _refuse_what_has_no_email(harness: DeliveryHarness) -> None:
    """As the bridge does with a contact that never got one."""
    if NAME in harness.sink.held and NAME not in harness.sink.first:  # type: ignore[attr-defined]
        harness.sink.verdicts.append(refusal(harness, "MISSING_REQUIRED_PROPERTY"))
