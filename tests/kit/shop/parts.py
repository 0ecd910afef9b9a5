"""Which part of an order an invoice, a shipment or a credit memo covers, and the state an order is in after it. Pure.

Rows are ``sales_order`` and ``sales_order_item`` rows as dicts. Quantities are counted in top rows (those without a
parent); their children follow in proportion.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.kit.shop.totals import cents

Row = dict[str, Any]
Wanted = Mapping[int, Decimal | int] | None
"""Quantities by item id; None: all that is left."""

SIDES = ("", "base_")
_DONE = {
    "invoiced": {"row_total": "row_invoiced", "tax_amount": "tax_invoiced", "discount_amount": "discount_invoiced"},
    "refunded": {"row_total": "amount_refunded", "tax_amount": "tax_refunded", "discount_amount": "discount_refunded"},
}


@dataclass
class Part:
    """Some of one item row: how many, what they cost by column, and the row's columns after it."""

    item: Row
    qty: Decimal
    amounts: dict[str, Decimal]
    after: dict[str, Decimal]


def left_to_invoice(item: Row) -> Decimal:
    return Decimal(item["qty_ordered"] - item["qty_invoiced"] - item["qty_canceled"])


def left_to_refund(item: Row) -> Decimal:
    return Decimal(item["qty_invoiced"] - item["qty_refunded"])


def left_to_ship(item: Row) -> Decimal:
    return Decimal(item["qty_ordered"] - max(item["qty_shipped"], item["qty_refunded"]) - item["qty_canceled"])


def portions(items: Sequence[Row], wanted: Wanted, done: str) -> list[Part]:
    """The parts of the rows that a document covers; ``done`` is ``invoiced`` or ``refunded``.

    The last part of a row takes what rounding left over, so that all documents together cover the row exactly.
    """
    left = left_to_invoice if done == "invoiced" else left_to_refund
    found: list[Part] = []
    for top in (item for item in items if item["parent_item_id"] is None):
        qty = left(top) if wanted is None else min(Decimal(wanted.get(top["item_id"], 0)), left(top))
        if qty <= 0:
            continue
        share = qty / top["qty_ordered"]
        finished = top[f"qty_{done}"] + qty == top["qty_ordered"]
        family = [top, *(item for item in items if item["parent_item_id"] == top["item_id"])]
        found += (_portion(item, share, finished, done) for item in family)
    return found


def _portion(item: Row, share: Decimal, finished: bool, done: str) -> Part:
    qty = item["qty_ordered"] * share
    amounts: dict[str, Decimal] = {}
    after = {f"qty_{done}": item[f"qty_{done}"] + qty}
    for side in SIDES:
        for column, counter in _DONE[done].items():
            total, before = item[side + column] or Decimal(0), item[side + counter] or Decimal(0)
            amount = total - before if finished else cents(total * share)
            amounts[side + column] = amount
            after[side + counter] = before + amount
    return Part(item, qty, amounts, after)


def document_sum(parts: Iterable[Part], side: str) -> dict[str, Decimal]:
    """Subtotal, tax and discount (positive) of a document's rows, without shipping."""
    parts = list(parts)
    tops = [part for part in parts if part.item["parent_item_id"] is None]
    return {
        "subtotal": sum((part.amounts[f"{side}row_total"] for part in tops), Decimal(0)),
        "tax": sum((part.amounts[f"{side}tax_amount"] for part in tops), Decimal(0)),
        "discount": sum((part.amounts[f"{side}discount_amount"] for part in parts), Decimal(0)),
    }


def shipping_rows(items: Sequence[Row]) -> list[Row]:
    """The rows that hold the shipped quantity: tops, but the children of a bundle that ships separately."""
    found: list[Row] = []
    for top in (item for item in items if item["parent_item_id"] is None):
        children = [item for item in items if item["parent_item_id"] == top["item_id"]]
        apart = top["product_type"] == "bundle" and json.loads(top["product_options"]).get("shipment_type") == 1
        found += children if apart else [top]
    return [row for row in found if not row["is_virtual"]]


def settled(order: Row, items: Sequence[Row], *, in_process: bool) -> str:
    """The state after a save; ``in_process``: money or goods moved in it. Magento's own rule, applied at every save."""
    state = str(order["state"])
    if state in ("canceled", "closed", "holded", "pending_payment", "payment_review"):
        return state
    if state == "new" and in_process:
        state = "processing"
    tops = [item for item in items if item["parent_item_id"] is None]
    if state == "new" or any(left_to_invoice(item) > 0 for item in tops):
        return state
    shippable = any(left_to_ship(item) > 0 for item in shipping_rows(items))
    refundable = (order["total_paid"] or 0) - (order["total_refunded"] or 0) > Decimal("0.0001")
    if not refundable and not shippable and order["grand_total"] > 0:
        return "closed"
    return "complete" if state == "processing" and not shippable else state
