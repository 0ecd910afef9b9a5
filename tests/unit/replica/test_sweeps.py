"""Sweeps: every object named, each once, in slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from cdc.model import Kind, Sweep, Urgency
from cdc.replica import dirty
from tests.kit.clerk import Clerk, clerk

GUESTS = Sweep(Kind.GUEST, "sales_order", "guest_id")


@pytest.fixture
def desk() -> Iterator[Clerk]:
    """A replica of an empty shop."""
    with clerk() as made:
        yield made


def named(desk: Clerk, sweep: Sweep, limit: int) -> Counter[int | str]:
    """Which ids the sweep names, and how often, its slices rendered one by one."""
    store = desk.replica.store
    found: Counter[int | str] = Counter()
    with store.transaction():
        dirty.add_sweep(store, sweep, urgency=Urgency.HISTORY)
        while dirty.work_sweep(store, desk.replica.places.current(), limit):
            slice_of_it = dirty.ready(store, desk.replica.places.current(), 1000)
            assert len(slice_of_it) <= limit
            for one in slice_of_it:
                found[one.ref.id] += 1
                assert found.total() < 100, "it starts over and over"
                dirty.done(store, one.ref)
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_an_id_of_many_rows_is_named_once(desk: Clerk, limit: int) -> None:
    """Whatever slices its rows lie in; also where a text looks like a number, which SQLite would make of it."""
    guests = ["123456789012345678901234", "1e22", "deadbeef", "0012", None]
    for number in range(1, 16):
        desk.insert("sales_order", entity_id=number, customer_id=number % 4 or None)
        with desk.replica.store.transaction():
            desk.replica.store.db.execute(
                "UPDATE r_sales_order SET guest_id = ? WHERE entity_id = ?", (guests[number % 5], number)
            )

    assert named(desk, GUESTS, limit) == dict.fromkeys((guest for guest in guests if guest), 1)
    assert named(desk, Sweep(Kind.CUSTOMER, "sales_order", "customer_id"), limit) == {1: 1, 2: 1, 3: 1}


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_what_another_sweep_names_is_left_to_it(desk: Clerk, limit: int) -> None:
    """``unless`` counts for a sweep over all rows and for one over some."""
    desk.insert("customer_entity", entity_id=1)
    for number in range(1, 9):
        desk.insert("sales_order", entity_id=number, customer_id=number % 4 or None, store_id=number % 2)
    elsewhere = ("customer_entity", "entity_id")

    assert named(desk, Sweep(Kind.CUSTOMER, "sales_order", "customer_id", unless=elsewhere), limit) == {2: 1, 3: 1}
    odd = Sweep(Kind.CUSTOMER, "sales_order", "customer_id", "store_id", 1, elsewhere)
    assert named(desk, odd, 100) == {3: 1}


def test_a_sweep_that_leaves_some_out_is_another_than_one_that_does_not(desk: Clerk) -> None:
    """The first does not do for the second; the same one starts over."""
    with desk.replica.store.transaction():
        for unless in (("", ""), ("customer_entity", "entity_id"), ("", "")):
            sweep = Sweep(Kind.CUSTOMER, "sales_order", "customer_id", unless=unless)
            dirty.add_sweep(desk.replica.store, sweep, urgency=Urgency.HISTORY)

    assert dirty.counts(desk.replica.store)["sweeps"] == 2


def test_rendering_everything_renders_each_object_once(desk: Clerk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop of regulars and of products sold many times, some of them gone: as many renders as objects."""
    monkeypatch.setattr("cdc.replica.replica.SLICE_ROWS", 3)
    for number in (1, 2):  # 3 stands on its orders and lines
        desk.insert("customer_entity", entity_id=number, email=f"c{number}@example.com", default_billing=None)
        desk.insert("catalog_product_entity", entity_id=number, sku=f"P{number}")
    for number in range(1, 13):
        who = {"customer_id": number % 4} if number % 4 else {"customer_is_guest": 1}
        desk.insert("sales_order", entity_id=number, customer_email="ann@example.com", grand_total="1", **who)
        for line in (1, 2, 3):
            desk.insert("sales_order_item", item_id=3 * number + line, order_id=number, product_id=line, sku="P")
    desk.sent()
    before = desk.counts()["rendered"]
    with desk.replica.store.transaction():
        desk.replica.resend_everything()
    desk.apply([])

    objects = {"customer": 3, "product": 3, "guest": 1, "order": 12, "item": 36}
    assert Counter(message.external_id.split("-")[1] for message in desk.sent()) == objects
    assert desk.counts()["rendered"] - before == sum(objects.values())
