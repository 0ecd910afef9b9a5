"""What renderers need of the reference tables: stores, websites, groups, and where product attributes live.

Looked up once and kept by ``RowReader.reference`` until a row of any reference table changes. Attribute ids differ per
shop, so they are found by code; ``backend_type`` says which table holds the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from cdc.model import Row, Value
from cdc.protocols import RowReader
from mappers.tables import PRODUCT_VALUES
from mappers.text import clean

ADMIN: Final = 0  # store_id of the default scope

ATTRIBUTES: Final = ("name", "url_key", "image", "price", "description", "short_description", "status")
"""Codes of the product attributes that the default properties are made from."""


class Attribute(NamedTuple):
    """A mapped product attribute: its id here, and the table of its values."""

    code: str
    id: int
    table: str


class Shop:
    """The reference tables as renderers see them. Answers are remembered; make a new one when a row changes."""

    def __init__(self, rows: RowReader, store_view: str) -> None:
        self._rows = rows
        self._codes: dict[tuple[str, Value], str] = {}
        self._known: dict[Value, bool] = {}
        self.view, self.warning = _view(rows, store_view)
        self.attributes: Mapping[str, Attribute] = _attributes(rows)
        self._mapped = frozenset(_ids(rows))
        self.by_table: dict[str, dict[Value, str]] = {}
        for attribute in self.attributes.values():
            self.by_table.setdefault(attribute.table, {})[attribute.id] = attribute.code

    def store_code(self, store_id: Value) -> str:
        """``store.code``; "" for a store that is gone."""
        return self._code("store", store_id, "code")

    def website_code(self, website_id: Value) -> str:
        """``store_website.code``; "" for a website that is gone."""
        return self._code("store_website", website_id, "code")

    def website_code_of(self, store_id: Value) -> str:
        """The code of the website that a store view belongs to."""
        store = self._rows.get("store", store_id) if store_id is not None else None
        return self.website_code(store.get("website_id")) if store else ""

    def group_code(self, group_id: Value) -> str:
        """``customer_group.customer_group_code``; "" for a group that is gone."""
        return self._code("customer_group", group_id, "customer_group_code")

    def needs(self, attribute_id: Value) -> bool:
        """Whether values of this product attribute are to be kept: mapped ones, and those not heard of yet."""
        if attribute_id in self._mapped:
            return True
        if attribute_id not in self._known:
            self._known[attribute_id] = self._rows.get("eav_attribute", attribute_id) is not None
        return not self._known[attribute_id]

    def _code(self, table: str, key: Value, column: str) -> str:
        if key is None:
            return ""
        code = self._codes.get((table, key))
        if code is None:
            row = self._rows.get(table, key)
            code = self._codes[table, key] = clean(row.get(column)) if row else ""
        return code


def shop(rows: RowReader, store_view: str) -> Shop:
    """The remembered ``Shop`` of these rows."""
    return rows.reference("shop", lambda reader: Shop(reader, store_view))


def product_type_ids(rows: RowReader) -> set[Value]:
    """``entity_type_id`` of products (4 in practice, but it is data)."""
    found = rows.find("eav_entity_type", "entity_type_code", "catalog_product")
    return {row["entity_type_id"] for row in found}


def _view(rows: RowReader, store_view: str) -> tuple[Value, str]:
    """The id of the chosen store view, and a warning if there is no such view."""
    if not store_view:
        return ADMIN, ""
    found = rows.find("store", "code", store_view)
    if found:
        return found[0]["store_id"], ""
    return ADMIN, f"there is no store view {store_view!r} (mapping.store_view); default values are used"


def _ids(rows: RowReader) -> list[Value]:
    """Of every entity type: a type may still be unknown when values come, and other types' ids are never among them."""
    return [row["attribute_id"] for code in ATTRIBUTES for row in rows.find("eav_attribute", "attribute_code", code)]


def _attributes(rows: RowReader) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for code in ATTRIBUTES:
        for row in _of_products(rows, code):
            table = PRODUCT_VALUES.get(str(row.get("backend_type")))
            identity = row["attribute_id"]
            if table and isinstance(identity, int):
                found[code] = Attribute(code, identity, table)
    return found


def _of_products(rows: RowReader, code: str) -> list[Row]:
    types = product_type_ids(rows)
    return [row for row in rows.find("eav_attribute", "attribute_code", code) if row.get("entity_type_id") in types]
