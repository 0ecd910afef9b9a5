"""What the operator's page sees of the state, and what it changes there."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cdc.delivery import circuit_breaker
from cdc.engine.state_thread import StateThread, TransactionQueue
from cdc.errors import CdcError
from cdc.messages import dead_letters, outbox, render_queue
from cdc.messages.refs import HELD_DELETE
from cdc.model import Action, Kind, ObjectRef, Urgency
from cdc.operator.operations import StateOperations
from cdc.settings.config import Settings, StateSettings
from cdc.settings.sink import SinkSettings
from cdc.settings.web import WebSettings
from tests.kit.replica_harness import ReplicaHarness

ANN, PRODUCT, ORDER = ObjectRef(Kind.CUSTOMER, 5), ObjectRef(Kind.PRODUCT, 7), ObjectRef(Kind.ORDER, 42)
GONE = [ObjectRef(Kind.ORDER, 43), ObjectRef(Kind.ORDER, 44), ObjectRef(Kind.PRODUCT, 9)]
EMAIL = "ann@example.com"


class Quiet:
    """A watcher that hears of failures only by failing the test."""

    def on_commit(self, seconds: float, *, has_news: bool) -> None:
        """Nothing to do."""

    def on_failure(self, error: BaseException) -> None:
        """The thread must not fail."""
        raise error


class Rig:
    """Operations on a shop's state, and the role of the daemon."""

    def __init__(self, settings: Settings, state: StateThread) -> None:
        self.role = "alone"
        self.state = state
        self.operations = StateOperations(
            settings, state, lambda kind, record: f"{kind.value}/{record}", lambda: self.role
        )


def message(ref: ObjectRef, action: Action) -> outbox.NewMessage:
    """A message that waits."""
    return outbox.NewMessage(ref, action, 1, b"1", "{}", "[]", Urgency.LIVE, 0, 0, 1_700_000_000_000, "log.000001:9")


def make(folder: Path, *, show_values: bool) -> Rig:
    """A shop with a customer, a product and an order that is a dead letter; three deletions are held."""
    settings = Settings(
        sink=SinkSettings(kind="bridge"), state=StateSettings(dir=folder), web=WebSettings(show_values=show_values)
    )
    shop = ReplicaHarness(folder, settings.mapping)
    shop.insert("customer_entity", entity_id=5, email=EMAIL, firstname="Ann", website_id=1)
    shop.insert("catalog_product_entity", entity_id=7, sku="Mug-Blue", type_id="simple")
    shop.insert("sales_order", entity_id=42, increment_id="000000042", customer_id=5, customer_email=EMAIL)
    store = shop.engine.store
    with store.transaction():
        outbox.take_back(store, ORDER)
        letter = dead_letters.DeadLetter(
            ORDER, Action.UPSERT, 1_700_000_000_000, 1_700_000_000_000, "UNKNOWN_ERROR", f"{EMAIL} is bad", ""
        )
        dead_letters.add(store, letter)
        for ref in GONE:
            outbox.put(store, message(ref, Action.DELETE))
        seqs = store.db.execute("SELECT seq FROM outbox WHERE action = 'DELETE'").fetchall()
        outbox.block(store, [(seq, HELD_DELETE) for (seq,) in seqs])
    return Rig(settings, StateThread(shop.engine, TransactionQueue(1024), settings.apply, Quiet()))


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """One that shows no values."""
    made = make(tmp_path, show_values=False)
    made.state.start()
    yield made
    made.state.stop()
    made.state.join()


async def test_lists_name_what_waits_and_why(rig: Rig) -> None:
    """Dead letters with advice, held deletions by type, what is not ready, and since when each type waits."""
    found = await rig.operations.waiting()

    [letter] = found["dead_letters"]["shown"]
    assert letter["object"] == "magento-order-42"
    assert letter["reason"] == "UNKNOWN_ERROR"
    assert letter["advice"]
    assert found["held"]["total"] == 3
    assert found["held"]["by_type"] == {"DEAL": 2, "PRODUCT": 1}
    assert [one["object"] for one in found["held"]["shown"]] == [ref.external_id("magento") for ref in GONE]
    assert found["outbox"]["shown"] == []  # what is held stands in its own list
    assert {"DEAL", "PRODUCT", "CONTACT"} <= found["outbox"]["oldest"].keys()
    assert found["outbox"]["oldest"]["DEAL"] == "2023-11-14T22:13:20.000+00:00"


@pytest.mark.parametrize("name", ["order 42", "order-42", "#000000042", "000000042", "magento-order-42"])
async def test_an_order_is_found_by_its_names(rig: Rig, name: str) -> None:
    """As in the commands; the trace has its rows and where it is now."""
    [found] = await rig.operations.find(name)

    assert found["external_id"] == "magento-order-42"
    assert "sales_order" in {row["table"] for row in found["rows"]}
    assert {"state": "dead letter", "cause": "UNKNOWN_ERROR"} in found["where"]


async def test_a_dead_letter_is_found_though_the_state_knows_nothing_else(rig: Rig) -> None:
    """Its object is gone from the shop and was never sent: the letter is what there is."""
    letter = dead_letters.DeadLetter(ObjectRef(Kind.PRODUCT, 8), Action.UPSERT, 1, 1, "refused", "", "")
    await rig.state.call(lambda store: dead_letters.add(store, letter))
    [found] = await rig.operations.find("product-8")

    assert found["where"] == [{"state": "dead letter", "cause": "refused"}]


async def test_no_value_of_a_person_is_shown(rig: Rig) -> None:
    """Neither a property, nor a dead letter's detail, nor the email address that was asked for."""
    shown = [await rig.operations.waiting(), await rig.operations.find(EMAIL), await rig.operations.find("order 42")]
    text = json.dumps(shown)

    assert "magento-customer-5" in text
    for value in (EMAIL, "Ann", "is bad"):
        assert value not in text
    with pytest.raises(CdcError) as caught:
        await rig.operations.find("nobody@example.com")
    assert "nobody" not in str(caught.value)


async def test_values_are_shown_where_the_settings_say_so(tmp_path: Path) -> None:
    """web.show_values shows properties and details."""
    rig = make(tmp_path, show_values=True)
    rig.state.start()
    text = json.dumps([await rig.operations.waiting(), await rig.operations.find(EMAIL)])
    rig.state.stop()
    rig.state.join()

    for value in (EMAIL, "Ann", "is bad"):
        assert value in text


@pytest.mark.parametrize("choice", [(["magento-order-42"], None), ([], "UNKNOWN_ERROR")])
async def test_a_retry_renders_the_object_afresh(rig: Rig, choice: tuple[list[str], str | None]) -> None:
    """By id or by reason; the letter is gone, and the object is in the outbox or on its way there."""
    assert await rig.operations.retry(*choice) == 1

    def look(store: Any) -> tuple[bool, bool]:
        is_coming = outbox.is_pending(store, ORDER) or render_queue.get(store, ORDER) is not None
        return dead_letters.show(store, ORDER) is None, is_coming

    assert await rig.state.call(look) == (True, True)


@pytest.mark.parametrize("choice", [(["magento-order-43"], None), ([], "another"), (["magento-product-7"], None)])
async def test_a_retry_of_what_is_no_dead_letter_is_said(rig: Rig, choice: tuple[list[str], str | None]) -> None:
    """Nothing else is sent for it."""
    with pytest.raises(CdcError, match="no such dead letter"):
        await rig.operations.retry(*choice)


async def test_deletions_are_released_by_type_with_their_number(rig: Rig) -> None:
    """The number must be the one that is held now; the other types stay held."""
    with pytest.raises(CdcError, match="2 deletions are held now, not 3"):
        await rig.operations.release("deal", 3)
    assert await rig.operations.release("deal", 2) == 2
    held = await rig.state.call(circuit_breaker.held)
    assert [one.ref for one in held] == [GONE[2]]
    assert await rig.operations.release("", 1) == 1
    with pytest.raises(CdcError, match="no type of object"):
        await rig.operations.release("parcel", 1)


async def test_a_member_that_follows_changes_nothing(rig: Rig) -> None:
    """Its state is a copy; the page of the leader is the place."""
    rig.role = "follower"
    for change in (rig.operations.retry(["magento-order-42"], None), rig.operations.release("deal", 2)):
        with pytest.raises(CdcError, match="does not send"):
            await change
    assert len(await rig.state.call(circuit_breaker.held)) == 3


async def test_a_look_does_not_wait_for_the_state_thread(rig: Rig, tmp_path: Path) -> None:
    """While a long transaction is written, the page shows what was committed before."""
    other = sqlite3.connect(tmp_path / "state.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    found = await rig.operations.waiting()
    other.execute("ROLLBACK")
    other.close()

    assert found["dead_letters"]["total"] == 1
