"""Placing an order, and what happens to an order besides money and parcels."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tests.kit.shop import seeds
from tests.kit.shop.catalog import Catalog
from tests.kit.shop.customers import Customers
from tests.kit.shop.db import Db
from tests.kit.shop.lines import WITHOUT_SHIPPING, ItemRow, Line, Terms, item_rows
from tests.kit.shop.people import Person
from tests.kit.shop.totals import order_sum

TAX_PERCENT = Decimal(20)
FLAT_RATE = Decimal("5.00")
REDIRECTED = "example_gateway_redirect"
"""A payment method that sends the shopper elsewhere: the order waits in ``pending_payment``."""
CAPTURED = "example_gateway"
"""A payment method that takes the money while the order is placed: the invoice is part of its transaction."""


class Orders(Catalog, Customers):
    """The orders' part of the shop. Orders are known by ``entity_id``."""

    db: Db
    rng: random.Random

    def place_order(
        self,
        buyer: int | Person,
        lines: Sequence[Line],
        *,
        store: int = 1,
        payment: str = "checkmo",
        coupon: str | None = None,
        discount_percent: Decimal | int = 0,
        shipping: Decimal | None = FLAT_RATE,
        comment: str | None = None,
        original: Mapping[str, Any] | None = None,
        cart: int | None = None,
    ) -> int:
        """Check out: the number, the reservation, the order itself, the cart's end, the mail flags; its order id.

        ``buyer`` is a customer's id, or a Person for a guest. ``shipping`` is the price of sending it, in base
        currency; an order of nothing but virtual things ships nothing. ``original`` is the row of the order that this
        one replaces. ``cart`` is the quote that is ordered; None: a new one.
        """
        account = None if isinstance(buyer, Person) else self.db.get("customer_entity", entity_id=buyer)
        person = buyer if isinstance(buyer, Person) else self._buyer(buyer)
        currency, rate = seeds.STORE_CURRENCY[store]
        terms = Terms(Decimal(rate), TAX_PERCENT, Decimal(discount_percent))
        tops = [row for wanted in lines for row in item_rows(self, wanted, terms)]
        quote = cart if cart is not None else self._cart_of(account, person, store, tops)
        number = self._order_number(store, original)
        self._reserve(tops, number, -1)
        values = self._order_values(tops, account, person, terms, shipping)
        values |= _state_values(payment, values, tops) | {
            "increment_id": number, "store_id": store, "quote_id": quote, "order_currency_code": currency,
            "coupon_code": coupon, "discount_description": coupon, "customer_note": comment,
            "store_name": "\n".join((seeds.WEBSITE_OF[seeds.STORE_WEBSITE[store]], *_group_and_view(store))),
        }  # fmt: skip
        values |= _edited_from(original)
        order = self._insert_order(values, tops, person, payment, comment)
        self._grid(order)  # once more after the commit; the values are the same, so the log shows nothing
        with self.db.transaction():
            self.db.update("quote", {"entity_id": quote}, is_active=0, reserved_order_id=number)
        for column in ("send_email", "email_sent"):
            with self.db.transaction():
                self.db.update("sales_order", {"entity_id": order}, **{column: 1})
        return order

    def _insert_order(
        self, values: dict[str, Any], tops: list[ItemRow], person: Person, payment: str, comment: str | None
    ) -> int:
        """The transaction "the order"."""
        with self.db.transaction():
            order = self.db.insert("sales_order", **values)
            self._note_status(order, values["status"])
            for top in tops:
                self._insert_items(order, values["store_id"], top, None)
            self.db.insert(
                "sales_order_payment", parent_id=order, method=payment, amount_ordered=values["grand_total"],
                base_amount_ordered=values["base_grand_total"], shipping_amount=values["shipping_amount"],
                additional_information='{"method_title":"Invented"}',
            )  # fmt: skip
            if comment:
                self._history(order, values["status"], comment)
            if payment == CAPTURED:
                self._insert_capture(order)
            kinds = ["billing"] if values["is_virtual"] else ["shipping", "billing"]
            ids = {f"{kind}_address_id": self._insert_address(order, kind, person, values) for kind in kinds}
            self.db.update("sales_order", {"entity_id": order}, **ids)
            self._insert_tax(order, values)
            self._grid(order)
        return order

    def edit_order(self, order: int, lines: Sequence[Line]) -> int:
        """The admin's "edit": a new order with the old one's number and a tail; the old one is cancelled by it."""
        old = self.order(order)
        buyer: int | Person = old["customer_id"] or self.guest_of(order)
        new = self.place_order(buyer, lines, store=old["store_id"], original=old)
        child = self.order(new)
        with self.db.transaction():
            self.db.update(
                "sales_order", {"entity_id": order},
                relation_child_id=str(new), relation_child_real_id=child["increment_id"],
            )  # fmt: skip
        self.cancel(order)
        return new

    def hold(self, order: int) -> None:
        row = self.order(order)
        self._set_state(
            order, "holded", "holded", hold_before_state=row["state"], hold_before_status=row["status"], logged=True
        )

    def unhold(self, order: int) -> None:
        row = self.order(order)
        state, status = row["hold_before_state"], row["hold_before_status"]
        self._set_state(order, state, status, hold_before_state=None, hold_before_status=None, logged=True)

    def set_status(self, order: int, status: str, comment: str | None = None) -> None:
        """A comment in the admin, with a status of the order's present state."""
        self._set_state(order, self.order(order)["state"], status, comment=comment, logged=True)

    def review_payment(self, order: int) -> None:
        """The gateway wants a person to look at it."""
        self._set_state(order, "payment_review", "payment_review", logged=True)

    def comment(self, order: int, text: str) -> None:
        with self.db.transaction():
            self._history(order, self.order(order)["status"], text)

    def edit_address(self, order: int, kind: str = "shipping", **columns: Any) -> None:
        """Edit an order's address in the admin: a plain UPDATE, and the grid's copy."""
        with self.db.transaction():
            self.db.update("sales_order_address", {"parent_id": order, "address_type": kind}, **columns)
            self._grid(order)

    def delete_order(self, order: int) -> None:
        """What modules and scripts do: two DELETEs; all that hangs on the order goes silently."""
        with self.db.transaction():
            self.db.delete("sales_order", entity_id=order)
            self.db.delete("sales_order_grid", entity_id=order)

    def adopt_guest_order(self, order: int, customer: int) -> None:
        """A guest registers afterwards: the order becomes the account's."""
        account = self.db.get("customer_entity", entity_id=customer)
        with self.db.transaction():
            self.db.update(
                "sales_order", {"entity_id": order}, customer_id=customer, customer_is_guest=0,
                customer_email=account["email"], customer_firstname=account["firstname"],
                customer_lastname=account["lastname"], customer_group_id=account["group_id"],
            )  # fmt: skip

    def order(self, order: int) -> dict[str, Any]:
        return self.db.get("sales_order", entity_id=order)

    def items(self, order: int) -> list[dict[str, Any]]:
        return self.db.find("sales_order_item", order="item_id", order_id=order)

    def cancel(self, order: int) -> None:
        raise NotImplementedError  # fulfilment has it, like all that moves money

    def _insert_capture(self, order: int) -> None:
        raise NotImplementedError  # likewise

    def pay_at_gateway(self, order: int) -> None:
        """The shopper comes back from the gateway: the order leaves ``pending_payment``."""
        self._set_state(order, "new", "pending", logged=True)

    # ------------------------------------------------------------------------------------------ values

    def _order_values(
        self,
        tops: list[ItemRow],
        account: dict[str, Any] | None,
        person: Person,
        terms: Terms,
        shipping: Decimal | None,
    ) -> dict[str, Any]:
        rows = [row for top in tops for row in top.everyone()]
        paying = [row for row in rows if row.carries_discount]
        virtual = all(top.values["is_virtual"] for top in tops)
        base_fee = Decimal(0) if virtual or shipping is None else shipping
        sums = order_sum((t.sums for t in tops), (r.sums for r in paying), terms.price(base_fee), terms.tax_percent)
        base = order_sum((t.base_sums for t in tops), (r.base_sums for r in paying), base_fee, terms.tax_percent)
        qty = sum((top.values["qty_ordered"] for top in tops), Decimal(0))
        return sums.columns() | base.columns("base_") | {
            "customer_id": account and account["entity_id"], "customer_is_guest": int(account is None),
            "customer_group_id": account["group_id"] if account else 0,
            "customer_email": account["email"] if account else person.email,
            "customer_firstname": person.firstname, "customer_lastname": person.lastname,
            "is_virtual": int(virtual), "total_qty_ordered": qty, "base_total_qty_ordered": qty,
            "total_item_count": len(tops), "weight": sum((row.values["row_weight"] for row in tops), Decimal(0)),
            "shipping_method": None if virtual else "flatrate_flatrate",
            "shipping_description": None if virtual else "Flat Rate - Fixed",
            "base_currency_code": seeds.BASE_CURRENCY, "global_currency_code": seeds.BASE_CURRENCY,
            "store_currency_code": seeds.BASE_CURRENCY, "base_to_order_rate": terms.rate, "base_to_global_rate": 1,
            "store_to_base_rate": 0, "store_to_order_rate": 0, "remote_ip": "192.0.2.7",
            "protect_code": f"{self.rng.getrandbits(64):016x}",
        }  # fmt: skip

    def _buyer(self, customer: int) -> Person:
        """The account's names with its default address, or someone's address when it has none."""
        account = self.db.get("customer_entity", entity_id=customer)
        found = self.db.find("customer_address_entity", entity_id=account["default_billing"])
        facts = self.person().address() if not found else {name: found[0][name] for name in _ADDRESS}
        return Person(**facts | {name: account[name] for name in ("firstname", "lastname", "email")})

    def guest_of(self, order: int) -> Person:
        """Who bought it, as the billing address knows them."""
        address = self.db.get("sales_order_address", parent_id=order, address_type="billing")
        return Person(**{name: address[name] for name in _ADDRESS}, email=self.order(order)["customer_email"])

    def _order_number(self, store: int, original: Mapping[str, Any] | None) -> str:
        if original:
            first = original["original_increment_id"] or original["increment_id"]
            return f"{first}-{(original['edit_increment'] or 0) + 1}"
        with self.db.transaction():
            return f"{store}{self.db.insert(f'sequence_order_{store}', sequence_value=None):08d}"

    # ------------------------------------------------------------------------------------------ rows

    def _insert_items(self, order: int, store: int, row: ItemRow, parent: int | None) -> None:
        item = self.db.insert(
            "sales_order_item", order_id=order, parent_item_id=parent, store_id=store, **row.columns()
        )
        for child in row.children:
            self._insert_items(order, store, child, item)

    def _insert_address(self, order: int, kind: str, person: Person, values: Mapping[str, Any]) -> int:
        return self.db.insert(
            "sales_order_address", parent_id=order, address_type=kind, email=values["customer_email"],
            customer_id=values["customer_id"], **person.address(),
        )  # fmt: skip

    def _insert_tax(self, order: int, values: Mapping[str, Any]) -> None:
        if not values["tax_amount"]:
            return
        tax = self.db.insert(
            "sales_order_tax", order_id=order, code="VAT", title="VAT", percent=TAX_PERCENT, priority=0, position=0,
            amount=values["tax_amount"], base_amount=values["base_tax_amount"], process=0,
            base_real_amount=values["base_tax_amount"],
        )  # fmt: skip
        item = self.items(order)[0]["item_id"]
        self.db.insert(
            "sales_order_tax_item", tax_id=tax, item_id=item, tax_percent=TAX_PERCENT, amount=values["tax_amount"],
            base_amount=values["base_tax_amount"], real_amount=values["tax_amount"],
            real_base_amount=values["base_tax_amount"], taxable_item_type="product",
        )  # fmt: skip

    def _cart_of(self, account: dict[str, Any] | None, person: Person, store: int, tops: list[ItemRow]) -> int:
        """The quote that the order is made from, written step by step as a checkout does."""
        with self.db.transaction():
            quote = self.db.insert(
                "quote", store_id=store, is_active=1, customer_id=account and account["entity_id"],
                customer_email=person.email, customer_is_guest=int(account is None), items_count=len(tops),
            )  # fmt: skip
            for top in tops:
                facts = {name: top.values[name] for name in ("product_id", "sku", "name", "product_type")}
                self.db.insert("quote_item", quote_id=quote, store_id=store, qty=top.values["qty_ordered"], **facts)
        for kind in ("billing", "shipping"):
            with self.db.transaction():
                facts = {"address_type": kind, "email": person.email} | person.address()
                self.db.insert("quote_address", quote_id=quote, **facts)
                total = sum((top.sums.row_total for top in tops), Decimal(0))
                self.db.update("quote", {"entity_id": quote}, subtotal=total, customer_note=kind)
        return quote

    def _reserve(self, tops: list[ItemRow], number: str, sign: int) -> None:
        """The stock's only trace of an order: one row per thing that lies on a shelf."""
        everyone = [row.values for top in tops for row in top.everyone() if not row.children]
        leaves = [values for values in everyone if values["product_type"] not in WITHOUT_SHIPPING]
        metadata = f'{{"event_type":"order_placed","object_type":"order","object_increment_id":"{number}"}}'
        rows = [
            {"stock_id": 1, "sku": row["sku"], "quantity": sign * row["qty_ordered"], "metadata": metadata}
            for row in leaves
        ]
        if rows:
            with self.db.transaction():
                self.db.insert_many("inventory_reservation", rows)

    def _set_state(
        self, order: int, state: str, status: str, *, comment: str | None = None, logged: bool = False, **more: Any
    ) -> None:
        before = self.order(order)["status"]
        with self.db.transaction():
            self.db.update("sales_order", {"entity_id": order}, state=state, status=status, **more)
            if status != before:
                self._note_status(order, status)
            if logged:
                self._history(order, status, comment)
            self._grid(order)

    def _note_status(self, order: int, status: str) -> None:
        self.db.insert("sales_order_status_change_history", order_id=order, status=status)

    def _history(self, order: int, status: str, comment: str | None, entity: str = "order") -> None:
        self.db.insert(
            "sales_order_status_history", parent_id=order, status=status, comment=comment, entity_name=entity,
            is_customer_notified=0,
        )  # fmt: skip

    def _grid(self, order: int) -> None:
        """The admin's list: a copy of the order, upserted at every save."""
        row = self.order(order)
        names = ("entity_id", "status", "store_id", "store_name", "customer_id", "base_grand_total", "grand_total",
                 "base_total_paid", "total_paid", "increment_id", "order_currency_code", "created_at", "updated_at",
                 "customer_email", "subtotal", "total_refunded")  # fmt: skip
        billing = self.db.find("sales_order_address", parent_id=order, address_type="billing")
        street = {"billing_address": f"{billing[0]['street']},{billing[0]['city']}" if billing else None}
        self.db.upsert("sales_order_grid", [{name: row[name] for name in names} | street], ("entity_id",))


_ADDRESS = (
    "firstname", "lastname", "company", "street", "city", "region", "postcode", "country_id", "telephone",
)  # fmt: skip


def _group_and_view(store: int) -> tuple[str, str]:
    _, _, _, group, view = seeds.STORES[store]
    return seeds.GROUPS[group][2], view


def _state_values(payment: str, values: Mapping[str, Any], tops: list[ItemRow]) -> dict[str, Any]:
    """State and status at the insert; with money taken at once, the paid totals too, in order and rows."""
    if payment != CAPTURED:
        state = "pending_payment" if payment == REDIRECTED else "new"
        return {"state": state, "status": "pending" if state == "new" else state}
    state = "complete" if values["is_virtual"] else "processing"  # nothing to send: done at once
    paid: dict[str, Any] = {"state": state, "status": state}
    for side in ("", "base_"):
        for name in ("tax", "shipping", "discount"):
            paid[f"{side}{name}_invoiced"] = values[f"{side}{name}_amount"]
        total = values[f"{side}grand_total"]
        paid |= {f"{side}{name}": total for name in ("total_invoiced", "total_paid")}
        paid |= {f"{side}subtotal_invoiced": values[f"{side}subtotal"], f"{side}total_due": 0}
    for row in (row for top in tops for row in top.everyone()):
        row.values["qty_invoiced"] = row.values["qty_ordered"]
        for side, sums in (("", row.sums), ("base_", row.base_sums)):
            row.values |= {f"{side}row_invoiced": sums.row_total, f"{side}tax_invoiced": sums.tax,
                           f"{side}discount_invoiced": sums.discount}  # fmt: skip
    return paid


def _edited_from(original: Mapping[str, Any] | None) -> dict[str, Any]:
    """What an edit's new order says of the one it replaces."""
    if not original:
        return {}
    return {
        "original_increment_id": original["original_increment_id"] or original["increment_id"],
        "edit_increment": (original["edit_increment"] or 0) + 1,
        "relation_parent_id": str(original["entity_id"]),
        "relation_parent_real_id": original["increment_id"],
    }
