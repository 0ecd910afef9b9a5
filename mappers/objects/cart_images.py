"""The images of a cart's lines: the product's ``image`` in the chosen store view, else in the default scope. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from cdc.model import BulkInvalidation, Kind, Row, Value
from cdc.protocols import RowReader
from mappers.attributes import ADMIN
from mappers.objects.product import EAV, image_url, product_row
from mappers.plan import Plan
from mappers.row_changes import AffectedObjects, Affects, RowChange
from mappers.shop import shop
from mappers.text import clean
from mappers.versions import VERSIONS

_IMAGE: Final = "image"


def url_of(line: Row, rows: RowReader, plan: Plan) -> str:
    """The image's address (its path without ``mapping.media_base_url``); "" if the product or its image is missing."""
    product_id = line.get("product_id")
    known = shop(rows, plan)
    attribute = known.attributes[EAV].by_code.get(_IMAGE)
    row = product_row(product_id, rows, plan) if isinstance(product_id, int) else None
    # The shop has no such attribute, or the product is deleted.
    if attribute is None or row is None:
        return ""
    held = {
        value.get("store_id"): value.get("value")
        for value in rows.find(attribute.table, plan.product_key, row[plan.product_key])
        if value.get("attribute_id") == attribute.id
    }
    return image_url(clean(held.get(known.view, held.get(ADMIN))), plan.settings.media_base_url)


def _all(kind: Kind) -> tuple[BulkInvalidation, ...]:
    return (BulkInvalidation(kind, "quote", "entity_id"),)


def _of_value(kind: Kind, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    attribute = shop(rows, plan).attributes[EAV].by_code.get(_IMAGE)
    # Values of all attributes stand in these tables.
    if attribute is None or attribute.id not in change.values("attribute_id"):
        return ()
    ids = change.values(plan.product_key)
    if plan.row_ids:
        versions = (rows.get("catalog_product_entity", row_id) for row_id in ids)
        ids = [version["entity_id"] for version in versions if version is not None]
    return _with_products(kind, ids)


def _of_product(kind: Kind, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    # Which version is live may change with any column; without versions only coming and going counts.
    if not plan.row_ids and change.before is not None and change.after is not None:
        return ()
    return _with_products(kind, change.values("entity_id"))


def _with_products(kind: Kind, ids: list[Value]) -> Iterator[BulkInvalidation]:
    for product_id in ids:
        yield BulkInvalidation(kind, "quote_item", "quote_id", "product_id", product_id)


def _of_attribute(kind: Kind, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    return _all(kind) if _IMAGE in change.values("attribute_code") else ()


def _of_type(kind: Kind, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    return _all(kind) if EAV.entity_type in change.values("entity_type_code") else ()


def _of_view(kind: Kind, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    return _all(kind) if plan.settings.store_view in change.values("code") else ()


def _of_flag(kind: Kind, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    return _all(kind)  # another version of the catalogue may be live


def affected_by(kind: Kind) -> tuple[tuple[str, Affects], ...]:
    """Table → the carts of this kind whose images a row of that table changes."""
    return (
        *((table, partial(_of_value, kind)) for table in EAV.tables.values()),
        ("catalog_product_entity", partial(_of_product, kind)),
        ("eav_attribute", partial(_of_attribute, kind)),
        ("eav_entity_type", partial(_of_type, kind)),
        ("store", partial(_of_view, kind)),
        (VERSIONS.name, partial(_of_flag, kind)),
    )
