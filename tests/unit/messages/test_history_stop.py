"""``import stop`` in a first load: what is withheld from then on, what goes all the same, how the rest goes later."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cdc.engine import import_job, load_progress
from cdc.engine.import_job import Selection
from cdc.messages import history_stop, outbox, render_queue
from cdc.messages.ledger import LedgerEntry
from cdc.messages.receipts import Settlement, settle
from cdc.messages.selection import Limits, note_on_wire, ready
from cdc.messages.trace import trail
from cdc.model import RANK, Kind, ObjectRef, ObjectType, Outcome, Urgency
from cdc.settings.mapping import MappingSettings
from tests.kit.clock import simulate
from tests.kit.delivery_harness import DeliveryHarness, customer
from tests.kit.replica_harness import ReplicaHarness
from tests.unit.messages.test_withheld import EVERYTHING, NEW, OF_NEW, first_load, sent


def stop(harness: ReplicaHarness) -> None:
    """What the command does, and what the state thread does then."""
    with harness.engine.store.transaction():
        assert history_stop.ask(harness.engine.store)
    harness.apply(())
    assert not history_stop.is_under_way(harness.engine.store)


def import_all(harness: ReplicaHarness) -> set[str]:
    """What a later import of everything sends."""
    with harness.engine.store.transaction():
        assert import_job.ask(harness.engine.store, Selection(), "magento")
    harness.apply(())
    return sent(harness)


@pytest.mark.parametrize("size", [1, 3, 500])
def test_history_that_waits_is_withheld_and_an_import_sends_it_later(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost, whatever the size of a slice: the objects are noted as withheld, and nothing waits."""
    monkeypatch.setattr(history_stop, "SLICE", size)
    harness = first_load(tmp_path, None)
    stop(harness)
    assert sent(harness) == set()
    assert [one.state for one in trail(harness.engine.store, ObjectRef(Kind.ORDER, 1), 0).where] == ["withheld"]
    assert import_all(harness) == EVERYTHING
    harness.close()


def test_a_live_change_goes_with_what_it_refers_to(tmp_path: Path) -> None:
    """An order that changed before the stop is sent whole: with its line, its customer and its product."""
    harness = first_load(tmp_path, None)
    harness.update("sales_order", NEW, state="closed")
    stop(harness)
    assert sent(harness) == OF_NEW
    assert import_all(harness) == EVERYTHING - OF_NEW
    harness.close()


def test_a_change_after_the_stop_goes_too(tmp_path: Path) -> None:
    """The stop concerns history alone."""
    harness = first_load(tmp_path, None)
    stop(harness)
    harness.update("sales_order", NEW, state="closed")
    assert sent(harness) == OF_NEW
    harness.close()


def accept_one(harness: ReplicaHarness, object_type: ObjectType) -> list[ObjectRef]:
    """One message of history is sent and accepted."""
    store = harness.engine.store
    with store.transaction():
        entries = ready(store, RANK[object_type], 1 << 60, Urgency.HISTORY, Limits(1, 1 << 30)).entries
        note_on_wire(store, entries)
        settle(store, [Settlement(entry, Outcome.ACCEPTED) for entry in entries], 0)
    return [entry.ref for entry in entries]


def test_an_order_that_was_sent_keeps_its_lines_and_their_products(tmp_path: Path) -> None:
    """HubSpot must not show an order without its lines, and a line needs its product."""
    harness = first_load(tmp_path, None)
    assert accept_one(harness, ObjectType.CONTACT) == [ObjectRef(Kind.CUSTOMER, 1)]
    assert accept_one(harness, ObjectType.DEAL) == [ObjectRef(Kind.ORDER, 1)]
    stop(harness)
    assert sent(harness) == {"item-100", "product-10"}
    assert import_all(harness) == OF_NEW
    harness.close()


def test_what_is_rendered_after_the_stop_is_withheld(tmp_path: Path) -> None:
    """A stop while tables are read, or before all is rendered, holds for the rest, over a restart too."""
    harness = first_load(tmp_path, None, before_rendering=lambda store: history_stop.ask(store))
    assert sent(harness) == set()
    harness.close()
    again = ReplicaHarness(tmp_path, MappingSettings())
    with again.engine.store.transaction():
        again.engine.rendering.render_all_again()
    again.apply(())
    assert sent(again) == set()
    assert import_all(again) == EVERYTHING
    again.close()


@pytest.mark.parametrize("held", ["history_stop", "is_import_paused"])
def test_history_that_is_held_goes_on_by_itself_afterwards(tmp_path: Path, held: str) -> None:
    """Live messages go on meanwhile. Nobody tells a daemon that another process ended the hold: it looks."""

    async def story() -> None:
        harness = DeliveryHarness(tmp_path)
        meta = harness.books.store.meta
        harness.books.put(customer(1), urgency=Urgency.HISTORY)
        harness.books.put(customer(2))
        setattr(meta, held, {"step": "take back", "seq": -1, "taken": 0})
        async with harness.running():
            await asyncio.sleep(60)
            assert harness.sent() == [("customer-2",)]
            setattr(meta, held, {})
            await asyncio.sleep(5)
            assert harness.sent() == [("customer-2",), ("customer-1",)]

    simulate(story())


def test_the_progress_expects_no_more_than_what_goes(tmp_path: Path) -> None:
    """Without it the page would wait for messages that never come."""
    harness = first_load(tmp_path, None)
    store, engine = harness.engine.store, harness.engine
    assert accept_one(harness, ObjectType.CONTACT)
    with store.transaction():
        engine.first_load.keep_plan({"messages": {"CONTACT": 2, "PRODUCT": 2, "DEAL": 2, "LINE_ITEM": 2}})
    stop(harness)
    found = load_progress.progress(engine, render_queue.counts(store), outbox.counts(store))
    assert {kind: (one["done"], one["expected"]) for kind, one in found["objects"].items()} == {
        "CONTACT": (1, 1), "PRODUCT": (0, 0), "DEAL": (0, 0), "LINE_ITEM": (0, 0),
    }  # fmt: skip
    assert found["is_sent"]
    harness.close()


def test_an_import_of_everything_ends_the_stop_and_a_part_does_not(tmp_path: Path) -> None:
    """What comes into scope after the import of everything is sent, as ``history.send`` says."""
    harness = first_load(tmp_path, None)
    stop(harness)
    meta, store = harness.engine.store.meta, harness.engine.store
    with store.transaction():
        assert import_job.ask(store, Selection(("PRODUCT",)), "magento")
    harness.apply(())
    assert sent(harness) == {"product-10", "product-11"}
    assert meta.is_history_stopped
    assert import_all(harness) == EVERYTHING - {"product-10", "product-11"}
    assert not meta.is_history_stopped
    assert not harness.engine.renderer.withholding.applies_to(ObjectRef(Kind.CUSTOMER, 99), LedgerEntry())
    harness.close()


def test_without_a_first_load_there_is_nothing_to_stop(tmp_path: Path) -> None:
    """A finished load is not stopped any more, and nothing would be withheld by it."""
    harness = first_load(tmp_path, None)
    with harness.engine.store.transaction():
        harness.engine.first_load.finish(1)
        assert not history_stop.ask(harness.engine.store)
    assert sent(harness) == EVERYTHING
    harness.close()
