"""What a customer is worth (``mapping.customer_value``): numbers and sums of a contact's orders, as its properties.

Pure. The state keeps running totals of orders by groups (``TableSpec.totals``), so a contact with ten thousand orders
is rendered from a few rows. A group's orders agree in all that decides whose they are and whether a filter leaves them
out. Both are decided for the groups when the contact is rendered, by the present rows, as for single orders.

The same totals tell whether a contact ever paid an order (``mapping.contact.lifecycle_stage``).

An order counts unless it is canceled or a test order. Its amount is what was not refunded and not canceled, in the base
currency of its website, as amounts in the orders' own currencies cannot be added up.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, NamedTuple

from cdc.model import Kind, ObjectRef, Row, RunningTotals, TableSpec, Value
from cdc.protocols import RowReader
from cdc.settings import customer_value as names
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_switches import LIFECYCLE_STAGE
from mappers import categories, money, times
from mappers.attributes import JOINT
from mappers.objects import address_contacts
from mappers.objects.descriptor import Property
from mappers.plan import Plan
from mappers.scope import ORDER_AGE, is_test_order, order_place_in_scope
from mappers.text import clean

ORDERS: Final = "sales_order"
GROUP: Final = "totals_group"
AMOUNT: Final = "totals_amount"
CANCELED: Final = "canceled"  # sales_order.state, in Magento's spelling
SCALE: Final = 4
"""Decimals of the amounts that are added up: those of Magento's own columns. More of them are rounded."""
MOST: Final = 10**15
"""A greater amount (in units of the last decimal) is damaged: thousands of them together fit into SQLite's integers."""

IS_PAID: Final = "is_paid"
CUSTOMER: Final = "customer"
"""HubSpot's lifecycle stage of somebody who bought."""

_SHARED: Final = (
    "customer_id", "guest_id", "customer_is_guest", "store_id", "customer_group_id", "base_currency_code",
)  # fmt: skip
_AMOUNTS: Final = ("base_currency_code", "base_grand_total", "base_total_refunded", "base_total_canceled")
_PAID: Final = "base_total_paid"

_SOURCES: Final[Mapping[str, str]] = {
    names.ORDERS_COUNT: "sales_order.state",
    names.REVENUE: "sales_order.base_grand_total, base_total_refunded, base_total_canceled",
    names.REVENUE_CURRENCY: "sales_order.base_currency_code",
    names.AVERAGE: "sales_order.base_grand_total, base_total_refunded, base_total_canceled",
    names.FIRST_ORDER_AT: "sales_order.created_at",
    names.LAST_ORDER_AT: "sales_order.created_at",
    names.LAST_ORDER_NUMBER: "sales_order.increment_id",
    names.LAST_ORDER_PRODUCTS: "sales_order_item.name",
    names.LAST_ORDER_CATEGORIES: "catalog_category_entity_varchar: name",
    names.FREQUENCY_SCORE: "sales_order.state",
    names.MONETARY_SCORE: "sales_order.base_grand_total, base_total_refunded, base_total_canceled",
    LIFECYCLE_STAGE: "sales_order.base_total_paid",
}


def properties(settings: MappingSettings) -> dict[str, Property]:
    """The properties that the settings ask for, with their sources."""
    return {name: Property(kind, _SOURCES[name]) for name, (_, kind) in settings.contact_switches().items()}


def are_orders_counted(settings: MappingSettings) -> bool:
    """Whether a property of contacts is made from all of their orders."""
    return bool(settings.contact_switches())


def shared(settings: MappingSettings) -> tuple[str, ...]:
    """The columns that the orders of a group agree in. Whether they are paid only if that is asked for: else paying an
    order would be a change that shows nowhere.
    """
    return (*_SHARED, IS_PAID) if settings.contact.lifecycle_stage else _SHARED


def with_totals(orders: TableSpec, settings: MappingSettings) -> TableSpec:
    """The table of orders with the columns, the index and the totals that are needed; unchanged if nothing is asked."""
    if not are_orders_counted(settings):
        return orders
    by = shared(settings)
    paid = (_PAID,) if IS_PAID in by else ()
    rules = [rule.model_dump(mode="json") for rule in settings.filter.test_orders]
    return replace(
        orders,
        columns=(*orders.columns, *(column for column in (*_AMOUNTS, *paid) if column not in orders.columns)),
        derived=(*orders.derived, GROUP, AMOUNT, *((IS_PAID,) if paid else ())),
        indexes=(*orders.indexes, (GROUP, *ORDER_AGE)),
        selection=f"totals by {', '.join(by)} without {json.dumps(rules, sort_keys=True)}",
        totals=RunningTotals(GROUP, by, ("customer_id", "guest_id"), AMOUNT, ORDER_AGE),
    )


def derive(order: Row, plan: Plan, guest: Value) -> Mapping[str, Value]:
    """The derived columns of an order: its group (NULL: it does not count), and its amount. ``guest``: its guest_id."""
    if not are_orders_counted(plan.settings):
        return {}
    by = shared(plan.settings)
    paid = {IS_PAID: int(_is_paid(order))} if IS_PAID in by else {}
    if order.get("state") == CANCELED or is_test_order(order, plan):
        return {GROUP: None, AMOUNT: None, **paid}
    values = {**order, **paid, "guest_id": guest}
    return {GROUP: "|".join(clean(values.get(column)) for column in by), AMOUNT: _amount(order), **paid}


def _is_paid(order: Row) -> bool:
    """Whether any money was paid; an order that is free was never paid."""
    try:
        return money.number(order.get(_PAID)) > 0
    except money.NotANumberError:
        return False


def _amount(order: Row) -> int | None:
    """The amount in units of the last decimal; None if it is not readable."""
    total = order.get("base_grand_total")
    if total is None or total == "":
        return None
    try:
        less = (money.number(order.get(column)) for column in ("base_total_refunded", "base_total_canceled"))
        units = (money.number(total) - sum(less, money.ZERO)).scaleb(SCALE)
    except money.NotANumberError:
        return None
    return int(units.to_integral_value()) if abs(units) < MOST else None


# --------------------------------------------------------------------------------------------------- rendering


def of_contact(ref: ObjectRef, rows: RowReader, plan: Plan) -> tuple[dict[str, str], tuple[str, ...]]:
    """The contact's properties, and warnings. None of them while the replica may lack orders: HubSpot's values stay."""
    if not are_orders_counted(plan.settings):
        return {}, ()
    totals = _totals(ref, rows, plan)
    if totals is None:
        return {}, ()
    found, warnings = _worth(totals, rows, plan) if plan.settings.customer_value.enabled else ({}, ())
    # Left out for all others, so that HubSpot's value stays: the stage must never be moved back or cleared.
    if any(total.get(IS_PAID) for total in totals):
        found[LIFECYCLE_STAGE] = CUSTOMER
    return found, warnings


def _worth(totals: Sequence[Row], rows: RowReader, plan: Plan) -> tuple[dict[str, str], tuple[str, ...]]:
    asked = plan.settings.customer_value
    count = sum(_integer(total["row_count"]) for total in totals)
    earned, warnings = _revenue(totals, plan)
    first, last = _ends(totals, rows)
    found = {
        names.ORDERS_COUNT: str(count),
        names.REVENUE: earned.text,
        names.REVENUE_CURRENCY: earned.currency,
        names.AVERAGE: earned.average,
        names.FIRST_ORDER_AT: times.epoch_ms(first.get("created_at")),
        names.LAST_ORDER_AT: times.epoch_ms(last.get("created_at")),
        names.LAST_ORDER_NUMBER: clean(last.get("increment_id")),
        **_last_order(last, rows, plan),
    }
    if asked.frequency:
        found[names.FREQUENCY_SCORE] = str(1 + bisect_right(asked.frequency, count)) if count else ""
    if asked.monetary:
        known = earned.units is not None and count
        score = bisect_right(asked.monetary, Decimal(earned.units or 0).scaleb(-SCALE))
        found[names.MONETARY_SCORE] = str(1 + score) if known else ""
    return found, warnings


def _totals(ref: ObjectRef, rows: RowReader, plan: Plan) -> list[Row] | None:
    """The totals of the orders that refer to this contact and are in scope; None while orders may be missing."""
    found: list[Row] = []
    for column, value in _places(ref, rows, plan):
        totals = rows.totals(ORDERS, column, value)
        if totals is None:
            return None
        found += (total for total in totals if column == "customer_id" or address_contacts.is_guests(total, rows, plan))
    return [total for total in found if order_place_in_scope(total, rows, plan)]


def _places(ref: ObjectRef, rows: RowReader, plan: Plan) -> Sequence[tuple[str, Value]]:
    """The columns and values that find the contact's orders: each order by one of them."""
    if ref.kind is Kind.GUEST:
        return (("guest_id", ref.id),)
    row = rows.get("customer_entity", ref.id) if plan.contacts_by_email else None
    address = row.get("email_hash") if row is not None else None
    if address is None:
        return (("customer_id", ref.id),)
    # The contact stands for all accounts of its address, and for the guest.
    accounts = [account["entity_id"] for account in rows.find("customer_entity", "email_hash", address)]
    return (*(("customer_id", account) for account in accounts), ("guest_id", address))


class _Revenue(NamedTuple):
    """``units``: None if the amounts cannot be added up; then the texts are empty."""

    units: int | None = None
    text: str = ""
    currency: str = ""
    average: str = ""


def _revenue(totals: Sequence[Row], plan: Plan) -> tuple[_Revenue, tuple[str, ...]]:
    wanted = plan.settings.customer_value.currency
    currencies = sorted({clean(total["base_currency_code"]) for total in totals})
    # A sum of two currencies would be a number without a meaning.
    if not wanted and len(currencies) > 1:
        said = ", ".join(currencies)
        return _Revenue(), (
            f"property {names.REVENUE} is left empty: orders have several base currencies ({said}); choose one with"
            " mapping.customer_value.currency",
        )
    counted = [total for total in totals if not wanted or clean(total["base_currency_code"]) == wanted]
    # A sum that overflowed is no integer any more.
    if any(total["unreadable"] or not isinstance(total["amount"], int) for total in counted):
        return _Revenue(), (f"property {names.REVENUE} is left empty: the amount of an order is no number",)
    units = sum(_integer(total["amount"]) for total in counted)
    count = sum(_integer(total["row_count"]) for total in counted)
    amount = Decimal(units).scaleb(-SCALE)
    average = (amount / count).quantize(Decimal("0.01"), ROUND_HALF_UP) if count else None
    return _Revenue(
        units,
        money.money(f"{amount:f}"),
        wanted or next(iter(currencies), ""),
        "" if average is None else f"{average:f}",
    ), ()


def _ends(totals: Iterable[Row], rows: RowReader) -> tuple[Row, Row]:
    """The first and the last order of these groups; empty rows without orders."""
    held = [(rows.get(ORDERS, total["first_key"]), rows.get(ORDERS, total["last_key"])) for total in totals]
    firsts = [first for first, _ in held if first is not None]
    lasts = [last for _, last in held if last is not None]
    return min(firsts, key=_age, default={}), max(lasts, key=_age, default={})


def _age(order: Row) -> tuple[str, int]:
    return str(order.get("created_at") or ""), _integer(order.get("entity_id"))


def _last_order(order: Row, rows: RowReader, plan: Plan) -> dict[str, str]:
    """The names of the order's products, as they were bought, and the paths of their present categories."""
    found = rows.find("sales_order_item", "order_id", order.get("entity_id"))
    lines = [line for line in found if line.get("parent_item_id") is None]
    most = plan.settings.customer_value.last_order_names
    made = {names.LAST_ORDER_PRODUCTS: _joined((clean(line.get("name")) for line in lines), most)}
    if plan.settings.product.categories:
        products = dict.fromkeys(line.get("product_id") for line in lines)
        paths = (
            categories.STEP.join(path)
            for product in products
            if isinstance(product, int)
            for path in categories.paths_of(product, rows, plan)
        )
        made[names.LAST_ORDER_CATEGORIES] = _joined(paths, most)
    return made


def _joined(texts: Iterable[str], most: int) -> str:
    return clean(JOINT.join([*dict.fromkeys(text for text in texts if text)][:most]))


def _integer(value: Value) -> int:
    return value if isinstance(value, int) else 0
