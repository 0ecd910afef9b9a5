"""PRODUCT: ``catalog_product_entity`` and its EAV values of the chosen store view over the default scope.

A product that was deleted while line items still name it stands on what the newest of those lines says
(``sales_order_item.product_id`` has no foreign key), so that a line's link always holds.
"""

from __future__ import annotations

from typing import Final

from cdc.model import ObjectRef, Rendered, Row, Value
from cdc.protocols import RowReader
from mappers import money, times
from mappers.attributes import ADMIN, Attributes
from mappers.objects import line_item
from mappers.plan import Plan
from mappers.scope import order_is_in, product_is_in, product_row
from mappers.shop import shop
from mappers.text import clean, from_html

STATUS: Final = {1: "enabled", 2: "disabled"}
NO_IMAGE: Final = "no_selection"  # what Magento stores for "no image chosen"
_STAND_IN_EMPTY: Final = ("description", "image_url", "url_key", "status", "type", "created_at")


def render(product_id: int, rows: RowReader, plan: Plan) -> Rendered | None:
    """``product-N``: exists while its row or a line item referring to it exists and is in."""
    row = product_row(product_id, rows, plan)
    if row is not None and not product_is_in(row, rows, plan) and _newest_line(product_id, rows, plan) is None:
        return None
    if row is None:
        return _stand_in(product_id, rows, plan)
    known = shop(rows, plan)
    values = _values(row, plan.product_key, rows, known.products, known.view)
    properties = {
        "sku": clean(row.get("sku")),
        "type": clean(row.get("type_id")),
        "created_at": times.epoch_ms(row.get("created_at")),
    }
    for name, code in (("name", "name"), ("url_key", "url_key")):
        if code in values:
            properties[name] = clean(values[code])
    if "price" in values:
        properties["price"] = money.money(values["price"])
    if "status" in values:
        properties["status"] = STATUS.get(values["status"], "")  # type: ignore[arg-type]  # any value may come
    if "description" in values or "short_description" in values:
        described = from_html(values.get("description")) or from_html(values.get("short_description"))
        properties["description"] = described
    if "image" in values:
        properties["image_url"] = _image_url(clean(values["image"]), plan.settings.media_base_url)
    own, warnings = plan.product.of(row, rows)
    further, stale_tables = known.products.properties(plan.product_attributes, values)
    view = (known.warning,) if known.warning else ()
    return Rendered(properties | own | further, warnings=(*view, *warnings, *stale_tables))


def _values(product: Row, key: str, rows: RowReader, known: Attributes, view: Value) -> dict[str, Value]:
    """Attribute code → effective value (None without a row); a code the shop does not have is missing.

    ``key``: the column that values hang on.

    A view's own row counts even when it is NULL; without one the default scope's row does.
    """
    default: dict[str, Value] = dict.fromkeys(known.by_code)
    own: dict[str, Value] = {}
    for table, codes in known.by_table.items():
        for row in rows.find(table, key, product[key]):
            code = codes.get(row.get("attribute_id"))
            store = row.get("store_id")
            if code is None:
                continue
            if store == view:
                own[code] = row.get("value")
            elif store == ADMIN:
                default[code] = row.get("value")
    return default | own


def _image_url(path: str, base: str) -> str:
    if not path or path == NO_IMAGE:
        return ""
    return f"{base.rstrip('/')}/{path.lstrip('/')}" if base else path


def _stand_in(product_id: int, rows: RowReader, plan: Plan) -> Rendered | None:
    line = _newest_line(product_id, rows, plan)
    if line is None:
        return None
    properties = plan.product.empty() | dict.fromkeys((*plan.product_attributes, *_STAND_IN_EMPTY), "")
    properties |= {
        "name": clean(line.get("name")),
        "sku": clean(line.get("sku")),
        "price": money.money(line.get(plan.paid("price"))),
    }
    return Rendered(properties)


def _newest_line(product_id: int, rows: RowReader, plan: Plan) -> Row | None:
    """The row of the line item with the highest item_id that refers to the product.

    Rows come with falling item_id, and a line's own id is at most that of the row which names the product (a
    configurable's child comes after its parent): the search ends when no later row can lead to a higher line.
    """
    best: Row | None = None
    best_id = -1
    for row in rows.descending("sales_order_item", "product_id", product_id, ("item_id",)):
        if _number(row.get("item_id")) <= best_id:
            break
        line = row if row.get("parent_item_id") is None else rows.get("sales_order_item", row["parent_item_id"])
        if line is None or _number(line.get("item_id")) <= best_id or not _refers(line, product_id, rows, plan):
            continue
        best, best_id = line, _number(line["item_id"])
    return best


def _refers(line: Row, product_id: int, rows: RowReader, plan: Plan) -> bool:
    """Whether this row is a line item (of an order that exists and is in) associated with the product."""
    if line.get("parent_item_id") is not None:
        return False
    target: ObjectRef | None = line_item.product_of(line, line_item.children_of(line, rows))
    if target is None or target.id != product_id:
        return False
    order = rows.get("sales_order", line.get("order_id"))
    return order is not None and order_is_in(order, rows, plan)


def _number(value: Value) -> int:
    return value if isinstance(value, int) else -1
