"""DEAL of a cart that was left: a ``quote`` with its lines, while it is open and was abandoned (``open_carts.py``).

Its stage is "abandoned" while nothing of it changes, and "pending" from the shopper's next change on. When an order
comes, the cart is no object any more, and its deal becomes the order's deal (``Rendered.journey``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

import orjson

from cdc.model import BulkInvalidation, FetchByKey, Kind, ObjectRef, Rendered, Row, TableSpec, Value
from cdc.protocols import CartContent, RowReader
from cdc.settings.carts import MASKED_ID
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_columns import PropertyType
from cdc.settings.mapping_switches import CARTS
from mappers import money, stages, times
from mappers.currency import in_chosen_currency
from mappers.guests import address_of, guest_id
from mappers.objects import address_contacts, cart_changes, cart_images, open_carts, product
from mappers.objects.descriptor import ObjectDescriptor, Property
from mappers.plan import Plan
from mappers.shop import shop
from mappers.text import clean

LINE_COLUMNS: Final = ("product_type", "row_total", "discount_amount")
"""The columns of ``quote_item`` that only HubSpot's carts need, for their line items."""

_QUOTES: Final = TableSpec(
    "quote",
    ("entity_id",),
    ("entity_id", "store_id", "is_active", "customer_id", "customer_email", "customer_firstname", "customer_lastname",
     "customer_group_id", "quote_currency_code", "grand_total", "coupon_code", "created_at", "updated_at"),
    indexes=(("customer_id",), ("guest_id",), ("store_id",)),
    derived=("guest_id",),
    kept_by=frozenset({"is_active"}),
)  # fmt: skip
_ITEMS: Final = TableSpec(
    "quote_item",
    ("item_id",),
    ("item_id", "quote_id", "parent_item_id", "product_id", "sku", "name", "qty", "price"),
    indexes=(("quote_id",), ("product_id",)),
)
_ADDRESSES: Final = TableSpec(
    "quote_address",
    ("address_id",),
    ("address_id", "quote_id", "address_type", "email", "firstname", "lastname", "company", "street", "city", "region",
     "postcode", "country_id", "telephone"),
    indexes=(("quote_id",), ("guest_id",)),
    derived=("guest_id",),
)  # fmt: skip
_MASKS: Final = TableSpec(
    "quote_id_mask", ("entity_id", "quote_id"), ("entity_id", "quote_id", "masked_id"), indexes=(("quote_id",),)
)
_NEGOTIABLE: Final = TableSpec(
    "negotiable_quote",
    ("quote_id",),
    ("quote_id", "is_regular_quote"),
    optional=frozenset({"is_regular_quote"}),
    required=False,  # only Adobe Commerce B2B has it
)

_TEXT, _TIME = PropertyType.TEXT, PropertyType.DATETIME
_PROPERTIES: Final = {
    "name": Property(_TEXT, "quote.entity_id"),
    "amount": Property(PropertyType.MONEY, "quote.{grand_total}"),
    "currency": Property(_TEXT, "quote.{quote_currency_code}"),
    "stage": Property(_TEXT, "quote: abandoned, or pending after a later change"),
    "created_at": Property(_TIME, "quote.created_at"),
    "coupon_code": Property(_TEXT, "quote.coupon_code"),
    "store": Property(_TEXT, "store.code"),
}
_SOURCES: Final = {
    "cart_items": "quote_item.qty, name, {price}",
    "cart_item_images": "catalog_product_entity_*: image",
    "cart_item_count": "quote_item.qty",
    "cart_url": "restore_url of the settings, with the id of the cart",
    "cart_changed_at": "quote, quote_item: the last change of what is sent",
}


def render(quote_id: int, rows: RowReader, plan: Plan) -> Rendered | None:
    """``cart-N``: exists while the cart is open, from the time on when it was first abandoned."""
    # Without the setting the tables are not read.
    if not plan.settings.carts.as_deals:
        return None
    quote, clock = rows.get("quote", quote_id), open_carts.clock_of(quote_id, rows)
    # The cheap look first: nearly all carts of a shop were never abandoned with an address.
    if quote is None or clock is None or not open_carts.is_open(quote, rows, plan):
        return None
    stage = stages.ABANDONED if clock.get("abandoned_ms") else stages.PENDING
    owner = open_carts.contact_of(quote, open_carts.email_of(quote, rows), rows, plan)
    properties = {**shared_properties(quote, clock, rows, plan), "stage": stage}
    return Rendered(properties, (owner,) if owner else (), journey=ObjectRef(Kind.CART, quote_id))


def shared_properties(quote: Row, clock: Row, rows: RowReader, plan: Plan) -> dict[str, str]:
    """The properties that an open cart has as a deal and as HubSpot's cart."""
    quote_id: int = quote["entity_id"]  # type: ignore[assignment]  # an integer key
    lines = open_carts.lines_of(quote_id, rows)
    return {
        "name": f"Cart {quote_id}",
        "amount": money.money(quote.get(plan.paid("grand_total"))),
        "currency": clean(quote.get(plan.paid("quote_currency_code"))),
        "created_at": times.epoch_ms(quote.get("created_at")),
        "coupon_code": clean(quote.get("coupon_code")),
        "store": shop(rows, plan).store_code(quote.get("store_id")),
        "cart_items": clean("; ".join(_line(row, plan) for row in lines)),
        "cart_item_images": clean(", ".join(filter(None, (cart_images.url_of(row, rows, plan) for row in lines)))),
        "cart_item_count": money.quantity(f"{sum((money.number(row.get('qty')) for row in lines), Decimal(0)):f}"),
        "cart_url": open_carts.url_of(quote_id, rows, plan),
        "cart_changed_at": str(clock["changed_ms"]),
    }


def _line(row: Row, plan: Plan) -> str:
    """``2 x Mug (11.90)``; the price is of one piece."""
    price = money.money(row.get(plan.paid("price")))
    return f"{money.quantity(row.get('qty'))} x {clean(row.get('name'))}" + (f" ({price})" if price else "")


class CartRules:
    """Implements ``cdc.protocols.CartRules``."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.abandoned_after_ms: Final = plan.settings.carts.abandoned_after_min * 60_000

    def stays(self, quote_id: int, rows: RowReader) -> bool:
        """See ``cdc.protocols.CartRules``: as HubSpot's cart, while an order in scope is there."""
        return self._plan.settings.carts.as_objects and open_carts.order_of(quote_id, rows, self._plan) is not None

    def content(self, quote_id: int, rows: RowReader) -> CartContent | None:
        """See ``cdc.protocols.CartRules``: the buyer, the lines with quantities and prices, total, currency, coupon,
        and store.
        """
        quote, plan = rows.get("quote", quote_id), self._plan
        if quote is None or not open_carts.is_open(quote, rows, plan):
            return None
        lines = [
            [clean(row.get("sku")), clean(row.get("name")), clean(row.get("qty")), clean(row.get(plan.paid("price")))]
            for row in open_carts.lines_of(quote_id, rows)
        ]
        columns = ("customer_id", plan.paid("grand_total"), plan.paid("quote_currency_code"), "coupon_code", "store_id")
        said = [open_carts.email_of(quote, rows), *(clean(quote.get(column)) for column in columns), lines]
        digest = hashlib.blake2b(orjson.dumps(said), digest_size=16).digest()
        return CartContent(digest, int(times.epoch_ms(quote.get("updated_at")) or 0))


# -------------------------------------------------------------------------------------------------- descriptor


def _switched_on(settings: MappingSettings) -> Mapping[str, Property]:
    return shown_properties() if settings.carts.as_deals else {}


def shown_properties() -> dict[str, Property]:
    """The properties that only carts have, with their sources."""
    return {name: Property(of, _SOURCES[name]) for name, of in CARTS.items()}


def _tables(settings: MappingSettings) -> tuple[TableSpec, ...]:
    if not settings.carts.enabled:
        return ()
    masks = (_MASKS,) if MASKED_ID in settings.carts.restore_url else ()
    return (
        in_chosen_currency(_QUOTES, settings),
        in_chosen_currency(_with(_ITEMS, *(LINE_COLUMNS if settings.carts.as_objects else ())), settings),
        _ADDRESSES,
        *masks,
        _NEGOTIABLE,
    )


def _with(spec: TableSpec, *columns: str) -> TableSpec:
    return replace(spec, columns=(*spec.columns, *columns))


def _derive_quote(row: Row, plan: Plan) -> Mapping[str, Value]:
    return {"guest_id": guest_id(address_of(row.get("customer_email")))}


def _derive_address(row: Row, plan: Plan) -> Mapping[str, Value]:
    return {"guest_id": guest_id(address_of(row.get("email")))}


def _keep_quote(row: Row, rows: RowReader, plan: Plan) -> bool:
    # Ordered and merged carts stay in the shop for weeks, and never become objects.
    return row.get("is_active") == 1


def fetches(quote_id: int, rows: RowReader, plan: Plan) -> tuple[FetchByKey, ...]:
    """The rows of an open cart on the server, and those of its order."""
    if not plan.settings.carts.enabled:
        return ()
    tables = ["quote_item", "quote_address", "negotiable_quote", "sales_order"]
    if MASKED_ID in plan.settings.carts.restore_url:
        tables.append("quote_id_mask")
    quote = rows.get("quote", quote_id)
    of_buyer = address_contacts.fetches_by_email(quote.get("customer_email"), rows, plan) if quote is not None else ()
    shown = [row["product_id"] for row in open_carts.lines_of(quote_id, rows)]
    images = [fetch for one in dict.fromkeys(shown) if one for fetch in product.DESCRIPTOR.fetches(one, rows, plan)]
    return (
        FetchByKey("quote", "entity_id", quote_id),
        *(FetchByKey(table, "quote_id", quote_id) for table in tables),
        *of_buyer,
        *images,
    )


def _everything(plan: Plan) -> tuple[BulkInvalidation, ...]:
    return (BulkInvalidation(Kind.CART, "quote", "entity_id"),) if plan.settings.carts.as_deals else ()


DESCRIPTOR: Final = ObjectDescriptor(
    kind=Kind.CART,
    references=(Kind.CUSTOMER, Kind.GUEST),
    properties=_PROPERTIES,
    tables=_tables,
    render=render,
    affected_by=cart_changes.affected_by(Kind.CART, lambda carts: carts.as_deals),
    fetches=fetches,
    everything=_everything,
    switched_on=_switched_on,
    derive={"quote": _derive_quote, "quote_address": _derive_address},
    keep={"quote": _keep_quote},
)
