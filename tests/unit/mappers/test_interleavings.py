"""What HubSpot ends with is a function of the shop's rows: not of who came first, of groups, crashes or replays.

Stories of shoppers and products that have nothing to do with each other are told as transactions, shuffled into each
other in any way that keeps each story's order, cut into any groups, with the process killed between any two of them
(what it had not committed is gone) and the log read again from any earlier position.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.model import Change, Op, Position, Transaction, Value
from cdc.settings.mapping import MappingSettings
from tests.kit.example_count import example_count
from tests.kit.played_scenes import Receiver
from tests.kit.replica_harness import FIRST, ReplicaHarness
from tests.unit.mappers.shops import REFERENCES, address, customer, item, order, value

Row = Mapping[str, Value]
Event = tuple[str, Row | None, Row | None]
Story = list[list[Event]]
"""Transactions of (table, row before, row after)."""


def new(table: str, row: Row) -> Event:
    return table, None, row


def gone(table: str, row: Row) -> Event:
    return table, row, None


def product(number: int) -> dict[str, Value]:
    return {"entity_id": number, "sku": f"P{number}", "type_id": "simple", "created_at": "2026-01-01 00:00:00"}


def shopper(number: int) -> Story:
    """Registers, orders, pays, changes the email; the account is deleted, its order stays."""
    who, placed, line = customer(number), order(number, customer_id=number, customer_is_guest=0), item(number)
    line |= {"order_id": number, "product_id": 100 + number}
    paid, moved = placed | {"state": "processing"}, who | {"email": f"moved{number}@example.com"}
    invoice: Row = {"entity_id": number, "order_id": number, "state": 2, "created_at": "2026-03-02 00:00:00"}
    return [
        [new("customer_entity", who)],
        [new("sales_order", placed), new("sales_order_item", line)],
        [("sales_order", placed, paid), new("sales_invoice", invoice)],
        [("customer_entity", who, moved)],
        [("sales_order", paid, paid | {"customer_email": moved["email"]})],
        [gone("customer_entity", moved)],
    ]


def guest(number: int) -> Story:
    """Two orders of a guest, the newer one deleted by a script: the contact is the older one's again."""
    mail = {"customer_email": f"guest{number}@example.com"}
    first, second = order(10 + number, **mail), order(20 + number, created_at="2026-03-05 00:00:00", **mail)
    old, moved = address(10 + number, parent_id=10 + number), address(20 + number, parent_id=20 + number, city="York")
    return [
        [new("sales_order", first), new("sales_order_address", old)],
        [new("sales_order", second), new("sales_order_address", moved)],
        [gone("sales_order", second)],
    ]


def article(number: int) -> Story:
    """A product is made, sold, renamed, and deleted while the line still names it."""
    made, placed, line = product(100 + number), order(30 + number, customer_email=None), item(30 + number)
    line |= {"order_id": 30 + number, "product_id": 100 + number}
    name = value(number, "name", "Mug", product=100 + number)
    return [
        [new("catalog_product_entity", made), new("catalog_product_entity_varchar", name)],
        [new("sales_order", placed), new("sales_order_item", line)],
        [("catalog_product_entity_varchar", name, name | {"value": "Big mug"})],
        [gone("catalog_product_entity", made)],
    ]


def registered_guest(number: int) -> Story:
    """A guest registers afterwards: the order moves to the account, the guest goes."""
    placed = order(40 + number, customer_email=f"late{number}@example.com")
    account = customer(40 + number, email=f"late{number}@example.com")
    return [
        [new("sales_order", placed)],
        [new("customer_entity", account)],
        [("sales_order", placed, placed | {"customer_id": 40 + number, "customer_is_guest": 0})],
    ]


SHARED = "shared@example.com"


def sharers(number: int) -> Story:
    """A guest's address gets two accounts, on two websites; the older one takes another address and goes."""
    mail = {"customer_email": SHARED}
    first, second = customer(40 + number, email="Shared@Example.com"), customer(50 + number, email=SHARED, website_id=2)
    guests, accounts = order(50 + number, **mail), order(60 + number, customer_id=50 + number, **mail)
    moved = first | {"email": "other@example.com"}
    return [
        [new("sales_order", guests)],
        [new("customer_entity", second)],
        [new("sales_order", accounts)],
        [new("customer_entity", first)],
        [("customer_entity", first, moved)],
        [gone("customer_entity", moved)],
    ]


TELLERS: Sequence[Callable[[int], Story]] = (shopper, guest, article, registered_guest)
STORIES = [teller(number) for number, teller in enumerate((*TELLERS, *TELLERS, sharers), 1)]
OPENING: Story = [[new(table, row) for table, rows in REFERENCES.items() for row in rows]]


def as_log(harness: ReplicaHarness, told: Sequence[Sequence[Event]]) -> list[Transaction]:
    """The transactions at positions of one log."""
    made = []
    for number, events in enumerate(told, 1):
        changes = [_change(harness, *event) for event in events]
        made.append(Transaction(changes, Position("binlog.000001", 1000 * number), 1_700_000_000_000 + number, 0))
    return made


def _change(harness: ReplicaHarness, table: str, before: Row | None, after: Row | None) -> Change:
    op = Op.INSERT if before is None else Op.DELETE if after is None else Op.UPDATE
    return harness.change(table, op, before, after)


def shuffled(draw: st.DrawFn) -> list[list[Event]]:
    """The stories' transactions in each other, every story in its own order."""
    permits = draw(st.permutations([number for number, story in enumerate(STORIES) for _ in story]))
    at = dict.fromkeys(permits, 0)
    told = []
    for number in permits:
        told.append(STORIES[number][at[number]])
        at[number] += 1
    return told


@st.composite
def tellings(draw: st.DrawFn) -> tuple[list[list[Event]], list[str]]:
    """A shuffle, and what is done along its way: groups of 1 to 5, kills, deliveries, replays."""
    steps = st.sampled_from(["group1", "group2", "group5", "kill", "send", "replay"])
    return shuffled(draw), draw(st.lists(steps, min_size=4, max_size=25))


def end_of(
    told: Sequence[Sequence[Event]], steps: Sequence[str], *, contacts_by_email: bool
) -> dict[str, tuple[object, object]]:
    """What a receiver holds after the stories were told like this; a property that was cleared holds nothing."""
    receiver = Receiver()
    with tempfile.TemporaryDirectory() as folder:
        harness = ReplicaHarness(Path(folder), MappingSettings(), contacts_by_email=contacts_by_email)
        log = as_log(harness, [*OPENING, *told])
        harness.apply(log[:1])
        turn = 0
        while _at(harness, log) < len(log):
            step = steps[turn % len(steps)] if turn < 3 * len(steps) else "group5"
            harness = _step(harness, log, step, receiver)
            turn += 1
        receiver.take(harness.sent())
        harness.close()
    return {
        key: ({name: held for name, held in properties.items() if held}, links)
        for key, (properties, links) in receiver.objects.items()
    }


def _at(harness: ReplicaHarness, log: Sequence[Transaction]) -> int:
    """How many transactions the state's position lies behind."""
    position = harness.engine.positions.position
    assert position is not None
    return sum(transaction.end.offset <= position.offset for transaction in log)


def _step(harness: ReplicaHarness, log: Sequence[Transaction], step: str, receiver: Receiver) -> ReplicaHarness:
    at = _at(harness, log)
    if step == "send":
        receiver.take(harness.sent())
    elif step == "replay":
        with harness.engine.store.transaction():
            harness.engine.moves.rewind(log[at // 2 - 1].end if at > 1 else FIRST)
    elif step == "kill":
        store = harness.engine.store
        store.db.execute("BEGIN IMMEDIATE")
        harness.engine.apply_group(log[at : at + 3])
        store.db.execute("ROLLBACK")  # as a process that dies before its commit
        harness.close()
        by_email = harness.mapper.plan.contacts_by_email
        return ReplicaHarness(harness.folder, MappingSettings(), contacts_by_email=by_email)
    else:
        harness.apply(log[at : at + int(step[-1])])
    return harness


@given(tellings(), st.booleans())
@settings(max_examples=example_count(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_interleaving_grouping_crash_and_replay_ends_the_same(
    telling: tuple[list[list[Event]], list[str]], by_email: bool
) -> None:
    """Told one story after the other, or in any other way: the receiver ends with the same."""
    told, steps = telling

    assert end_of(told, steps, contacts_by_email=by_email) == IN_ORDER[by_email]


IN_ORDER = {
    by_email: end_of(
        [transaction for story in STORIES for transaction in story], ["group1", "send"], contacts_by_email=by_email
    )
    for by_email in (False, True)
}


def test_the_stories_leave_what_they_tell() -> None:
    """A contact of each kind, deals whose account or product is gone, and a guest's older order."""
    held = {key: cast(dict[str, str], properties) for key, (properties, _) in IN_ORDER[False].items()}

    assert IN_ORDER[False]["magento-order-1"][1] == {}
    assert held["magento-product-103"]["name"] == "Mug"
    assert "magento-customer-44" in held
    assert [one["city"] for one in held.values() if one.get("email") == "guest2@example.com"] == ["Leeds"]


def test_with_contacts_by_email_the_stories_leave_one_contact_for_each_address() -> None:
    """The address that two accounts shared belongs to the one that is left; its deals refer to it."""
    held = {key: cast(dict[str, str], properties) for key, (properties, _) in IN_ORDER[True].items()}
    addresses = [one["email"] for one in held.values() if one.get("email")]

    assert len(addresses) == len(set(addresses)) >= 4
    shared = [key for key, one in held.items() if one.get("email") == SHARED]
    assert shared == ["magento-customer-59"]
    assert IN_ORDER[True]["magento-order-59"][1] == IN_ORDER[True]["magento-order-69"][1]
