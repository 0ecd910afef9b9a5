"""Which objects a changed row bears on: one function per table, each given the row before and after.

Pure. A superset is allowed, a miss is not: what is not named here is not rendered again. Hot tables are kept narrow
(a shipped quantity does not render the line, an email change does not render a customer's hundred deals); changes of
reference rows are sweeps. ``rows`` shows the state after the change.

A before-image straight from the log lacks derived columns and may be as new as the row held (a replay): then nothing
can be told from comparing the two, and all that the row bears on is named.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Final

from cdc.model import BulkInvalidation, Kind, ObjectRef, Row, Value
from cdc.protocols import RowReader
from mappers.attributes import ADMIN
from mappers.guests import guest_id, possible_guest
from mappers.objects import line_item, order
from mappers.plan import Plan
from mappers.scope import customer_is_in, product_is_in, product_row
from mappers.shop import shop
from mappers.tables import ADDRESS_VALUES, ALL_PRODUCT_VALUES, CUSTOMER_VALUES
from mappers.versions import version_in

AffectedBy = Iterator[ObjectRef | BulkInvalidation]
Touch = Callable[[Row | None, Row | None, RowReader, Plan], AffectedBy]


def affected(
    table: str, before: Row | None, after: Row | None, rows: RowReader, plan: Plan
) -> Iterator[ObjectRef | BulkInvalidation]:
    """See ``cdc.protocols.Mapper.touched``."""
    function = _TABLES.get(table)
    return function(before, after, rows, plan) if function else iter(())


def _either(column: str, before: Row | None, after: Row | None) -> list[Value]:
    """The column's values before and after: each once, without NULL and 0 (no key of Magento's is 0 but for stores)."""
    found: list[Value] = []
    for row in (before, after):
        value = row.get(column) if row is not None else None
        if value and value not in found:
            found.append(value)
    return found


def _refs(kind: Kind, ids: Collection[Value]) -> Iterator[ObjectRef]:
    return (ObjectRef(kind, value) for value in ids if isinstance(value, int | str))


def _changed(
    before: Row | None, after: Row | None, columns: frozenset[str], derived: str, own: frozenset[str] = frozenset()
) -> bool:
    """Whether one of these columns changed, or may have: the row came, went, or its before-image is no replica row.

    ``own``: the shop's own columns that the settings add.
    """
    if before is None or after is None or derived not in before or before == after:
        return True
    if any(before.get(column) != after.get(column) for column in columns):
        return True
    return any(before.get(column) != after.get(column) for column in own)


# ------------------------------------------------------------------------------------------------- orders


def _sales_order(before: Row | None, after: Row | None, rows: RowReader, plan: Plan) -> AffectedBy:
    ids = _either("entity_id", before, after)
    if _changed(before, after, order.COLUMNS, "guest_id", plan.deal.columns | plan.filter_columns | plan.base_columns):
        yield from _refs(Kind.ORDER, ids)
    if _changed(before, after, line_item.ORDER_COLUMNS, "guest_id", plan.filter_columns | plan.base_columns):
        for order_id in ids:
            for item in rows.find("sales_order_item", "order_id", order_id):
                yield from _item(item, rows, plan)
    if _changed(before, after, order.CONTACT_COLUMNS, "guest_id", plan.filter_columns):
        yield from _customers_without_row(_either("customer_id", before, after), rows, plan)
        guests = {_guest_of(row) for row in (before, after) if row is not None}
        yield from _refs(Kind.GUEST, guests)


def _guest_of(row: Row) -> Value:
    return row["guest_id"] if "guest_id" in row else possible_guest(row)


def _customers_without_row(ids: Collection[Value], rows: RowReader, plan: Plan) -> AffectedBy:
    """An order bears on its customer only where the customer's row is not there, or does not count."""
    held = [(value, rows.get("customer_entity", value)) for value in ids]
    return _refs(Kind.CUSTOMER, [value for value, row in held if row is None or not customer_is_in(row, rows, plan)])


def _item(item: Row, rows: RowReader, plan: Plan) -> AffectedBy:
    """The line item that a row belongs to, and the products it may stand in for."""
    yield from _refs(Kind.ITEM, [item.get("parent_item_id") or item.get("item_id")])
    yield from _products_without_row([item.get("product_id")], rows, plan)


def _products_without_row(ids: Collection[Value], rows: RowReader, plan: Plan) -> AffectedBy:
    held = [(value, product_row(value, rows, plan)) for value in ids if isinstance(value, int) and value]
    return _refs(Kind.PRODUCT, [value for value, row in held if row is None or not product_is_in(row, rows, plan)])


def _sales_order_item(before: Row | None, after: Row | None, rows: RowReader, plan: Plan) -> AffectedBy:
    if _changed(before, after, order.ITEM_COLUMNS, "ship_mode"):
        yield from _refs(Kind.ORDER, _either("order_id", before, after))
    if not _changed(before, after, line_item.COLUMNS, "price_mode", plan.line_item.columns | plan.base_columns):
        return
    seen: set[ObjectRef | BulkInvalidation] = set()
    for row in (before, after):
        if row is None:
            continue
        family = [row]
        parent = row.get("parent_item_id")
        if parent:  # the child decides which product its parent's line refers to
            held = rows.get("sales_order_item", parent)
            family += [held] if held else []
        elif row.get("product_type") == line_item.CONFIGURABLE:  # its child's product may stand on this row
            family += rows.find("sales_order_item", "parent_item_id", row.get("item_id"))
        for member in family:
            for item in _item(member, rows, plan):
                if item not in seen:
                    seen.add(item)
                    yield item


def _sales_order_address(before: Row | None, after: Row | None, rows: RowReader, plan: Plan) -> AffectedBy:
    kinds = _either("address_type", before, after)
    if ("billing" in kinds and plan.billing.names) or ("shipping" in kinds and plan.shipping.names):
        yield from _refs(Kind.ORDER, _either("parent_id", before, after))
    if "billing" not in kinds:
        return
    for order_id in _either("parent_id", before, after):
        held = rows.get("sales_order", order_id)
        if held is not None:
            yield from _customers_without_row(_either("customer_id", None, held), rows, plan)
            yield from _refs(Kind.GUEST, [_guest_of(held)])


def _by(kind: Kind, column: str) -> Touch:
    """Rows that bear on just the object they name."""

    def touch(before: Row | None, after: Row | None, rows: RowReader, plan: Plan) -> AffectedBy:
        return _refs(kind, _either(column, before, after))

    return touch


# ------------------------------------------------------------------------------- customers and subscribers


def _customer_address(before: Row | None, after: Row | None, rows: RowReader, plan: Plan) -> AffectedBy:
    addresses = _either("entity_id", before, after)
    for customer_id in _either("parent_id", before, after):
        held = rows.get("customer_entity", customer_id)
        if held is not None and held.get("default_billing") in addresses:
            yield from _refs(Kind.CUSTOMER, [customer_id])


def _address_value(before: Row | None, after: Row | None, rows: RowReader, plan: Plan) -> AffectedBy:
    """Without its address a value bears on nothing: one that goes with its address is told by the address's row."""
    for address_id in _either("entity_id", before, after):
        address = rows.get("customer_address_entity", address_id)
        if address is not None:
            yield from _customer_address(None, address, rows, plan)


def _subscriber(before: Row | None, after: Row | None, rows: RowReader, plan: Plan) -> AffectedBy:
    yield from _refs(Kind.CUSTOMER, _either("customer_id", before, after))
    guests = {
        row["guest_id"] if "guest_id" in row else guest_id(row.get("subscriber_email"))
        for row in (before, after)
        if row is not None
    }
    yield from _refs(Kind.GUEST, guests)


# ------------------------------------------------------------------------------------------------ products


def _product_value(before: Row | None, after: Row | None, rows: RowReader, plan: Plan) -> AffectedBy:
    views = (ADMIN, shop(rows, plan).view)
    if any(row is not None and row.get("store_id") in views for row in (before, after)):
        yield from _refs(Kind.PRODUCT, _products_of_values(before, after, rows, plan))


def _products_of_values(before: Row | None, after: Row | None, rows: RowReader, plan: Plan) -> list[Value]:
    if not plan.row_ids:
        return _either("entity_id", before, after)
    versions = (rows.get("catalog_product_entity", row_id) for row_id in _either("row_id", before, after))
    return [version["entity_id"] for version in versions if version is not None]


def _flag(before: Row | None, after: Row | None, rows: RowReader, plan: Plan) -> AffectedBy:
    """Another version of the catalogue is live: any product may have another row now."""
    if before is None or after is None or version_in(before) != version_in(after):
        yield _ALL_PRODUCTS


# -------------------------------------------------------------------------------------------- reference rows

_ALL_PRODUCTS: Final = BulkInvalidation(Kind.PRODUCT, "catalog_product_entity", "entity_id")
_ALL_CUSTOMERS: Final = BulkInvalidation(Kind.CUSTOMER, "customer_entity", "entity_id")
_OF_ADDRESSES: Final = frozenset(ADDRESS_VALUES.values())


def _attribute(before: Row | None, after: Row | None, rows: RowReader, plan: Plan) -> AffectedBy:
    codes = _either("attribute_code", before, after)
    if any(code in plan.product_codes for code in codes):
        yield _ALL_PRODUCTS
    if any(code in plan.customer_codes or code in plan.address_codes for code in codes):
        yield _ALL_CUSTOMERS


def _entity_type(before: Row | None, after: Row | None, rows: RowReader, plan: Plan) -> AffectedBy:
    codes = _either("entity_type_code", before, after)
    if "catalog_product" in codes:
        yield _ALL_PRODUCTS
    if ("customer" in codes and plan.customer_codes) or ("customer_address" in codes and plan.address_codes):
        yield _ALL_CUSTOMERS


def _option(before: Row | None, after: Row | None, rows: RowReader, plan: Plan) -> AffectedBy:
    """An option that came, went or moved: with the first and the last one, ids become labels and labels ids."""
    for attribute_id in _either("attribute_id", before, after):
        for kind, table in _value_tables(attribute_id, rows, plan):
            yield _users(kind, table, "attribute_id", attribute_id, plan)


def _label(before: Row | None, after: Row | None, rows: RowReader, plan: Plan) -> AffectedBy:
    """A label bears on the objects that use its option, though no row of theirs changes."""
    views = (ADMIN, shop(rows, plan).view)
    if not any(row is not None and row.get("store_id") in views for row in (before, after)):
        return
    for option_id in _either("option_id", before, after):
        option = rows.get("eav_attribute_option", option_id)
        if option is None:
            continue
        attribute_id = option.get("attribute_id")
        for kind, table in _value_tables(attribute_id, rows, plan):
            if table.endswith("_int"):  # one option is one number; a multiselect's text holds several
                yield _users(kind, table, "value", option_id, plan)
            else:
                yield _users(kind, table, "attribute_id", attribute_id, plan)


def _users(kind: Kind, table: str, column: str, value: Value, plan: Plan) -> BulkInvalidation:
    """The objects with such a value; all where values hang on rows or addresses, which tell no object's id."""
    if kind is Kind.PRODUCT and plan.row_ids:
        return _ALL_PRODUCTS
    if table in _OF_ADDRESSES:
        return _ALL_CUSTOMERS
    return BulkInvalidation(kind, table, "entity_id", column, value)


def _value_tables(attribute_id: Value, rows: RowReader, plan: Plan) -> Iterator[tuple[Kind, str]]:
    """Where the attribute's values lie, if it is mapped."""
    known = shop(rows, plan)
    mapped = ((Kind.PRODUCT, known.products), (Kind.CUSTOMER, known.customers), (Kind.CUSTOMER, known.addresses))
    for kind, attributes in mapped:
        yield from ((kind, table) for table, codes in attributes.by_table.items() if attribute_id in codes)


def _contacts_of_store(store_id: Value, plan: Plan) -> AffectedBy:
    yield from _contacts_of_orders("store_id", store_id)
    if plan.settings.subscribers:
        yield BulkInvalidation(Kind.GUEST, "newsletter_subscriber", "guest_id", "store_id", store_id)


def _contacts_of_orders(column: str, value: Value) -> AffectedBy:
    yield BulkInvalidation(Kind.GUEST, "sales_order", "guest_id", column, value)
    yield BulkInvalidation(Kind.CUSTOMER, "sales_order", "customer_id", column, value)


def _group(before: Row | None, after: Row | None, rows: RowReader, plan: Plan) -> AffectedBy:
    row = after or before or {}
    group = row.get("customer_group_id")  # 0 is the group of those not logged in
    yield BulkInvalidation(Kind.CUSTOMER, "customer_entity", "entity_id", "group_id", group)
    yield from _contacts_of_orders("customer_group_id", group)


def _store(before: Row | None, after: Row | None, rows: RowReader, plan: Plan) -> AffectedBy:
    row = after or before or {}
    yield BulkInvalidation(Kind.ORDER, "sales_order", "entity_id", "store_id", row.get("store_id"))
    yield from _contacts_of_store(row.get("store_id"), plan)
    if plan.settings.store_view in _either("code", before, after):
        yield _ALL_PRODUCTS
        if plan.customer_codes or plan.address_codes:
            yield _ALL_CUSTOMERS


def _website(before: Row | None, after: Row | None, rows: RowReader, plan: Plan) -> AffectedBy:
    row = after or before or {}
    website = row.get("website_id")
    yield BulkInvalidation(Kind.CUSTOMER, "customer_entity", "entity_id", "website_id", website)
    for store in rows.find("store", "website_id", website):
        yield from _contacts_of_store(store["store_id"], plan)


_TABLES: Final[dict[str, Touch]] = {
    "sales_order": _sales_order,
    "sales_order_item": _sales_order_item,
    "sales_order_address": _sales_order_address,
    "sales_order_payment": _by(Kind.ORDER, "parent_id"),
    "sales_invoice": _by(Kind.ORDER, "order_id"),
    "sales_shipment_track": _by(Kind.ORDER, "order_id"),
    "customer_entity": _by(Kind.CUSTOMER, "entity_id"),
    "customer_address_entity": _customer_address,
    "newsletter_subscriber": _subscriber,
    "catalog_product_entity": _by(Kind.PRODUCT, "entity_id"),
    "catalog_product_website": _by(Kind.PRODUCT, "product_id"),
    **dict.fromkeys(ALL_PRODUCT_VALUES.values(), _product_value),
    **dict.fromkeys(CUSTOMER_VALUES.values(), _by(Kind.CUSTOMER, "entity_id")),
    **dict.fromkeys(ADDRESS_VALUES.values(), _address_value),
    "customer_group": _group,
    "store": _store,
    "store_website": _website,
    "eav_attribute": _attribute,
    "eav_attribute_option": _option,
    "eav_attribute_option_value": _label,
    "eav_entity_type": _entity_type,
    "flag": _flag,
}
