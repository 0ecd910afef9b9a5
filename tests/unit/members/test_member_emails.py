"""Members of one account: a follower knows which email HubSpot took of a customer, and renders as the leader does."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.engine.engine import Engine
from cdc.members import handover
from cdc.members.object_states import pack_state, unpack_state
from cdc.messages import selection
from cdc.messages.contact_emails import EmailRule
from cdc.messages.receipts import Settlement, settle
from cdc.model import Outcome, Urgency
from sinks.jsonl import OPTIONAL_REFERENCES
from tests.kit.toy import insert, toy_engine, transaction, update

OLD, NEW = "ann@example.com", "ann.lee@example.com"
LIMITS = selection.Limits(messages=100, size=100_000, optional=OPTIONAL_REFERENCES)


def member(folder: Path) -> Engine:
    """A member that leaves changed emails out."""
    engine = toy_engine(folder)
    engine.renderer.emails = EmailRule("email", leave_out=True)
    return engine


def shop(engine: Engine, offset: int, email: str, before: str | None = None) -> None:
    """The shop's log brings the customer."""
    row = (1, email, 1)
    change = insert("customers", *row) if before is None else update("customers", (1, before, 1), row)
    with engine.store.transaction():
        engine.apply_group([transaction(offset, change)])


def send(engine: Engine) -> int:
    """The leader sends what waits; all of it is accepted. How many messages that was."""
    with engine.store.transaction():
        found = selection.ready(engine.store, 0, 2_000_000_000_000, Urgency.LIVE, LIMITS)
        selection.note_on_wire(engine.store, found.entries)
        settle(engine.store, [Settlement(entry, Outcome.ACCEPTED) for entry in found.entries], 1)
    return len(found.entries)


def tell(leader: Engine, follower: Engine) -> None:
    """What the leader knows goes over, as bytes."""
    with leader.store.transaction():
        states = handover.to_publish(leader, 100)
        handover.published(leader.store, states, 1)
    with follower.store.transaction():
        copies = [unpack_state(state.ref, pack_state(state)) for state in states]
        assert copies == states
        handover.take(follower, copies, 1, forget_own=False)
        while follower.work():
            pass


def waiting(engine: Engine) -> list[str]:
    """The properties of what is not sent yet."""
    return [row[0] for row in engine.store.db.execute("SELECT properties FROM outbox")]


@pytest.mark.parametrize("is_ahead", [False, True], ids=["told in time", "told late"])
def test_a_follower_leaves_out_what_the_leader_leaves_out(tmp_path: Path, is_ahead: bool) -> None:
    """Whether it rendered the change before or after it heard of the first address: nothing is left to be sent."""
    leader, follower = member(tmp_path / "a"), member(tmp_path / "b")
    with leader.store.transaction(), follower.store.transaction():
        handover.lead(leader, None)
        handover.follow(follower)
    for engine in (leader, follower):
        shop(engine, 100, OLD)
    assert send(leader) == 1
    if is_ahead:
        shop(follower, 200, NEW, OLD)
        tell(leader, follower)
    else:
        tell(leader, follower)
        shop(follower, 200, NEW, OLD)
    shop(leader, 200, NEW, OLD)

    assert send(leader) == 0
    assert waiting(follower) == []


def test_who_takes_over_does_not_send_another_email(tmp_path: Path) -> None:
    """Also what it rendered before it heard anything has none but the first."""
    leader, follower = member(tmp_path / "a"), member(tmp_path / "b")
    with leader.store.transaction(), follower.store.transaction():
        handover.lead(leader, None)
        handover.follow(follower)
    shop(leader, 100, OLD)
    for offset, before, email in ((100, None, OLD), (200, OLD, NEW)):
        shop(follower, offset, email, before)
    send(leader)
    tell(leader, follower)
    with follower.store.transaction():
        handover.lead(follower, 1_700_000_000_500)

    assert [text for text in waiting(follower) if NEW in text] == []


def test_an_attempt_of_a_leader_that_told_nothing_any_more_counts(tmp_path: Path) -> None:
    """It was frozen after its request, so what the follower rendered first may be there."""
    follower = member(tmp_path)
    with follower.store.transaction():
        handover.follow(follower)
    for offset, before, email in ((100, None, OLD), (200, OLD, NEW)):
        shop(follower, offset, email, before)
    with follower.store.transaction():
        handover.lead(follower, 1_700_000_000_500)

    assert waiting(follower) == [f'{{"email":"{OLD}"}}']


def test_what_the_leader_told_first_counts_for_the_follower(tmp_path: Path) -> None:
    """It never saw the first address; what waits at the follower is rendered for the leader's."""
    leader, follower = member(tmp_path / "a"), member(tmp_path / "b")
    with leader.store.transaction(), follower.store.transaction():
        handover.lead(leader, None)
        handover.follow(follower)
    shop(follower, 100, OLD)
    for engine in (leader, follower):
        shop(engine, 200, NEW, None if engine is leader else OLD)
    assert waiting(follower) == [f'{{"email":"{OLD}"}}']
    send(leader)
    tell(leader, follower)

    assert waiting(follower) == []
    column = "SELECT email, rendered_hash, accepted_hash FROM ledger"
    assert follower.store.db.execute(column).fetchall() == leader.store.db.execute(column).fetchall()
