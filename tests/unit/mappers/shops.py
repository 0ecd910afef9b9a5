"""A small shop's rows for the mapper tests: two websites, three views, the attributes, and row makers."""

from __future__ import annotations

from typing import Any

from cdc.model import Kind, ObjectRef, Rendered, Value
from cdc.settings.mapping import MappingSettings
from mappers.mapping import MagentoMapping
from tests.kit.rows import DictRows

ATTRIBUTE_IDS: dict[str, tuple[int, str]] = {
    "name": (73, "varchar"),
    "url_key": (119, "varchar"),
    "image": (87, "varchar"),
    "description": (75, "text"),
    "short_description": (76, "text"),
    "price": (77, "decimal"),
    "status": (97, "int"),
    "weight": (82, "decimal"),  # known, not mapped
}

REFERENCES: dict[str, list[dict[str, Value]]] = {
    "store_website": [{"website_id": 1, "code": "base"}, {"website_id": 2, "code": "outlet"}],
    "store": [
        {"store_id": 0, "code": "admin", "website_id": 0},
        {"store_id": 1, "code": "default", "website_id": 1},
        {"store_id": 2, "code": "de", "website_id": 1},
        {"store_id": 3, "code": "outlet_en", "website_id": 2},
    ],
    "customer_group": [
        {"customer_group_id": 0, "customer_group_code": "NOT LOGGED IN"},
        {"customer_group_id": 1, "customer_group_code": "General"},
        {"customer_group_id": 2, "customer_group_code": "Wholesale"},
    ],
    "eav_entity_type": [
        {"entity_type_id": 3, "entity_type_code": "catalog_category"},
        {"entity_type_id": 4, "entity_type_code": "catalog_product"},
    ],
    "eav_attribute": [
        {"attribute_id": 45, "entity_type_id": 3, "attribute_code": "name", "backend_type": "varchar"},
        *(
            dict[str, Value](attribute_id=identity, entity_type_id=4, attribute_code=code, backend_type=backend)
            for code, (identity, backend) in ATTRIBUTE_IDS.items()
        ),
    ],
}


def shop_rows(tables: dict[str, list[dict[str, Value]]] | None = None, **settings: Any) -> DictRows:
    """The reference rows and those given."""
    mapper = MagentoMapping(MappingSettings(**settings))
    return DictRows(mapper, {**REFERENCES, **(tables or {})})


def rendered(rows: DictRows, kind: Kind, identity: int | str) -> Rendered:
    """The object, which must exist."""
    found = rows.mapper.render(ObjectRef(kind, identity), rows)
    assert found is not None, f"{kind}-{identity} does not exist"
    return found


def properties(rows: DictRows, kind: Kind, identity: int | str) -> dict[str, str]:
    """The object's properties, which must exist and be text."""
    found = dict(rendered(rows, kind, identity).properties)
    assert all(isinstance(value, str) for value in found.values()), found
    return found


def exists(rows: DictRows, kind: Kind, identity: int | str) -> bool:
    """Whether the object exists."""
    return rows.mapper.render(ObjectRef(kind, identity), rows) is not None


def order(entity_id: int = 1, /, **columns: Value) -> dict[str, Value]:
    """A ``sales_order`` row: a guest's new order."""
    return {
        "entity_id": entity_id, "increment_id": f"{entity_id:09}", "store_id": 1, "state": "new", "status": "pending",
        "customer_id": None, "customer_is_guest": 1, "customer_group_id": 0, "customer_email": "ann@example.com",
        "order_currency_code": "EUR", "grand_total": "64.9000", "tax_amount": "10.3600",
        "discount_amount": "0.0000", "shipping_amount": "5.0000", "shipping_method": "flatrate_flatrate",
        "created_at": "2026-03-01 10:00:00", **columns,
    }  # fmt: skip


def item(item_id: int = 1, /, **columns: Value) -> dict[str, Value]:
    """A ``sales_order_item`` row: two pieces of a simple product."""
    return {
        "item_id": item_id, "order_id": 1, "product_id": 10, "product_type": "simple", "sku": "MUG", "name": "Mug",
        "qty_ordered": "2.0000", "qty_shipped": "0.0000", "qty_canceled": "0.0000", "qty_refunded": "0.0000",
        "is_virtual": 0, "price": "29.9500", "row_total": "59.9000", "tax_amount": "9.5600",
        "discount_amount": "0.0000", **columns,
    }  # fmt: skip


def address(entity_id: int = 1, /, **columns: Value) -> dict[str, Value]:
    """A ``sales_order_address`` row: order 1's billing address."""
    return {
        "entity_id": entity_id, "parent_id": 1, "address_type": "billing", "firstname": "Ann", "lastname": "Lee",
        "company": "Lee Ltd", "street": "1 High Street\nFlat 2", "city": "Leeds", "region": "Yorkshire",
        "postcode": "LS1 1AA", "country_id": "GB", "telephone": "+44 113 496 0000", **columns,
    }  # fmt: skip


def customer(entity_id: int = 7, /, **columns: Value) -> dict[str, Value]:
    """A ``customer_entity`` row."""
    return {
        "entity_id": entity_id, "website_id": 1, "email": "Bob@Example.com", "group_id": 2, "firstname": "Bob",
        "lastname": "Ray", "dob": "1980-02-29", "default_billing": None, "created_at": "2026-01-02 03:04:05", **columns,
    }  # fmt: skip


def value(value_id: int, code: str, held: Value, *, store: int = 0, product: int = 10) -> dict[str, Value]:
    """A row of the attribute's value table."""
    attribute, _ = ATTRIBUTE_IDS[code]
    return {"value_id": value_id, "entity_id": product, "attribute_id": attribute, "store_id": store, "value": held}
