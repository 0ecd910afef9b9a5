"""Eleven ways in which real modules keep a delivery date: each works by its file in deploy/examples/ alone."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from cdc.model import Kind, Value
from cdc.settings.mapping import MappingSettings
from mappers.mapping import MagentoMapping
from tests.kit.rows import DictRows
from tests.unit.mappers.shops import REFERENCES, address, order, properties

FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "examples"
Tables = dict[str, list[dict[str, Value]]]


class Layout(NamedTuple):
    """The rows that a module leaves of an order, and the properties these become."""

    tables: Tables
    becomes: dict[str, str]
    primary: tuple[str, ...] = ()
    order: dict[str, Value] = {}  # noqa: RUF012  # never changed


AMASTY = "amasty_deliverydate_deliverydate_order"
LAYOUTS = {
    "sr": Layout(
        {},
        {"delivery_date": "2026-03-05", "delivery_comment": "Ring twice"},
        order={"delivery_date": "2026-03-05 00:00:00", "delivery_comment": " Ring twice\n"},
    ),
    "bss": Layout(
        {},
        {"delivery_date": "2026-03-05", "delivery_slot": "09:00 - 12:00", "delivery_comment": ""},
        order={"shipping_arrival_date": "2026-03-05", "shipping_arrival_timeslot": "09:00 - 12:00"},
    ),
    "mageplaza": Layout(
        {},
        {"delivery_date": "2026-03-05", "delivery_slot": "9-12", "delivery_comment": "Ring"},
        order={
            "mp_delivery_information": '{"deliveryDate":"03/05/2026","deliveryTime":"9-12","deliveryComment":"Ring"}'
        },
    ),
    "amasty-1": Layout(
        {
            "amasty_amdeliverydate_deliverydate": [
                {"deliverydate_id": 4, "order_id": 1, "date": "2026-03-05", "time": "9-12", "comment": "Ring"}
            ]
        },
        {"delivery_date": "2026-03-05", "delivery_slot": "9-12", "delivery_comment": "Ring"},
        ("deliverydate_id",),
    ),
    "amasty-2": Layout(
        {AMASTY: [{"deliverydate_id": 4, "order_id": 1, "date": "2026-03-05", "time_from": 540, "time_to": 720}]},
        {"delivery_date": "2026-03-05", "delivery_from": "09:00", "delivery_to": "12:00", "delivery_comment": ""},
        ("deliverydate_id",),
    ),
    "mageworx": Layout(
        {
            "sales_order_address": [address(1), address(2, address_type="shipping")],
            "mageworx_dd_queue": [
                {
                    "entity_id": 8, "store_id": 1, "order_address_id": 2, "delivery_day": "2026-03-05",
                    "delivery_hours_from": 9, "delivery_hours_to": 12,
                }
            ],
        },
        {"delivery_date": "2026-03-05", "delivery_from_hour": "9", "delivery_to_hour": "12", "delivery_comment": ""},
        ("entity_id", "store_id"),
    ),
    "postnl": Layout(
        {
            "tig_postnl_order": [
                {
                    "entity_id": 3, "order_id": 1, "delivery_date": "2026-03-05 00:00:00", "ship_at": "2026-03-04",
                    "expected_delivery_time_start": "09:00:00", "expected_delivery_time_end": "12:00:00",
                    "parcel_count": 1,
                }
            ]
        },
        {"delivery_date": "2026-03-05", "delivery_from": "09:00:00", "ship_at": "2026-03-04", "parcel_count": "1"},
        ("entity_id",),
    ),
    "myparcel": Layout(
        {},
        {"delivery_date": "2026-03-05", "drop_off_day": "2026-03-04"},
        order={"myparcel_delivery_options": '{"date":"2026-03-05T00:00:00.000Z"}', "drop_off_day": "2026-03-04"},
    ),
    "etechflow": Layout(
        {"etechflow_dd_time_interval": [{"interval_id": 5, "from_time": "09:00", "to_time": "12:00"}]},
        {"delivery_date": "2026-03-05", "delivery_slot": "09:00 - 12:00", "delivery_comment": ""},
        order={"etechflow_delivery_date": "05-03-2026", "etechflow_delivery_time_interval_id": 5},
    ),
    "primak": Layout(
        {"primak_date_attribute": [{"entity_id": 2, "order_attribute_id": 1, "delivery_date": "2026-03-05"}]},
        {"delivery_date": "2026-03-05"},
        ("entity_id",),
    ),
    "address": Layout(
        {
            "sales_order_address": [
                address(1, delivery_date=None),
                address(2, address_type="shipping", delivery_date="2026-03-05"),
            ]
        },
        {"delivery_date": "2026-03-05"},
    ),
}  # fmt: skip
"""Name of the example file → what the module writes."""


def test_there_is_an_example_for_each_layout() -> None:
    """No file without a layout, no layout without a file."""
    assert {path.stem for path in FOLDER.glob("delivery-date-*.toml")} == {f"delivery-date-{name}" for name in LAYOUTS}
    assert len(LAYOUTS) == 11


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_works_by_its_example_alone(name: str) -> None:
    """The example file's mapping, the module's rows: the properties that the merchant wants."""
    layout = LAYOUTS[name]
    mapping = tomllib.loads((FOLDER / f"delivery-date-{name}.toml").read_text(encoding="utf-8"))["mapping"]
    for satellite in mapping.get("satellites", ()):
        satellite["primary"] = list(layout.primary)
    mapper = MagentoMapping(MappingSettings(**mapping))
    rows = DictRows(mapper, {**REFERENCES, "sales_order": [order(**layout.order)], **layout.tables})

    found = properties(rows, Kind.ORDER, 1)

    assert {property: found[property] for property in layout.becomes} == layout.becomes
