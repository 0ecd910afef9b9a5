"""The sums of an order, as Magento makes them: rows first, then the order from its rows. Pure.

Prices are without tax; discount comes off before tax; an order's discount is negative. Each side, the order's currency
and the base currency, is computed by itself from its own unit price, so each balances to the cent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")
ZERO = Decimal("0.0000")


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


@dataclass(frozen=True)
class Sum:
    """What one row costs, in one currency."""

    price: Decimal = ZERO
    row_total: Decimal = ZERO
    discount: Decimal = ZERO
    tax: Decimal = ZERO

    def columns(self, prefix: str = "") -> dict[str, Decimal]:
        """In ``sales_order_item``'s names; ``prefix`` is ``base_`` or nothing."""
        unit_tax = cents(self.tax / (self.row_total / self.price)) if self.price and self.row_total else ZERO
        return {
            f"{prefix}price": self.price,
            f"{prefix}original_price": self.price,
            f"{prefix}row_total": self.row_total,
            f"{prefix}tax_amount": self.tax,
            f"{prefix}discount_amount": self.discount,
            f"{prefix}price_incl_tax": self.price + unit_tax,
            f"{prefix}row_total_incl_tax": self.row_total + self.tax,
        }


def line(price: Decimal, qty: Decimal, tax_percent: Decimal, discount_percent: Decimal) -> Sum:
    """One row's amounts. ``qty`` may have a fraction."""
    row_total = cents(price * qty)
    discount = cents(row_total * discount_percent / 100)
    return Sum(price, row_total, discount, cents((row_total - discount) * tax_percent / 100))


def together(parts: Iterable[Sum], qty: Decimal) -> Sum:
    """A dynamic bundle's parent: its children's totals and tax, but not their discount, which stays with them."""
    parts = list(parts)
    row_total = sum((part.row_total for part in parts), ZERO)
    return Sum(cents(row_total / qty), row_total, ZERO, sum((part.tax for part in parts), ZERO))


@dataclass(frozen=True)
class OrderSum:
    """What an order costs, in one currency. ``discount`` is positive here and negative in the row."""

    subtotal: Decimal
    discount: Decimal
    tax: Decimal
    shipping: Decimal
    shipping_tax: Decimal

    @property
    def grand_total(self) -> Decimal:
        return self.subtotal + self.shipping + self.tax - self.discount

    def columns(self, prefix: str = "") -> dict[str, Decimal]:
        """In ``sales_order``'s names; ``tax_amount`` includes the shipping's tax."""
        return {
            f"{prefix}subtotal": self.subtotal,
            f"{prefix}subtotal_incl_tax": self.subtotal + self.tax - self.shipping_tax,
            f"{prefix}discount_amount": -self.discount,
            f"{prefix}tax_amount": self.tax,
            f"{prefix}shipping_amount": self.shipping,
            f"{prefix}shipping_tax_amount": self.shipping_tax,
            f"{prefix}shipping_incl_tax": self.shipping + self.shipping_tax,
            f"{prefix}grand_total": self.grand_total,
            f"{prefix}total_due": self.grand_total,
        }


def order_sum(top: Iterable[Sum], discounts: Iterable[Sum], shipping: Decimal, tax_percent: Decimal) -> OrderSum:
    """``top``: the rows without a parent, which carry subtotal and tax; ``discounts``: all rows that carry one."""
    top = list(top)
    shipping_tax = cents(shipping * tax_percent / 100)
    return OrderSum(
        subtotal=sum((row.row_total for row in top), ZERO),
        discount=sum((row.discount for row in discounts), ZERO),
        tax=sum((row.tax for row in top), ZERO) + shipping_tax,
        shipping=shipping,
        shipping_tax=shipping_tax,
    )
