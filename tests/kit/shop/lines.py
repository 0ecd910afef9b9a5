"""A cart's lines become ``sales_order_item`` rows: one for a simple product, a parent with children for the others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.kit.shop.catalog import Catalog, Product
from tests.kit.shop.totals import Sum, cents, line, together

WITHOUT_SHIPPING = ("virtual", "downloadable")


@dataclass(frozen=True)
class Line:
    """What the shopper put in the cart: a product and how many; a variant's id if it is configurable.

    A bundle is taken with its default selections. A grouped product becomes one row per member, ``qty`` of each.
    """

    product: int
    qty: Decimal | int | str = 1
    variant: int | None = None


@dataclass
class ItemRow:
    """One row to insert, with its amounts in the order's currency and in the base currency, and its children."""

    values: dict[str, Any]
    sums: Sum = field(default_factory=Sum)
    base_sums: Sum = field(default_factory=Sum)
    children: list[ItemRow] = field(default_factory=list)
    carries_discount: bool = True

    def columns(self) -> dict[str, Any]:
        return self.values | self.sums.columns() | self.base_sums.columns("base_")

    def everyone(self) -> list[ItemRow]:
        return [self, *(row for child in self.children for row in child.everyone())]


@dataclass(frozen=True)
class Terms:
    """What all lines of one order share: rate from base currency, tax and discount in per cent."""

    rate: Decimal
    tax_percent: Decimal
    discount_percent: Decimal

    def price(self, base_price: Decimal) -> Decimal:
        return cents(base_price * self.rate)


def item_rows(catalog: Catalog, wanted: Line, terms: Terms) -> list[ItemRow]:
    """The top rows (with their children) that one cart line becomes."""
    product, qty = catalog.product(wanted.product), Decimal(wanted.qty)
    if product.type == "configurable":
        variant = catalog.product(wanted.variant if wanted.variant is not None else catalog.variants(product.id)[0])
        return [_configurable(product, variant, qty, terms)]
    if product.type == "bundle":
        selections = [(catalog.product(chosen.product), chosen.qty) for chosen in catalog.selections(product.id)]
        return [_bundle(product, selections, qty, terms)]
    if product.type == "grouped":
        members = catalog.db.find("catalog_product_link", order="link_id", product_id=product.id, link_type_id=3)
        rows = [_paid(catalog.product(row["linked_product_id"]), qty, terms) for row in members]
        for row in rows:
            row.values["product_type"] = "grouped"
        return rows
    return [_paid(product, qty, terms)]


def _paid(product: Product, qty: Decimal, terms: Terms, price: Decimal | None = None) -> ItemRow:
    """A row that carries its own money."""
    base_price = cents(product.price if price is None else price)
    percents = (terms.tax_percent, terms.discount_percent)
    values = _values(product, qty) | {"tax_percent": terms.tax_percent, "discount_percent": terms.discount_percent}
    return ItemRow(values, line(terms.price(base_price), qty, *percents), line(base_price, qty, *percents))


def _configurable(product: Product, variant: Product, qty: Decimal, terms: Terms) -> ItemRow:
    """The parent carries the money and the variant's sku; the child carries the variant's id."""
    parent = _paid(product, qty, terms, price=variant.price)
    child = ItemRow(_values(variant, qty))
    parent.values |= {
        "sku": variant.sku,
        "weight": variant.weight,
        "product_options": _options(
            product, qty, product_calculations=1, shipment_type=0, simple_sku=variant.sku, simple_name=variant.name
        ),
    }
    parent.children = [child]
    return parent


def _bundle(product: Product, selections: list[tuple[Product, int]], qty: Decimal, terms: Terms) -> ItemRow:
    """Fixed price: the parent carries the money. Dynamic: the children do, and the parent repeats their sum."""
    if product.fixed_price:
        parent = _paid(product, qty, terms)
        parent.children = [ItemRow(_values(chosen, qty * each)) for chosen, each in selections]
    else:
        children = [_paid(chosen, qty * each, terms) for chosen, each in selections]
        sums = together((child.sums for child in children), qty)
        base_sums = together((child.base_sums for child in children), qty)
        parent = ItemRow(_values(product, qty), sums, base_sums, children, carries_discount=False)
    if not product.fixed_sku:
        parent.values["sku"] = "-".join([product.sku, *(chosen.sku for chosen, _ in selections)])
    options = {"product_calculations": int(product.fixed_price), "shipment_type": int(product.ships_separately)}
    for row in parent.everyone():
        row.values["product_options"] = _options(product, qty, **options)
    return parent


def _values(product: Product, qty: Decimal) -> dict[str, Any]:
    return {
        "product_id": product.id, "product_type": product.type, "sku": product.sku, "name": product.name,
        "qty_ordered": qty, "weight": product.weight, "row_weight": product.weight * qty,
        "is_virtual": int(product.type in WITHOUT_SHIPPING), "is_qty_decimal": int(qty != int(qty)),
        "product_options": _options(product, qty),
    }  # fmt: skip


def _options(product: Product, qty: Decimal, **more: Any) -> str:
    request: Mapping[str, Any] = {"product": str(product.id), "qty": float(qty)}
    return json.dumps({"info_buyRequest": request} | more, separators=(",", ":"))
