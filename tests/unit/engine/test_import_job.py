"""``import``: which objects are chosen, what goes of them, and that it is paused, stopped and gone on with."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from cdc.engine import import_job
from cdc.engine.import_job import ALL_TYPES, Condition, Selection, parse_condition, types_of
from cdc.messages.mapping_review import Step
from cdc.settings.mapping import MappingSettings
from tests.kit.replica_harness import ReplicaHarness
from tests.unit.messages.test_withheld import EVERYTHING, OF_NEW, YEAR_2025_MS, first_load, sent


def asked(harness: ReplicaHarness, selection: Selection) -> set[str]:
    """What an import of this selection sends."""
    with harness.engine.store.transaction():
        assert import_job.ask(harness.engine.store, selection, "magento")
    harness.apply(())
    return sent(harness)


def test_everything_that_was_withheld_goes(tmp_path: Path) -> None:
    """An import without limits is the first load made up for."""
    harness = first_load(tmp_path, math.inf)
    assert asked(harness, Selection()) == EVERYTHING
    assert asked(harness, Selection()) == set()  # nothing differs any more
    harness.close()


def test_a_date_brings_the_orders_since_and_what_they_refer_to(tmp_path: Path) -> None:
    """Contacts and products go for the orders' sake only."""
    harness = first_load(tmp_path, math.inf)
    assert asked(harness, Selection(since_ms=YEAR_2025_MS)) == OF_NEW
    harness.close()


def test_types_and_conditions_narrow_it(tmp_path: Path) -> None:
    """A condition looks at the row of the object's main table."""
    harness = first_load(tmp_path, math.inf)
    assert asked(harness, Selection(types_of(["products"]), where=(Condition("sku", "=", "TEA"),))) == {"product-11"}
    assert asked(harness, Selection(types_of(["contacts"]), where=(Condition("entity_id", "<", "2"),))) == {
        "customer-1"
    }
    harness.close()


def test_named_objects_go_alone_with_what_they_refer_to(tmp_path: Path) -> None:
    """An order by its id brings its lines, its customer and its product."""
    harness = first_load(tmp_path, math.inf)
    assert asked(harness, Selection(ids=("magento-order-1",))) == {"order-1", "item-100", "customer-1", "product-10"}
    harness.close()


def test_resend_sends_what_equals_too(tmp_path: Path) -> None:
    """Without it, what HubSpot holds already costs no call."""
    harness = first_load(tmp_path, None)
    sent(harness)
    assert asked(harness, Selection(types_of(["products"]))) == set()
    assert asked(harness, Selection(types_of(["products"]), resend=True)) == {"product-10", "product-11"}
    harness.close()


def test_a_paused_import_waits_and_goes_on_where_it_was(tmp_path: Path) -> None:
    """The pause and the place are in the state, so they hold over a restart."""
    harness = first_load(tmp_path, math.inf)
    with harness.engine.store.transaction():
        import_job.pause(harness.engine.store, is_paused=True)
    assert asked(harness, Selection()) == set()
    harness.close()

    again = ReplicaHarness(tmp_path, MappingSettings())
    again.apply(())
    assert sent(again) == set()
    with again.engine.store.transaction():
        import_job.pause(again.engine.store, is_paused=False)
    again.apply(())
    assert sent(again) == EVERYTHING
    assert import_job.status(again.engine.store) == {
        "is_open": False, "is_paused": False, "rendered": {"CONTACT": 2, "PRODUCT": 2, "DEAL": 2, "LINE_ITEM": 2},
    }  # fmt: skip
    again.close()


def test_a_stopped_import_sends_nothing_more(tmp_path: Path) -> None:
    """Another may be asked for then; while one is under way a second is refused."""
    harness = first_load(tmp_path, math.inf)
    store = harness.engine.store
    with store.transaction():
        assert import_job.ask(store, Selection(), "magento")
        assert not import_job.ask(store, Selection(), "magento")
        assert import_job.stop(store)
        assert not import_job.stop(store)
    harness.apply(())
    assert sent(harness) == set()
    assert asked(harness, Selection()) == EVERYTHING
    harness.close()


def test_an_import_waits_for_a_mapping_under_review(tmp_path: Path) -> None:
    """It would render by a mapping that nobody has accepted."""
    harness = first_load(tmp_path, None)
    sent(harness)
    review = harness.engine.rendering.review
    review.max_share = -1.0  # even no change at all is too much
    with harness.engine.store.transaction():
        review.begin("2-another")
    assert asked(harness, Selection(resend=True)) == set()
    assert review.step is Step.WAITING
    harness.close()


@pytest.mark.parametrize(
    ("text", "cell", "fits"),
    [
        ("status=complete", "complete", True),
        ("status = complete", "closed", False),
        ("grand_total >= 100", "99.9900", False),
        ("grand_total>=100", "100.0000", True),
        ("status != closed", None, True),
        ("status = closed", None, False),
        ("created_at < 2025-01-01", "2024-12-31 23:59:59", True),
    ],
)
def test_conditions_compare_numbers_as_numbers_and_all_else_as_text(text: str, cell: str | None, fits: bool) -> None:
    """NULL equals nothing."""
    assert parse_condition(text).fits(cell) is fits


def test_what_is_no_condition_or_type_is_refused() -> None:
    """A word that chooses nothing must not pass for a choice."""
    with pytest.raises(ValueError, match="operator"):
        parse_condition("status")
    with pytest.raises(ValueError, match="orders"):
        types_of(["orders"])


def test_a_repair_of_chosen_types_reads_only_tables_that_bear_on_them(tmp_path: Path) -> None:
    """Products are made of the catalogue, and of lines whose product is gone; customers and payments are left alone."""
    harness = first_load(tmp_path, None)
    sent(harness)
    with harness.engine.store.transaction():
        harness.engine.store.meta.repair_types = types_of(["products"])
        harness.engine.work()
    tables = set(harness.engine.table_loads.required_positions)
    assert {"catalog_product_entity", "sales_order_item", "eav_attribute"} <= tables
    assert not {"customer_entity", "customer_address_entity", "sales_order_payment", "sales_invoice"} & tables
    assert not harness.engine.store.meta.repair_types
    harness.close()


def test_a_repair_of_all_types_reads_all_tables(tmp_path: Path) -> None:
    """No table is left out, whichever the mapper knows of."""
    harness = first_load(tmp_path, None)
    sent(harness)
    with harness.engine.store.transaction():
        harness.engine.store.meta.repair_types = ALL_TYPES
        harness.engine.work()
    assert set(harness.engine.table_loads.required_positions) == {spec.name for spec in harness.engine.tables}
    harness.close()
