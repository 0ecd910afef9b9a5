"""Amounts of orders and lines in the website's base currency (``mapping.currency = "base"``). Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cdc.model import TableSpec
from cdc.settings.mapping import MappingSettings

BASE: Final = {
    "order_currency_code": "base_currency_code",
    "quote_currency_code": "base_currency_code",
    **{
        column: f"base_{column}"
        for column in ("grand_total", "total_refunded", "tax_amount", "discount_amount", "shipping_amount", "price",
                       "row_total")
    },
}  # fmt: skip
"""Columns of orders, carts and their lines → the column with the amount in the website's base currency."""


def in_chosen_currency(spec: TableSpec, settings: MappingSettings) -> TableSpec:
    """The table of an order or of its lines, with the amounts in the currency of the settings."""
    if settings.currency != "base":
        return spec
    return replace(spec, columns=tuple(BASE.get(column, column) for column in spec.columns))
