"""Columns whose numbers stand for labels in another table."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.errors import ConfigError
from cdc.model import BulkInvalidation, Kind, Value
from tests.kit.rows import DictRows
from tests.unit.mappers.shops import order, properties, rendered, shop_rows

SLOT: dict[str, Any] = {"table": "slots", "key": "id", "label": "{from} - {to}"}
NINE: dict[str, Value] = {"id": 5, "from": "09:00", "to": "12:00"}


def a_shop(value: Value, *, lookup: dict[str, Any] = SLOT, slots: tuple[dict[str, Value], ...] = (NINE,)) -> DictRows:
    """An order with this slot."""
    deal = {"properties": {"slot": {"column": "slot_id", "lookup": lookup}}}
    return shop_rows({"sales_order": [order(slot_id=value)], "slots": list(slots)}, deal=deal)


@pytest.mark.parametrize("value", [5, "5"])
def test_a_number_becomes_its_label(value: Value) -> None:
    """Whether the module keeps it as a number or as text."""
    assert properties(a_shop(value), Kind.ORDER, 1)["slot"] == "09:00 - 12:00"


@pytest.mark.parametrize("key", [5, "5"])
def test_a_label_may_be_one_column(key: Value) -> None:
    """The short form; the table's key may be text as well."""
    rows = a_shop(5, lookup={**SLOT, "label": "name"}, slots=({"id": key, "name": "Morning"},))

    assert properties(rows, Kind.ORDER, 1)["slot"] == "Morning"


@pytest.mark.parametrize("value", [None, 0, "0", ""])
def test_no_choice_is_no_label(value: Value) -> None:
    """Modules write NULL, 0 or nothing for it."""
    made = rendered(a_shop(value), Kind.ORDER, 1)

    assert (made.properties["slot"], made.warnings) == ("", ())


def test_a_row_that_is_not_there_leaves_the_property_empty_and_warns() -> None:
    """The order is sent all the same."""
    made = rendered(a_shop(6), Kind.ORDER, 1)

    assert made.properties["slot"] == ""
    assert made.warnings == ("property slot is left empty: sales_order.slot_id names a row that slots does not have",)


def test_a_label_without_any_text_is_empty() -> None:
    """Not the dash between two empty columns."""
    assert properties(a_shop(5, slots=({"id": 5, "from": None, "to": ""},)), Kind.ORDER, 1)["slot"] == ""


def test_a_changed_label_invalidates_the_orders_that_use_it() -> None:
    """And no others: their column says which they are."""
    rows = a_shop(5)

    affected = rows.put("slots", id=5, to="13:00")

    assert BulkInvalidation(Kind.ORDER, "sales_order", "entity_id", "slot_id", 5) in affected
    assert properties(rows, Kind.ORDER, 1)["slot"] == "09:00 - 13:00"


def test_a_table_of_labels_is_loaded_before_anything_is_rendered() -> None:
    """It is a reference table; one of Magento's own gets the further columns."""
    specs = a_shop(5).specs
    assert specs["slots"].reference

    name = {"table": "store", "key": "store_id", "label": "name"}
    rows = shop_rows({"sales_order": [order()]}, deal={"properties": {"shop": {"column": "store_id", "lookup": name}}})
    rows.put("store", store_id=1, code="default", website_id=1, name="English")
    assert properties(rows, Kind.ORDER, 1)["shop"] == "English"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"table": "sales_order"}, "sales_order is no table of labels"),
        ({"table": "store", "key": "code"}, "the key of store is store_id, not code"),
    ],
)
def test_a_look_up_that_cannot_work_is_refused(change: dict[str, Any], said: str) -> None:
    """A fault of the settings."""
    with pytest.raises(ConfigError, match=said):
        shop_rows(deal={"properties": {"slot": {"column": "slot_id", "lookup": SLOT | change}}})
