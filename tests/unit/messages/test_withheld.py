"""``history.send``: what is withheld of the first load, and what lets it go."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from cdc.engine.engine import Engine
from cdc.messages.trace import trail
from cdc.model import Kind, ObjectRef, Op, Value
from cdc.replica.load_state import Phase
from cdc.settings.history import HistorySettings
from cdc.settings.mapping import MappingSettings
from cdc.state.store import Store
from mappers.mapping import MagentoMapping
from tests.kit.replica_harness import FIRST, ReplicaHarness
from tests.kit.toy import FixedClock

YEAR_2025_MS = 1_735_689_600_000
Row = Mapping[str, Value]


def customer(number: int, email: str) -> dict[str, Value]:
    return {"entity_id": number, "email": email, "group_id": 1, "website_id": 1}


def product(number: int, sku: str) -> dict[str, Value]:
    return {"entity_id": number, "sku": sku, "type_id": "simple"}


ANN, BEN = customer(1, "ann@example.com"), customer(2, "ben@example.com")
MUG, TEA = product(10, "MUG"), product(11, "TEA")


def order(number: int, customer: Row, created_at: str, state: str = "complete") -> dict[str, Value]:
    return {
        "entity_id": number, "increment_id": f"{number:09}", "store_id": 1, "state": state, "status": state,
        "customer_id": customer["entity_id"], "customer_is_guest": 0, "customer_group_id": 1, "grand_total": "5.0000",
        "customer_email": customer["email"], "order_currency_code": "EUR", "created_at": created_at,
    }  # fmt: skip


def line(number: int, of: Row, product: Row) -> dict[str, Value]:
    return {
        "item_id": number, "order_id": of["entity_id"], "product_id": product["entity_id"], "product_type": "simple",
        "sku": product["sku"], "name": str(product["sku"]), "qty_ordered": "1.0000", "price": "5.0000",
    }  # fmt: skip


OLD, NEW = order(1, ANN, "2024-12-31 23:59:59"), order(2, BEN, "2025-01-01 00:00:00")
SHOP: Mapping[str, list[dict[str, Value]]] = {
    "customer_entity": [ANN, BEN],
    "catalog_product_entity": [MUG, TEA],
    "sales_order": [OLD, NEW],
    "sales_order_item": [line(100, OLD, MUG), line(200, NEW, TEA)],
}
EVERYTHING = {"customer-1", "customer-2", "product-10", "product-11", "order-1", "order-2", "item-100", "item-200"}
OF_NEW = {"customer-2", "product-11", "order-2", "item-200"}


def first_load(
    folder: Path, withheld_before_ms: float | None, *, before_rendering: Callable[[Store], object] = lambda _: None
) -> ReplicaHarness:
    """A harness whose state has just loaded the shop's rows. ``before_rendering``: a command while it loads."""
    engine = Engine(folder, MagentoMapping(MappingSettings()), (), FixedClock(0), has_server=False)
    with engine.store.transaction():
        engine.moves.begin(FIRST, Phase.LOADING_REFERENCES)
    engine.close()
    harness = ReplicaHarness(folder, MappingSettings())
    ingest = harness.engine.ingest
    harness.engine.renderer.withholding.before_ms = withheld_before_ms
    with harness.engine.store.transaction():
        harness.engine.first_load.begin(1)
        ingest.references_read()
        for spec in harness.engine.tables:
            changes = [harness.change(spec.name, Op.INSERT, None, row) for row in SHOP.get(spec.name, ())]
            rows = [change.after for change in changes if change.after is not None]
            ingest.load_chunk(spec.name, rows, FIRST, None, done=True)
        ingest.load_done(FIRST)
        before_rendering(harness.engine.store)
    harness.apply(())
    return harness


def sent(harness: ReplicaHarness) -> set[str]:
    """The objects of the messages since the last call."""
    return {message.external_id.removeprefix("magento-") for message in harness.sent()}


def test_without_a_limit_everything_goes(tmp_path: Path) -> None:
    """``send = "all"`` is the default."""
    harness = first_load(tmp_path, None)
    assert sent(harness) == EVERYTHING
    harness.close()


def test_none_sends_nothing_of_the_history(tmp_path: Path) -> None:
    """Nothing waits in the outbox either, so nothing grows while the daemon runs."""
    harness = first_load(tmp_path, math.inf)
    assert sent(harness) == set()
    where = trail(harness.engine.store, ObjectRef(Kind.ORDER, 1), 0).where
    assert [one.state for one in where] == ["withheld"]
    harness.close()


def test_a_date_sends_the_orders_since_with_what_they_refer_to(tmp_path: Path) -> None:
    """The order of the date's first second goes with its line, its customer and its product, and nothing else."""
    harness = first_load(tmp_path, YEAR_2025_MS)
    assert sent(harness) == OF_NEW
    harness.close()


def test_a_withheld_order_that_changes_goes_with_all_its_objects(tmp_path: Path) -> None:
    """A refund of an old order brings the order, its line, its customer and its product."""
    harness = first_load(tmp_path, math.inf)
    harness.update("sales_order", OLD, state="closed", status="closed")
    assert sent(harness) == {"customer-1", "product-10", "order-1", "item-100"}
    harness.close()


def test_a_new_order_brings_its_withheld_customer_and_product_and_no_older_order(tmp_path: Path) -> None:
    """A link must hold, and history that nothing refers to stays where it is."""
    harness = first_load(tmp_path, math.inf)
    new = order(3, ANN, "2026-01-01 00:00:00", "new")
    harness.commit(
        harness.change("sales_order", Op.INSERT, None, new),
        harness.change("sales_order_item", Op.INSERT, None, line(300, new, TEA)),
    )
    assert sent(harness) == {"customer-1", "product-11", "order-3", "item-300"}
    harness.close()


def test_a_change_that_says_nothing_new_releases_nothing(tmp_path: Path) -> None:
    """A login touches the customer's row, and the message stays the same."""
    harness = first_load(tmp_path, math.inf)
    harness.update("customer_entity", ANN)
    assert sent(harness) == set()
    harness.update("customer_entity", ANN, firstname="Ann")
    assert sent(harness) == {"customer-1"}
    harness.close()


def test_a_withheld_object_that_goes_sends_no_deletion(tmp_path: Path) -> None:
    """HubSpot never heard of it."""
    harness = first_load(tmp_path, math.inf)
    harness.delete("sales_order", OLD)
    assert sent(harness) == set()
    harness.close()


def test_what_was_withheld_stays_so_when_everything_is_rendered_again(tmp_path: Path) -> None:
    """Neither a restart nor a changed mapping sends the history that an operator left out."""
    harness = first_load(tmp_path, YEAR_2025_MS)
    sent(harness)
    with harness.engine.store.transaction():
        harness.engine.rendering.render_all_again()
    harness.apply(())
    assert sent(harness) == set()
    harness.close()


@pytest.mark.parametrize(("text", "before"), [("all", None), ("none", math.inf), ("2025-01-01", YEAR_2025_MS)])
def test_the_setting_is_read_as_a_moment_in_utc(text: str, before: float | None) -> None:
    """A date stands for its first moment."""
    assert HistorySettings.model_validate({"send": text}).withheld_before_ms == before


def test_another_word_is_refused() -> None:
    """The three forms are the only ones."""
    with pytest.raises(ValidationError):
        HistorySettings.model_validate({"send": "some"})
