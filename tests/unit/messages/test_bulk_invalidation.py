"""BulkInvalidations: every object named, each once, in slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from cdc.messages import render_queue
from cdc.model import BulkInvalidation, Kind, ObjectRef, Urgency
from tests.kit.replica_harness import ReplicaHarness, replica_harness

GUESTS = BulkInvalidation(Kind.GUEST, "sales_order", "guest_id")


@pytest.fixture
def harness() -> Iterator[ReplicaHarness]:
    """A replica of an empty shop."""
    with replica_harness() as made:
        yield made


def named(harness: ReplicaHarness, invalidation: BulkInvalidation, limit: int) -> Counter[int | str]:
    """Which ids the sweep names, and how often, its slices rendered one by one."""
    store = harness.engine.store
    found: Counter[int | str] = Counter()
    with store.transaction():
        render_queue.add_invalidation(store, invalidation, urgency=Urgency.HISTORY)
        while render_queue.work_invalidation(store, harness.engine.positions.current(), limit):
            slice_of_it = render_queue.ready(store, harness.engine.positions.current(), 1000)
            assert len(slice_of_it) <= limit
            for one in slice_of_it:
                found[one.ref.id] += 1
                assert found.total() < 100, "it starts over and over"
                render_queue.done(store, [one.ref])
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_an_id_of_many_rows_is_named_once(harness: ReplicaHarness, limit: int) -> None:
    """Whatever slices its rows lie in; also where a text looks like a number, which SQLite would make of it."""
    guests = ["123456789012345678901234", "1e22", "deadbeef", "0012", None]
    for number in range(1, 16):
        harness.insert("sales_order", entity_id=number, customer_id=number % 4 or None)
        with harness.engine.store.transaction():
            harness.engine.store.db.execute(
                "UPDATE r_sales_order SET guest_id = ? WHERE entity_id = ?", (guests[number % 5], number)
            )

    assert named(harness, GUESTS, limit) == dict.fromkeys((guest for guest in guests if guest), 1)
    assert named(harness, BulkInvalidation(Kind.CUSTOMER, "sales_order", "customer_id"), limit) == {1: 1, 2: 1, 3: 1}


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_what_another_sweep_names_is_left_to_it(harness: ReplicaHarness, limit: int) -> None:
    """``unless`` counts for a sweep over all rows and for one over some."""
    harness.insert("customer_entity", entity_id=1)
    for number in range(1, 9):
        harness.insert("sales_order", entity_id=number, customer_id=number % 4 or None, store_id=number % 2)
    elsewhere = ("customer_entity", "entity_id")

    assert named(harness, BulkInvalidation(Kind.CUSTOMER, "sales_order", "customer_id", unless=elsewhere), limit) == {
        2: 1,
        3: 1,
    }
    odd = BulkInvalidation(Kind.CUSTOMER, "sales_order", "customer_id", "store_id", 1, elsewhere)
    assert named(harness, odd, 100) == {3: 1}


def test_a_sweep_that_leaves_some_out_is_another_than_one_that_does_not(harness: ReplicaHarness) -> None:
    """The first does not do for the second; the same one starts over."""
    with harness.engine.store.transaction():
        for unless in (("", ""), ("customer_entity", "entity_id"), ("", "")):
            invalidation = BulkInvalidation(Kind.CUSTOMER, "sales_order", "customer_id", unless=unless)
            render_queue.add_invalidation(harness.engine.store, invalidation, urgency=Urgency.HISTORY)

    assert render_queue.counts(harness.engine.store)["bulk_invalidations"] == 2


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("most", [1, 2, 100])
def test_objects_to_render_at_once_are_those_that_requests_would_name(
    harness: ReplicaHarness, limit: int, most: int
) -> None:
    """Each object is taken once, however few rows are looked at and however few objects are taken at a time."""
    store = harness.engine.store
    for number in range(1, 16):
        harness.insert("sales_order", entity_id=number, store_id=number % 3)
    some = BulkInvalidation(Kind.ORDER, "sales_order", "entity_id", "store_id", 1)
    taken: list[ObjectRef] = []
    with store.transaction():
        render_queue.add_invalidation(store, some, urgency=Urgency.HISTORY)
        while (
            found := render_queue.take_invalidated(store, harness.engine.positions.current(), limit, most)
        ) is not None:
            assert len(found) <= min(limit, most)
            taken += [one.ref for one in found]
        assert render_queue.counts(store) == {"objects": 0, "fetches": 0, "bulk_invalidations": 0}

    assert taken == [ObjectRef(Kind.ORDER, number) for number in (1, 4, 7, 10, 13)]


def test_an_object_with_a_request_of_its_own_is_left_to_it(harness: ReplicaHarness) -> None:
    """The request may have to wait for a row or a position in the log, so its object is not rendered before."""
    store = harness.engine.store
    for number in (1, 2, 3):
        harness.insert("sales_order", entity_id=number)
    applied = harness.engine.positions.current()
    waits = ObjectRef(Kind.ORDER, 2)
    with store.transaction():
        render_queue.mark(store, waits, urgency=Urgency.HISTORY, not_before=applied + 1, force=True)
        render_queue.mark(store, ObjectRef(Kind.CUSTOMER, 1), not_before=applied + 1)
        everything = BulkInvalidation(Kind.ORDER, "sales_order", "entity_id")
        render_queue.add_invalidation(store, everything, urgency=Urgency.HISTORY)
        found = render_queue.take_invalidated(store, applied, 100, 100)

        assert found is not None
        assert [one.ref.id for one in found] == [1, 3]
        assert render_queue.get(store, waits) == render_queue.Asked(False, applied + 1, True, False)
        assert render_queue.take_invalidated(store, applied, 100, 100) is None


def test_rendering_everything_renders_each_object_once(
    harness: ReplicaHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shop of regulars and of products sold many times, some of them gone: as many renders as objects."""
    monkeypatch.setattr("cdc.engine.rendering.SLICE_ROWS", 3)
    for number in (1, 2):  # 3 stands on its orders and lines
        harness.insert("customer_entity", entity_id=number, email=f"c{number}@example.com", default_billing=None)
        harness.insert("catalog_product_entity", entity_id=number, sku=f"P{number}")
    for number in range(1, 13):
        who = {"customer_id": number % 4} if number % 4 else {"customer_is_guest": 1}
        harness.insert("sales_order", entity_id=number, customer_email="ann@example.com", grand_total="1", **who)
        for line in (1, 2, 3):
            harness.insert("sales_order_item", item_id=3 * number + line, order_id=number, product_id=line, sku="P")
    harness.sent()
    before = harness.counts()["rendered"]
    with harness.engine.store.transaction():
        harness.engine.rendering.resend_everything()
    harness.apply([])

    objects = {"customer": 3, "product": 3, "guest": 1, "order": 12, "item": 36}
    assert Counter(message.external_id.split("-")[1] for message in harness.sent()) == objects
    assert harness.counts()["rendered"] - before == sum(objects.values())
