"""LINE_ITEM: a ``sales_order_item`` row without a parent, completed by its children's rows.

A line of a configurable product or a bundle is several rows. The parent's row is the line. A configurable's child says
which variant was bought, and a dynamic bundle's children hold the discount.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from cdc.model import BulkInvalidation, FetchByKey, Kind, ObjectRef, Rendered, Row, RowsUsed, TableSpec, Value
from cdc.protocols import RowReader
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_columns import PropertyType
from mappers import money
from mappers.currency import in_chosen_currency
from mappers.custom_properties import ColumnGroup
from mappers.objects import order
from mappers.objects.descriptor import Name, ObjectDescriptor, Property
from mappers.options import PRICED_BY_CHILDREN, modes
from mappers.plain_columns import PlainColumns
from mappers.plan import Plan
from mappers.row_changes import AffectedObjects, RowChange, refs
from mappers.scope import order_in_scope
from mappers.text import clean

CONFIGURABLE: Final = "configurable"

COLUMNS: Final = frozenset(
    {"order_id", "parent_item_id", "product_id", "product_type", "sku", "name", "qty_ordered", "price", "row_total",
     "tax_amount", "discount_amount", "price_mode"}
)  # fmt: skip
"""The columns of ``sales_order_item`` for a line item."""

ORDER_COLUMNS: Final = frozenset({"order_currency_code"})
"""The columns of ``sales_order`` for its lines."""

OWN: Final = ColumnGroup(Kind.ITEM, "sales_order_item", "item_id", lambda asked: asked.line_item.properties)

_ITEMS: Final = TableSpec(
    "sales_order_item",
    ("item_id",),
    ("item_id", "order_id", "parent_item_id", "product_id", "product_type", "sku", "name", "product_options",
     "qty_ordered", "qty_shipped", "qty_canceled", "qty_refunded", "is_virtual", "price", "row_total", "tax_amount",
     "discount_amount"),
    indexes=(("order_id",), ("parent_item_id",), ("product_id", "item_id")),
    derived=("price_mode", "ship_mode"),
    transient=frozenset({"product_options"}),
)  # fmt: skip

_TEXT, _MONEY = PropertyType.TEXT, PropertyType.MONEY
_PROPERTIES: Final = {
    "name": Property(_TEXT, "sales_order_item.name"),
    "sku": Property(_TEXT, "sales_order_item.sku"),
    "quantity": Property(PropertyType.NUMBER, "sales_order_item.qty_ordered"),
    "price": Property(_MONEY, "sales_order_item.{price}"),
    "amount": Property(_MONEY, "sales_order_item.{row_total}"),
    "discount_amount": Property(_MONEY, "sales_order_item.{discount_amount}"),
    "tax_amount": Property(_MONEY, "sales_order_item.{tax_amount}"),
    "currency": Property(_TEXT, "sales_order.{order_currency_code}"),
}

PLAIN: Final = PlainColumns(
    {
        "name": ("name", clean),
        "sku": ("sku", clean),
        "quantity": ("qty_ordered", money.quantity),
        "price": ("price", money.money),
        "amount": ("row_total", money.money),
        "tax_amount": ("tax_amount", money.money),
    }
)
"""Properties from the line's own row."""

OF_ORDER: Final = PlainColumns({"currency": ("order_currency_code", clean)})
"""Properties from the row of the line's order."""


def render(item_id: int, rows: RowReader, plan: Plan) -> Rendered | None:
    """``item-N``: exists while its own row (without a parent) and its order's row exist."""
    item = rows.get("sales_order_item", item_id)
    # A child is part of its parent's line.
    if item is None or item.get("parent_item_id") is not None:
        return None
    held = rows.get("sales_order", item.get("order_id"))
    # A line without its order has no deal to belong to.
    if held is None or not order_in_scope(held, rows, plan):
        return None
    children = children_of(item, rows)
    product = product_of(item, children)
    deal = ObjectRef(Kind.ORDER, held["entity_id"])  # type: ignore[arg-type]  # an integer key
    properties = {
        **PLAIN.of(item, in_base=plan.in_base),
        "discount_amount": _discount(item, children, plan.paid("discount_amount")),
        **OF_ORDER.of(held, in_base=plan.in_base),
    }
    own, warnings = plan.custom[OWN].of(item, rows)
    return Rendered(properties | own, (deal, product) if product is not None else (deal,), warnings)


def children_of(item: Row, rows: RowReader) -> Sequence[Row]:
    """The children that the line needs: those of a configurable and of a dynamic bundle. For other lines none are
    looked up.
    """
    # Most lines are simple products, and need no look-up.
    if item.get("product_type") != CONFIGURABLE and item.get("price_mode") != PRICED_BY_CHILDREN:
        return ()
    order_id = item.get("order_id")  # a line and its children are one order's, whatever damaged rows may say
    found = rows.find("sales_order_item", "parent_item_id", item["item_id"])
    return [row for row in found if row["order_id"] == order_id]


def product_of(item: Row, children: Sequence[Row]) -> ObjectRef | None:
    """The product that a line refers to: a configurable's variant, else the row's own; None if the row
    names no product.
    """
    product = item.get("product_id")
    # The parent of a configurable names the configurable, the child the variant that was bought.
    if item.get("product_type") == CONFIGURABLE:
        product = next((child["product_id"] for child in children if child.get("product_id")), product)
    return ObjectRef(Kind.PRODUCT, product) if isinstance(product, int) and product else None


def _discount(item: Row, children: Sequence[Row], column: str) -> str:
    # A dynamic bundle carries no discount of its own.
    if children and item.get("price_mode") == PRICED_BY_CHILDREN:
        return money.total(child.get(column) for child in children)
    return money.money(item.get(column))


# ------------------------------------------------------------------------------------------- affected objects


def order_bears_on_lines(change: RowChange, plan: Plan) -> bool:
    """Whether a changed ``sales_order`` row may change its lines, or whether they are in scope."""
    return change.concerns("guest_id", ORDER_COLUMNS, plan.filter_columns, plan.base_columns)


def items_of_order(change: RowChange, rows: RowReader, plan: Plan) -> Sequence[Row]:
    """The ``sales_order_item`` rows of a changed order."""
    return [item for key in change.values("entity_id") for item in rows.find("sales_order_item", "order_id", key)]


def family_of(change: RowChange, rows: RowReader, plan: Plan) -> Sequence[Row]:
    """The ``sales_order_item`` rows of the line to which a changed row belongs; none if the change does not show in the
    line.
    """
    # Shipped quantities change often, and show in the deal only.
    if not change.concerns("price_mode", COLUMNS, plan.custom[OWN].columns, plan.base_columns):
        return ()
    family = list(change.rows())
    for row in tuple(family):
        parent = row.get("parent_item_id")
        if parent:  # the child decides which product its parent's line refers to
            held = rows.get("sales_order_item", parent)
            family += (held,) if held is not None else ()
            if held is not None and held.get("product_type") == CONFIGURABLE:  # or which product it no longer refers to
                family += rows.find("sales_order_item", "parent_item_id", parent)
        elif row.get("product_type") == CONFIGURABLE:  # its child's product may stand on this row
            family += rows.find("sales_order_item", "parent_item_id", row.get("item_id"))
    return family


def _line_of(row: Row) -> Value:
    return row.get("parent_item_id") or row.get("item_id")


def _affected_by_item(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    return refs(Kind.ITEM, dict.fromkeys(map(_line_of, change.once(family_of, rows, plan))))


def _affected_by_order(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    if not order_bears_on_lines(change, plan):
        return ()
    return refs(Kind.ITEM, map(_line_of, change.once(items_of_order, rows, plan)))


# -------------------------------------------------------------------------------------------------- descriptor


def _tables(settings: MappingSettings) -> tuple[TableSpec, ...]:
    return (in_chosen_currency(_ITEMS, settings),)


def _derive(row: Row, plan: Plan) -> Mapping[str, Value]:
    # The image does not hold the options, so what was derived stays.
    if "product_options" not in row:
        return {}
    price, ship = modes(row["product_options"])
    return {"price_mode": price, "ship_mode": ship}


def _fetches(item_id: int, rows: RowReader, plan: Plan) -> tuple[FetchByKey, ...]:
    """Its own row, which then names the order."""
    item = rows.get("sales_order_item", item_id)
    known = order.rows_of(item.get("order_id")) if item is not None else ()
    return (FetchByKey("sales_order_item", "item_id", item_id), *known)


def _everything(plan: Plan) -> tuple[BulkInvalidation, ...]:
    return (BulkInvalidation(Kind.ITEM, "sales_order_item", "item_id"),)


def _rows_used(plan: Plan) -> tuple[RowsUsed, ...]:
    return (
        RowsUsed("sales_order_item", "item_id"),
        RowsUsed("sales_order_item", "parent_item_id"),
        RowsUsed("sales_order", "entity_id", named_in=("sales_order_item", "order_id")),
    )


DESCRIPTOR: Final = ObjectDescriptor(
    kind=Kind.ITEM,
    references=(Kind.ORDER, Kind.PRODUCT),
    properties=_PROPERTIES,
    tables=_tables,
    render=render,
    affected_by=(("sales_order", _affected_by_order), ("sales_order_item", _affected_by_item)),
    fetches=_fetches,
    everything=_everything,
    column_groups=(OWN,),
    derive={"sales_order_item": _derive},
    rows_used=_rows_used,
    name=Name("sales_order_item", "sku", "item_id"),
)
