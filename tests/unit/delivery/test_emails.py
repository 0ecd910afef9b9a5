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
from cdc.model import Action, Judgement, Message, Outcome
from cdc.replica import deadletters
from cdc.replica.emails import EmailRule
from tests.kit.clock import simulate
from tests.kit.desk import Desk, customer
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


def desk_in(folder: Path, rule: EmailRule = LEAVE_OUT) -> Desk:
    """A desk that treats emails so."""
    desk = Desk(folder, Bridge())
    desk.books.renderer.emails = rule
    return desk


def put(desk: Desk, email: str, name: str = "Ann", *, force: bool = False) -> None:
    """The shop's customer is so now."""
    desk.books.put(WHO, email=email, firstname=name)
    if force:
        desk.books.render(WHO, force=True)
    desk.delivery.wake()


async def deliver(desk: Desk) -> None:
    """A run that sends all it can."""
    desk.delivery = desk.make()
    await desk.deliver()


def sent(desk: Desk) -> list[dict[str, str]]:
    """The properties of every message so far."""
    return [dict(message.properties) for _, batch in desk.sink.requests for message in batch]


def refusal(desk: Desk, kind: str) -> Judgement:
    """The bridge refuses the version that it holds."""
    held = desk.sink.held[NAME]
    return Judgement(held.object_type, NAME, held.changed_at, desk.clock.now_ms(), kind)


def test_a_changed_email_alone_sends_nothing(tmp_path: Path) -> None:
    """With leave_out the message counts as the same, also when the address comes back."""

    async def story() -> None:
        desk = desk_in(tmp_path)
        for email in (OLD, NEW, OLD, NEWER):
            put(desk, email)
            await deliver(desk)
        assert sent(desk) == [{"email": OLD, "firstname": "Ann"}]

    simulate(story())


def test_the_rest_is_sent_without_the_changed_email(tmp_path: Path) -> None:
    """What else changed goes; the address goes along again only when it is the first one."""

    async def story() -> None:
        desk = desk_in(tmp_path)
        for email, name in ((OLD, "Ann"), (NEW, "Anna"), (OLD, "Annie")):
            put(desk, email, name)
            await deliver(desk)
        assert sent(desk) == [
            {"email": OLD, "firstname": "Ann"},
            {"firstname": "Anna"},
            {"email": OLD, "firstname": "Annie"},
        ]

    simulate(story())


def test_send_passes_each_change_on(tmp_path: Path) -> None:
    """With send the address is a property like all others."""

    async def story() -> None:
        desk = desk_in(tmp_path, SEND)
        for email in (OLD, NEW):
            put(desk, email)
            await deliver(desk)
        assert [properties["email"] for properties in sent(desk)] == [OLD, NEW]

    simulate(story())


@pytest.mark.parametrize(("rule", "action"), [(LEAVE_OUT, "left_out"), (SEND, "sent")])
def test_each_change_warns_once_without_the_address(tmp_path: Path, rule: EmailRule, action: str) -> None:
    """The line names the object; what follows for the same address is quiet, another address warns again."""

    async def story() -> None:
        desk = desk_in(tmp_path, rule)
        with capture_logs() as lines:
            for email, name in ((OLD, "a"), (NEW, "b"), (NEW, "c"), (OLD, "d"), (OLD, "e"), (NEWER, "f")):
                put(desk, email, name)
                await deliver(desk)
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
        desk = desk_in(tmp_path)
        is_taken = isinstance(fault, OutcomeUnknownError)
        desk.sink.plan = lambda _: Plan(is_applied=is_taken, error=fault)
        put(desk, OLD)
        async with desk.running():
            await asyncio.sleep(5)
        put(desk, NEW, "Anna")
        desk.sink.plan = lambda _: Plan()
        await deliver(desk)
        assert desk.sink.first == {NAME: expected}  # type: ignore[attr-defined]
        assert desk.sink.changed == []  # type: ignore[attr-defined]
        assert desk.sink.held[NAME].properties["firstname"] == "Anna"

    simulate(story())


def test_a_later_attempt_that_was_not_taken_does_not_undo_an_earlier_one(tmp_path: Path) -> None:
    """The contact may be there since the attempt that got no answer."""

    async def story() -> None:
        desk = desk_in(tmp_path)
        desk.sink.plan = lambda _: Plan(error=OutcomeUnknownError("no answer"))
        put(desk, OLD)
        async with desk.running():
            await asyncio.sleep(0.1)
            desk.sink.plan = lambda _: Plan(is_applied=False, error=SinkUnavailableError("away"))
            await asyncio.sleep(5)
        assert len(desk.sink.requests) > 1
        put(desk, NEW, "Anna")
        desk.sink.plan = lambda _: Plan()
        await deliver(desk)
        assert desk.sink.changed == []  # type: ignore[attr-defined]

    simulate(story())


def test_an_email_that_changes_while_its_contact_is_on_the_wire(tmp_path: Path) -> None:
    """What is rendered then leaves it out if the request is taken, and takes it in if it is not."""

    async def story(is_taken: bool, folder: Path) -> None:
        desk = desk_in(folder)
        error = None if is_taken else SinkUnavailableError("away")
        desk.sink.plan = lambda _: Plan(before_s=1, is_applied=is_taken, error=error)
        put(desk, OLD)
        async with desk.running() as delivery:
            await asyncio.sleep(0.5)
            put(desk, NEW, "Anna")
            assert "email" not in desk.books.rows("SELECT properties FROM outbox")[0][0]
            await asyncio.sleep(0.7)
            desk.sink.plan = lambda _: Plan()
            await desk.settle(delivery)
        assert desk.sink.first == {NAME: OLD if is_taken else NEW}  # type: ignore[attr-defined]
        assert desk.sink.held[NAME].properties["firstname"] == "Anna"

    for is_taken in (True, False):
        simulate(story(is_taken, tmp_path / str(is_taken)))


def test_a_refused_update_leaves_the_first_email_where_it_is(tmp_path: Path) -> None:
    """The contact is there, whatever the bridge said of a later version; a resend of everything keeps it too."""

    async def story() -> None:
        desk = desk_in(tmp_path)
        put(desk, OLD)
        await deliver(desk)
        put(desk, NEW, "Anna")
        desk.delivery = desk.make()
        async with desk.running() as delivery:
            await desk.settle(delivery)
            desk.sink.verdicts.append(refusal(desk, "INVALID_ENUM_PROPERTY"))
            await asyncio.sleep(60)
        assert desk.books.letters() == [("customer", 7)]
        desk.books.run(lambda store: deadletters.retry(store, WHO))
        desk.books.run(lambda store: store.db.execute("UPDATE ledger SET rendered_hash = x'', accepted_hash = NULL"))
        await deliver(desk)
        assert sent(desk) == [{"email": OLD, "firstname": "Ann"}, *[{"firstname": "Anna"}] * 2]

    simulate(story())


@pytest.mark.parametrize("kind", ["INVALID_EMAIL_ADDRESS", "UNKNOWN_ERROR"])
def test_a_refused_first_message_leaves_no_email(tmp_path: Path, kind: str) -> None:
    """There is no contact, so the corrected address is sent."""

    async def story() -> None:
        desk = desk_in(tmp_path)
        put(desk, "ann@example")
        async with desk.running() as delivery:
            await desk.settle(delivery)
            desk.sink.verdicts.append(refusal(desk, kind))
            await asyncio.sleep(60)
            put(desk, NEW)
            await desk.settle(delivery)
        assert sent(desk)[-1] == {"email": NEW, "firstname": "Ann"}
        assert desk.books.letters() == []

    simulate(story())


def test_a_contact_that_lacks_the_email_left_out_is_sent_whole_once(tmp_path: Path) -> None:
    """It was gone there after all; if that is refused too, it is a dead letter."""

    async def story() -> None:
        desk = desk_in(tmp_path)
        put(desk, OLD)
        await deliver(desk)
        put(desk, NEW, "Anna")
        desk.delivery = desk.make()
        async with desk.running() as delivery:
            for letters in ([], [("customer", 7)]):
                await desk.settle(delivery)
                desk.sink.verdicts.append(refusal(desk, "MISSING_REQUIRED_PROPERTY"))
                await asyncio.sleep(30)
                await desk.settle(delivery)
                assert desk.books.letters() == letters
        assert sent(desk)[1:] == [{"firstname": "Anna"}, {"email": NEW, "firstname": "Anna"}]

    simulate(story())


def test_a_deletion_that_was_accepted_takes_every_mark_along(tmp_path: Path) -> None:
    """Nothing of the address is left in the ledger, and who comes back comes with the address of then."""

    async def story() -> None:
        desk = desk_in(tmp_path)
        for email in (OLD, NEW):
            put(desk, email)
            await deliver(desk)
        desk.books.remove(WHO)
        assert desk.books.rows("SELECT length(email), length(email_new) FROM ledger") == [(16, 16)]
        desk.sink.plan = lambda _: Plan(before_s=1)
        desk.delivery = desk.make()
        async with desk.running() as delivery:
            await asyncio.sleep(0.5)
            put(desk, NEWER)  # while the DELETE is on the wire
            await asyncio.sleep(0.6)
            assert desk.books.rows("SELECT email, email_at, email_new FROM ledger") == [(b"", 0, b"")]
            await desk.settle(delivery)
        assert desk.sink.first == {NAME: NEWER}  # type: ignore[attr-defined]

    simulate(story())


def test_a_rejected_message_told_nothing(tmp_path: Path) -> None:
    """A receipt that rejects the contact leaves it unknown to the sink."""

    async def story() -> None:
        desk = desk_in(tmp_path)
        desk.sink.plan = lambda _: Plan(outcomes={NAME: Outcome.REJECTED})
        put(desk, OLD)
        await deliver(desk)
        desk.sink.plan = lambda _: Plan()
        put(desk, NEW)
        await deliver(desk)
        assert sent(desk)[-1]["email"] == NEW

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
        desk, random = desk_in(folder), Random(seed)
        email, name = OLD, 0
        put(desk, email, "0")
        task = asyncio.create_task(desk.delivery.run())
        for step in steps:
            match step:
                case "old" | "new" | "newer":
                    email = {"old": OLD, "new": NEW, "newer": NEWER}[step]
                    put(desk, email, str(name))
                case "name" | "forced":
                    name += 1
                    put(desk, email, str(name), force=step == "forced")
                case "delete":
                    desk.books.remove(WHO)
                case "away":
                    desk.sink.plan = lambda _: Plan(is_applied=False, error=SinkUnavailableError("away"))
                case "lost" | "landed":
                    desk.sink.plan = lambda _, s=step: Plan(  # type: ignore[misc]
                        is_applied=s == "landed", error=OutcomeUnknownError("no answer")
                    )
                case "well":
                    desk.sink.plan = lambda _: Plan()
                case "crash":
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                    desk.books.renderer.ledger.reload()
                    desk.delivery = desk.make()
                    task = asyncio.create_task(desk.delivery.run())
            desk.books.work()
            desk.delivery.wake()
            await asyncio.sleep(random.choice((0.0, 0.01, 0.03, 3.0)))
        desk.sink.plan = lambda _: Plan()
        put(desk, email, "last")
        for _ in range(3):
            await desk.settle(desk.delivery)
            _refuse_what_has_no_email(desk)
            await asyncio.sleep(40)
        await desk.delivery.drain(desk.clock.monotonic() + 100)
        await task
        assert desk.sink.changed == []  # type: ignore[attr-defined]
        assert desk.sink.held[NAME].properties["firstname"] == "last"
        assert NAME in desk.sink.first  # type: ignore[attr-defined]
        assert desk.books.letters() == []

    with tempfile.TemporaryDirectory() as folder:
        simulate(story(Path(folder)))


def _refuse_what_has_no_email(desk: Desk) -> None:
    """As the bridge does with a contact that never got one."""
    if NAME in desk.sink.held and NAME not in desk.sink.first:  # type: ignore[attr-defined]
        desk.sink.verdicts.append(refusal(desk, "MISSING_REQUIRED_PROPERTY"))
