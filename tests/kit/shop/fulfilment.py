"""Money and goods: invoices, shipments, cancellations and credit memos."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tests.kit.shop.lines import WITHOUT_SHIPPING
from tests.kit.shop.orders import Orders
from tests.kit.shop.parts import (
    SIDES,
    Part,
    Row,
    Wanted,
    document_sum,
    left_to_invoice,
    left_to_refund,
    left_to_ship,
    portions,
    settled,
    shipping_rows,
)

PAID = REFUNDED = 2
Track = tuple[str, str, str]
"""Carrier code, title, number."""


class Fulfilment(Orders):
    """What follows an order. Each method is one transaction, with rows in Magento's order."""

    def invoice(self, order: int, items: Wanted = None, *, transaction: str | None = None) -> int:
        """Bill and take the money of ``items`` (by top item id); the first invoice takes the shipping. Its id."""
        row, rows = self.order(order), self.items(order)
        parts = portions(rows, items, "invoiced")
        with self.db.transaction():
            self.db.rows(f"SELECT entity_id FROM {self.db.table('sales_order')} WHERE entity_id = %s FOR UPDATE", order)
            document = self._bill(row, parts)
            invoice = self._insert_document("invoice", row, parts, document, state=PAID, transaction_id=transaction)
            changed = self._after_invoice(row, document)
            self._save_order(row, rows, parts, changed, in_process=True)
            payment = self.db.get("sales_order_payment", parent_id=order)
            paid = {f"{side}amount_paid": changed[f"{side}total_paid"] for side in SIDES}
            self.db.update("sales_order_payment", {"entity_id": payment["entity_id"]}, **paid)
            if transaction:
                self.db.insert(
                    "sales_payment_transaction", order_id=order, payment_id=payment["entity_id"], txn_id=transaction,
                    txn_type="capture", is_closed=0,
                )  # fmt: skip
            self._history(order, self.order(order)["status"], "Captured.", "invoice")
            self._grid(order)
        return invoice

    def ship(self, order: int, items: Wanted = None, *, tracks: Sequence[Track] = ()) -> int:
        """Send ``items`` (by id of the row that holds the shipped quantity) with ``tracks``; the shipment's id."""
        row, rows = self.order(order), self.items(order)
        sent = [
            (item, qty)
            for item in shipping_rows(rows)
            if (qty := left_to_ship(item) if items is None else Decimal(items.get(item["item_id"], 0))) > 0
        ]
        with self.db.transaction():
            shipment = self._insert_shipment(row, rows, sent)
            for track in tracks:
                self._insert_track(order, shipment, track)
            self._document_grid("shipment", row, shipment)
            for item, qty in sent:
                item["qty_shipped"] += qty
                self.db.update("sales_order_item", {"item_id": item["item_id"]}, qty_shipped=item["qty_shipped"])
            self._save_order(row, rows, [], {}, in_process=True)
        return shipment

    def add_track(self, order: int, shipment: int, track: Track) -> int:
        """A tracking number that comes later."""
        with self.db.transaction():
            return self._insert_track(order, shipment, track)

    def remove_track(self, track: int) -> None:
        with self.db.transaction():
            self.db.delete("sales_shipment_track", entity_id=track)

    def cancel(self, order: int) -> None:
        """Cancel what is not invoiced. An order with nothing invoiced ends ``canceled``, any other where it stands."""
        row, rows = self.order(order), self.items(order)
        with self.db.transaction():
            for item in rows:
                rest = left_to_invoice(item)
                if rest > 0:
                    item["qty_canceled"] += rest
                    lost = (item["tax_amount"] or 0) - (item["tax_invoiced"] or 0)
                    self.db.update(
                        "sales_order_item", {"item_id": item["item_id"]},
                        qty_canceled=item["qty_canceled"], tax_canceled=lost,
                    )  # fmt: skip
            changed: dict[str, Any] = {}
            for side in SIDES:
                for name in ("subtotal", "tax", "shipping", "discount"):
                    total = row[f"{side}{name}_amount" if name != "subtotal" else f"{side}subtotal"] or 0
                    changed[f"{side}{name}_canceled"] = total - (row[f"{side}{name}_invoiced"] or 0)
                changed[f"{side}total_canceled"] = row[f"{side}grand_total"] - (row[f"{side}total_invoiced"] or 0)
            if not any(item["qty_invoiced"] for item in rows):
                row["state"] = "canceled"
                changed |= {"state": "canceled"}
            self._save_order(row, rows, [], changed, in_process=False)
            self._return_to_stock(rows, row["increment_id"], "order_canceled")
            self._grid(order)

    def refund(
        self, order: int, items: Wanted = None, *, shipping: bool | None = None, adjustment: Decimal | str = "0"
    ) -> int:
        """A credit memo over invoiced ``items``; ``shipping`` is paid back too, by default with a full refund.

        ``adjustment`` is paid back on top (negative: kept back). Its id. As in Magento, no more is paid back than was
        paid: what an earlier adjustment gave on top is kept back.
        """
        row, rows = self.order(order), self.items(order)
        parts = portions(rows, items, "refunded")
        back = shipping if shipping is not None else items is None
        extra = Decimal(adjustment)
        with self.db.transaction():
            document = self._pay_back(row, parts, back, extra)
            excess = (row["total_refunded"] or 0) + document[""]["grand_total"] - (row["total_paid"] or 0)
            if excess > 0:
                extra -= excess
                document = self._pay_back(row, parts, back, extra)
            fees = {"adjustment": extra, "adjustment_positive": max(extra, Decimal(0)),
                    "adjustment_negative": max(-extra, Decimal(0))}  # fmt: skip
            memo = self._insert_document("creditmemo", row, parts, document, state=REFUNDED, **fees)
            changed: dict[str, Any] = {}
            for side in SIDES:
                sums = document[side]
                for name in ("subtotal", "tax", "shipping"):
                    changed[f"{side}{name}_refunded"] = (row[f"{side}{name}_refunded"] or 0) + sums[name]
                changed[f"{side}discount_refunded"] = (row[f"{side}discount_refunded"] or 0) - sums["discount"]
                for name in ("total_refunded", "total_offline_refunded"):
                    changed[f"{side}{name}"] = (row[f"{side}{name}"] or 0) + sums["grand_total"]
            self._save_items(parts)
            given = {f"{side}amount_refunded": changed[f"{side}total_refunded"] for side in SIDES}
            self.db.update("sales_order_payment", {"parent_id": order}, **given)
            self._save_order(row, rows, [], changed, in_process=False)
            self._history(order, self.order(order)["status"], "Refunded.", "creditmemo")
            self._grid(order)
        return memo

    def can_invoice(self, order: int) -> bool:
        return any(left_to_invoice(item) > 0 for item in self.items(order) if item["parent_item_id"] is None)

    def can_refund(self, order: int) -> bool:
        return any(left_to_refund(item) > 0 for item in self.items(order) if item["parent_item_id"] is None)

    def can_ship(self, order: int) -> bool:
        return bool(self.shippable(order))

    def shippable(self, order: int) -> list[int]:
        """The item ids that ``ship`` takes, of which something is left to send."""
        return [item["item_id"] for item in shipping_rows(self.items(order)) if left_to_ship(item) > 0]

    def _insert_capture(self, order: int) -> None:
        """The invoice and the gateway's transaction of an order that is paid as it is placed; inside its Tx."""
        row, rows = self.order(order), self.items(order)
        columns = [f"{side}{name}" for side in SIDES for name in ("row_total", "tax_amount", "discount_amount")]
        parts = [Part(item, item["qty_ordered"], {name: item[name] for name in columns}, {}) for item in rows]
        row |= {f"{side}shipping_invoiced": None for side in SIDES}  # this invoice is the one that takes it
        number = f"captured-{order}"
        self._insert_document("invoice", row, parts, self._bill(row, parts), state=PAID, transaction_id=number)
        payment = self.db.get("sales_order_payment", parent_id=order)["entity_id"]
        self.db.insert(
            "sales_payment_transaction", order_id=order, payment_id=payment, txn_id=number, txn_type="capture",
            is_closed=0,
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------ amounts

    def _bill(self, row: Row, parts: Sequence[Part]) -> dict[str, dict[str, Decimal]]:
        """Per side: the invoice's sums, shipping and its tax included when no invoice has them yet."""
        sums = {side: document_sum(parts, side) for side in SIDES}
        for side, amounts in sums.items():
            first = row[f"{side}shipping_invoiced"] is None
            fee, fee_tax = (row[f"{side}shipping_amount"], row[f"{side}shipping_tax_amount"]) if first else (0, 0)
            amounts["shipping"] = Decimal(fee or 0)
            amounts["tax"] += Decimal(fee_tax or 0)
            amounts["grand_total"] = amounts["subtotal"] + amounts["tax"] + amounts["shipping"] - amounts["discount"]
        return sums

    def _pay_back(
        self, row: Row, parts: Sequence[Part], shipping: bool, extra: Decimal
    ) -> dict[str, dict[str, Decimal]]:
        """Per side: the credit memo's sums."""
        sums = {side: document_sum(parts, side) for side in SIDES}
        for side, amounts in sums.items():
            open_fee = (row[f"{side}shipping_invoiced"] or 0) - (row[f"{side}shipping_refunded"] or 0)
            back = shipping and open_fee > 0
            amounts["shipping"] = Decimal(open_fee if back else 0)
            amounts["tax"] += Decimal(row[f"{side}shipping_tax_amount"] or 0) if back else Decimal(0)
            total = amounts["subtotal"] + amounts["tax"] + amounts["shipping"] - amounts["discount"]
            amounts["grand_total"] = total + (extra if side == "" else extra / row["base_to_order_rate"])
        return sums

    def _after_invoice(self, row: Row, document: dict[str, dict[str, Decimal]]) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        for side in SIDES:
            sums = document[side]
            for name in ("subtotal", "tax", "shipping"):
                changed[f"{side}{name}_invoiced"] = (row[f"{side}{name}_invoiced"] or 0) + sums[name]
            changed[f"{side}discount_invoiced"] = (row[f"{side}discount_invoiced"] or 0) - sums["discount"]
            for name in ("total_invoiced", "total_paid"):
                changed[f"{side}{name}"] = (row[f"{side}{name}"] or 0) + sums["grand_total"]
            changed[f"{side}total_due"] = row[f"{side}grand_total"] - changed[f"{side}total_paid"]
        return changed

    # ------------------------------------------------------------------------------------------ rows

    def _number(self, kind: str, row: Row) -> str:
        store = row["store_id"] or 0
        return f"{store}{self.db.insert(f'sequence_{kind}_{store}', sequence_value=None):08d}"

    def _insert_document(
        self, kind: str, row: Row, parts: Sequence[Part], sums: dict[str, dict[str, Decimal]], **columns: Any
    ) -> int:
        """An invoice or a credit memo with its items and its grid row."""
        values: dict[str, Any] = {}
        for side in SIDES:
            amounts = sums[side]
            values |= {
                f"{side}subtotal": amounts["subtotal"], f"{side}tax_amount": amounts["tax"],
                f"{side}discount_amount": -amounts["discount"], f"{side}shipping_amount": amounts["shipping"],
                f"{side}grand_total": amounts["grand_total"],
            }  # fmt: skip
        if kind == "invoice":
            tops = [part for part in parts if part.item["parent_item_id"] is None]
            values["total_qty"] = sum((part.qty for part in tops), Decimal(0))
        shared = {name: row[name] for name in _SHARED}
        document = self.db.insert(
            f"sales_{kind}", order_id=row["entity_id"], increment_id=self._number(kind, row),
            **shared, **values, **columns,
        )  # fmt: skip
        for part in parts:
            facts = {name: part.item[name] for name in ("product_id", "sku", "name", "price", "base_price")}
            self.db.insert(
                f"sales_{kind}_item", parent_id=document, order_item_id=part.item["item_id"], qty=part.qty, **facts,
                **part.amounts,
            )  # fmt: skip
        self._document_grid(kind, row, document)
        return document

    def _insert_shipment(self, row: Row, rows: Sequence[Row], sent: Sequence[tuple[Row, Decimal]]) -> int:
        """The shipment, then the stock it takes, then its items."""
        total = sum((qty for _, qty in sent), Decimal(0))
        shipment = self.db.insert(
            "sales_shipment", order_id=row["entity_id"], increment_id=self._number("shipment", row),
            store_id=row["store_id"], customer_id=row["customer_id"], total_qty=total,
            shipping_address_id=row["shipping_address_id"], billing_address_id=row["billing_address_id"],
        )  # fmt: skip
        for item, qty in sent:
            for sku, pieces in _on_the_shelf(item, rows, qty / item["qty_ordered"]):
                self.db.execute(
                    f"UPDATE {self.db.table('inventory_source_item')} SET quantity = quantity - %s WHERE sku = %s",
                    pieces, sku,
                )  # fmt: skip
                self._compensate(sku, pieces, row["increment_id"], "shipment_created")
        for item, qty in sent:
            facts = {name: item[name] for name in ("product_id", "sku", "name", "price")}
            self.db.insert("sales_shipment_item", parent_id=shipment, order_item_id=item["item_id"], qty=qty, **facts)
        return shipment

    def _insert_track(self, order: int, shipment: int, track: Track) -> int:
        carrier, title, number = track
        return self.db.insert(
            "sales_shipment_track", parent_id=shipment, order_id=order, carrier_code=carrier, title=title,
            track_number=number,
        )  # fmt: skip

    def _return_to_stock(self, rows: Sequence[Row], number: str, event: str) -> None:
        parents = {item["parent_item_id"] for item in rows}
        for item in rows:
            on_shelf = item["item_id"] not in parents and item["product_type"] not in WITHOUT_SHIPPING
            if on_shelf and item["qty_canceled"] > 0:
                self._compensate(item["sku"], item["qty_canceled"], number, event)

    def _compensate(self, sku: str, qty: Decimal, number: str, event: str) -> None:
        metadata = f'{{"event_type":"{event}","object_type":"order","object_increment_id":"{number}"}}'
        self.db.insert("inventory_reservation", stock_id=1, sku=sku, quantity=qty, metadata=metadata)

    def _save_items(self, parts: Sequence[Part]) -> None:
        for part in parts:
            part.item.update(part.after)
            self.db.update("sales_order_item", {"item_id": part.item["item_id"]}, **part.after)

    def _save_order(
        self, row: Row, rows: Sequence[Row], parts: Sequence[Part], changed: dict[str, Any], *, in_process: bool
    ) -> None:
        """Save the order, then the rows of ``parts``: with the state that follows, or not at all if nothing changed."""
        for part in parts:
            part.item.update(part.after)
        state = settled(row | changed, rows, in_process=in_process)
        if state != row["state"] or "state" in changed:
            changed = changed | {"state": state, "status": state}
        if changed:
            self.db.update("sales_order", {"entity_id": row["entity_id"]}, **changed)
        if "status" in changed and changed["status"] != row["status"]:
            self._note_status(row["entity_id"], changed["status"])
        self._save_items(parts)

    def _document_grid(self, kind: str, row: Row, document: int) -> None:
        saved = self.db.get(f"sales_{kind}", entity_id=document)
        values = {"entity_id": document, "order_increment_id": row["increment_id"],
                  **{name: saved[name] for name in ("increment_id", "store_id", "order_id", "created_at")}}  # fmt: skip
        if kind != "invoice":
            values["customer_name"] = f"{row['customer_firstname']} {row['customer_lastname']}"
        self.db.upsert(f"sales_{kind}_grid", [values], ("entity_id",))


_SHARED = ("store_id", "billing_address_id", "shipping_address_id", "order_currency_code", "base_currency_code",
           "store_currency_code", "global_currency_code", "base_to_order_rate", "base_to_global_rate")  # fmt: skip


def _on_the_shelf(item: Row, rows: Sequence[Row], share: Decimal) -> list[tuple[str, Decimal]]:
    """The simple products (and how many) that leave the shelf with a share of one shipped row."""
    children = [row for row in rows if row["parent_item_id"] == item["item_id"]]
    return [(row["sku"], row["qty_ordered"] * share) for row in children or [item]]
