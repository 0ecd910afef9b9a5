"""Members of one account: whoever leads, each knows in the end what HubSpot holds, and nothing waits for ever."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.members import handover
from cdc.members.handover import PUBLISHED_WITHIN_MS
from cdc.members.records import Leader
from cdc.model import Action, Kind, ObjectRef
from tests.kit.account import RESEND_MS, Account
from tests.kit.example_count import example_count
from tests.kit.toy import delete, insert, toy_engine, update
from tests.unit.engine.test_convergence import history, shop_of


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    made = Account(tmp_path)
    yield made
    made.close()


def must_be_settled(account: Account) -> None:
    """Nothing waits, HubSpot holds what the rows say, members know the same."""
    account.settle()
    assert [account.waiting(member) for member in range(account.count)] == [[]] * account.count
    held = {
        ref: {name: value for name, value in orjson.loads(properties).items() if value}
        for ref, (action, properties) in account.hubspot.items()
        if action is Action.UPSERT
    }
    assert held == account.expected()
    assert account.ledger(0) == account.ledger(1)


def test_a_follower_forgets_what_went_back_between_the_leader_s_looks(account: Account) -> None:
    """A change and its undoing in one group of the leader and two of the follower: the follower's outbox ends empty."""
    account.commit(insert("orders", 5, None, "9.00"))
    account.settle()
    account.commit(update("orders", (5, None, "9.00"), (5, None, "8.00")))
    account.commit(update("orders", (5, None, "8.00"), (5, None, "9.00")))
    account.apply(0)
    account.apply(1, 1)
    account.apply(1, 1)

    must_be_settled(account)


def test_a_follower_forgets_what_came_and_went_unsent(account: Account) -> None:
    """An object that is gone before the leader sent it: the follower keeps no DELETE for ever."""
    account.commit(insert("orders", 5, None, "9.00"))
    account.commit(delete("orders", 5, None, "9.00"))
    account.apply(0)
    account.apply(1, 1)
    account.apply(1, 1)

    must_be_settled(account)


def test_a_value_that_came_and_went_is_emptied_only_where_it_was_said(account: Account) -> None:
    """Members that saw other values in between agree on what an object is, whatever they would have to empty."""
    account.commit(insert("customers", 1, "a@example.com", 7))
    account.settle()
    account.commit(insert("groups", 7, "Retail"))
    account.commit(delete("groups", 7, "Retail"))
    account.apply(0)
    for _ in range(2):
        account.apply(1, 1)
        account.work(1)

    must_be_settled(account)


def test_what_went_back_is_sent_once_more_after_a_takeover(account: Account) -> None:
    """The version in between may have reached HubSpot: who takes over says what holds, although it looks accepted."""
    account.commit(insert("orders", 5, None, "9.00"))
    account.settle()
    account.commit(update("orders", (5, None, "9.00"), (5, None, "8.00")))
    account.apply(0)
    account.apply(1)
    account.send("landed")
    account.commit(update("orders", (5, None, "8.00"), (5, None, "9.00")))
    account.apply(1)
    assert account.waiting(1) == []
    account.take_over(1, after_kill=True)

    must_be_settled(account)


def test_what_came_and_went_is_deleted_after_a_takeover(account: Account) -> None:
    """The same for an object whose one message may have been taken, when nobody told."""
    account.commit(insert("orders", 5, None, "9.00"))
    account.apply(0)
    account.apply(1)
    account.send("landed")
    account.commit(delete("orders", 5, None, "9.00"))
    account.apply(1)
    account.take_over(1, after_kill=True)

    must_be_settled(account)


@pytest.mark.parametrize("looks_first", [True, False])
def test_what_came_and_went_between_two_looks_is_deleted_after_a_takeover(account: Account, looks_first: bool) -> None:
    """A leader sent it and died before it told; the other never saw it, before it leads or only then."""
    account.commit(insert("orders", 5, None, "9.00"))
    account.apply(0)
    account.work(0)
    account.send("landed")
    account.commit(delete("orders", 5, None, "9.00"))
    if looks_first:
        account.apply(1)
        account.work(1)
    account.take_over(1, after_kill=True)

    must_be_settled(account)


def test_what_is_gone_for_long_is_not_deleted_at_a_takeover(account: Account) -> None:
    """After a takeover, an object that came and went long ago is not deleted: a living leader has sent its receipt
    by then.
    """
    account.commit(insert("orders", 5, None, "9.00"))
    account.commit(delete("orders", 5, None, "9.00"))
    for member in (0, 1):
        account.apply(member)
        account.work(member)
    account.pass_time(PUBLISHED_WITHIN_MS + 1)
    account.take_over(1, after_kill=False)
    account.work(1)

    assert account.waiting(1) == []


def test_who_stepped_down_sends_nothing_again(account: Account) -> None:
    """An unknown attempt of a leader that follows now is made good when it leads again, and waits nowhere."""
    account.commit(insert("orders", 5, None, "9.00"))
    account.apply(0)
    account.send("late")
    account.send()
    account.take_over(1, after_kill=False)
    account.pass_time(RESEND_MS + 1)
    account.work(0)

    must_be_settled(account)


def test_members_know_the_records_that_the_leader_learnt(account: Account) -> None:
    """The record ids of receipts go over with the objects' states, so who takes over finds every record."""
    account.commit(insert("orders", 5, None, "9.00"))
    account.apply(0)
    account.send(records={ObjectRef(Kind.ORDER, 5): "500"})
    account.publish()
    account.read(1)

    held = account.members[1].renderer.ledger.get(ObjectRef(Kind.ORDER, 5))
    assert held is not None
    assert held.record_id == "500"


step = st.one_of(
    st.tuples(st.just("apply"), st.integers(0, 1), st.integers(1, 4)),
    st.tuples(st.just("work"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("send"), st.sampled_from(["accepted", "accepted", "landed", "late", "lost"]), st.just(0)),
    st.tuples(st.just("land"), st.just(0), st.just(0)),
    st.tuples(st.just("publish"), st.just(0), st.just(0)),
    st.tuples(st.just("read"), st.integers(0, 1), st.integers(1, 5)),
    st.tuples(st.just("take over"), st.integers(0, 1), st.booleans()),
    st.tuples(st.just("restart"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("pass time"), st.sampled_from([10, 1000, RESEND_MS + 1]), st.just(0)),
)


@given(st.sampled_from(["", "cluster"]), history, st.lists(step, max_size=30))
@settings(max_examples=example_count(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_happens_members_end_alike(
    server: str, transactions: list[list[tuple[str, str, int, int, int]]], steps: list[tuple[str, object, object]]
) -> None:
    """Members apply, send, tell, read, end and take over in any order: at the end all know what HubSpot holds."""
    shop = shop_of(transactions)
    with tempfile.TemporaryDirectory() as folder:
        account = Account(Path(folder), server=server)
        for made in shop.log:
            account.commit(*made.changes)
        for one in steps:
            play(account, *one)

        must_be_settled(account)
        account.close()


def play(account: Account, what: str, one: object, two: object) -> None:
    """Let a step happen."""
    match what, one, two:
        case "apply", int(member), int(limit):
            account.apply(member, limit)
        case "work", int(member), _:
            account.work(member)
        case "send", str(fate), _:
            account.send(fate)  # type: ignore[arg-type]  # drawn from them
        case "land", _, _:
            account.land()
        case "publish", _, _:
            account.publish()
        case "read", int(member), int(limit):
            account.read(member, limit)
        case "take over", int(member), bool(after_kill):
            account.take_over(member, after_kill=after_kill)
        case "restart", int(member), _ if member != account.leader:
            account.restart(member)
        case "pass time", int(milliseconds), _:
            account.pass_time(milliseconds)


@pytest.mark.parametrize(
    ("leader", "asked", "is_copy"),
    [
        (None, 0, False),
        (("other", 9, "m"), 2, False),
        (("us", 2, "m"), 2, False),
        (("us", 3, "m"), 3, False),
        (("us", 7, "m"), 5, True),
    ],
    ids=["nobody led", "another led", "as it was left", "killed while it took over", "the topic knows more"],
)
def test_a_copy_of_a_leader_s_state_is_noticed_by_the_receipts(
    tmp_path: Path, leader: tuple[str, int, str] | None, asked: int, is_copy: bool
) -> None:
    """Our own id in a generation that this state never asked for: an older copy was put back, or runs beside it."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        member = engine.store.meta.member_id()
        handover.ask_to_lead(engine.store, asked)
    named = Leader(member if leader[0] == "us" else leader[0], *leader[1:]) if leader else None

    why = handover.why_restored(engine.store, named)
    engine.close()
    assert bool(why) is is_copy
    assert "generation 7" in why or not is_copy
