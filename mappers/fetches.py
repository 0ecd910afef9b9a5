"""Which rows of the server an object is made of, as far as the rows held now can name them.

Pure. Used while the replica is not known to be complete. Asked again after each round of reads, until it names nothing
new: an item names its order, a customer whose row is gone names the newest order. Only columns that the server has an
index on are asked for.
"""

from __future__ import annotations

from cdc.model import FetchByKey, Kind, ObjectRef, Row, Value
from cdc.protocols import RowReader
from mappers.objects import guest
from mappers.plan import Plan
from mappers.scope import customer_is_in, newest_orders


def fetches(ref: ObjectRef, rows: RowReader, plan: Plan) -> tuple[FetchByKey, ...]:
    """See ``cdc.protocols.Mapper.pulls``."""
    match ref.kind:
        case Kind.ORDER:
            return _order(ref.id)
        case Kind.ITEM:
            item = rows.get("sales_order_item", ref.id)
            known = _order(item.get("order_id")) if item is not None else ()
            return (FetchByKey("sales_order_item", "item_id", ref.id), *known)
        case Kind.PRODUCT:
            websites = (
                (FetchByKey("catalog_product_website", "product_id", ref.id),) if plan.settings.filter.websites else ()
            )
            values = _values(ref.id, rows, plan)
            return (FetchByKey("catalog_product_entity", "entity_id", ref.id), *values, *websites)
        case Kind.CUSTOMER:
            return _customer(ref.id, rows, plan)
        case Kind.GUEST:
            # a subscriber's email has no index before 2.4.x: his row comes with the first load
            return _address_of(guest.newest(str(ref.id), rows, plan))


def _values(product_id: int | str, rows: RowReader, plan: Plan) -> tuple[FetchByKey, ...]:
    """The product's values; in Adobe Commerce those of all its rows that are held."""
    keys = [product_id]
    if plan.row_ids:
        keys = [row["row_id"] for row in rows.find("catalog_product_entity", "entity_id", product_id)]  # type: ignore[misc]
    return tuple(FetchByKey(table, plan.product_key, key) for key in keys for table in plan.product_values.values())


def _order(order_id: Value) -> tuple[FetchByKey, ...]:
    return (
        FetchByKey("sales_order", "entity_id", order_id),
        FetchByKey("sales_order_item", "order_id", order_id),
        FetchByKey("sales_order_address", "parent_id", order_id),
        FetchByKey("sales_order_payment", "parent_id", order_id),
        FetchByKey("sales_invoice", "order_id", order_id),
        FetchByKey("sales_shipment_track", "order_id", order_id),
    )


def _customer(customer_id: int | str, rows: RowReader, plan: Plan) -> tuple[FetchByKey, ...]:
    own = (
        FetchByKey("customer_entity", "entity_id", customer_id),
        FetchByKey("customer_address_entity", "parent_id", customer_id),
        FetchByKey("newsletter_subscriber", "customer_id", customer_id),
        *(FetchByKey(table, "entity_id", customer_id) for table in plan.customer_values.values()),
    )
    row = rows.get("customer_entity", customer_id)
    if row is not None and (billing := row.get("default_billing")):
        own = (*own, *(FetchByKey(table, "entity_id", billing) for table in plan.address_values.values()))
    if row is not None and customer_is_in(row, rows, plan):
        return own
    newest = next(newest_orders("customer_id", customer_id, rows, plan), None)
    return (*own, FetchByKey("sales_order", "customer_id", customer_id), *_address_of(newest))


def _address_of(order: Row | None) -> tuple[FetchByKey, ...]:
    return (FetchByKey("sales_order_address", "parent_id", order["entity_id"]),) if order is not None else ()
