"""Carts as Magento writes them: the checkout's steps, totals, coupons, a login's merge, the cleaning cron."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tests.kit.shop.db import Db


class Carts:
    """What shoppers and the shop do with carts that are there (``Noise.add_to_cart`` makes them)."""

    db: Db

    def mask_cart(self, cart: int) -> None:
        """The id that a browser gets in place of the quote's number."""
        with self.db.transaction():
            self.db.insert("quote_id_mask", quote_id=cart, masked_id=f"{cart:032x}")

    def begin_checkout(self, cart: int, email: str) -> None:
        """The address step: both addresses with the email, then the rates' and totals' rows, then the quote."""
        for kind in ("shipping", "billing"):
            with self.db.transaction():
                self.db.insert(
                    "quote_address", quote_id=cart, address_type=kind, email=email or None, firstname="Eve",
                    lastname="Sample", street="Long Lane 5", city="Sampleton", postcode="12345", country_id="DE",
                    telephone="+49 30 5550100",
                )  # fmt: skip
        with self.db.transaction():
            if email:
                self.db.update("quote", {"entity_id": cart}, customer_email=email, customer_is_guest=1)
        self.recollect(cart)

    def recollect(self, cart: int) -> None:
        """Totals are collected again with the same result, as with every page of the checkout."""
        with self.db.transaction():
            self.db.update("quote", {"entity_id": cart}, trigger_recollect=1)
        with self.db.transaction():
            self.db.execute(
                f"UPDATE {self.db.table('quote')} SET trigger_recollect = 0, updated_at = NOW() WHERE entity_id = %s",
                cart,
            )
            self.db.execute(
                f"UPDATE {self.db.table('quote_address')} SET shipping_amount = shipping_amount + 1, updated_at = NOW()"
                " WHERE quote_id = %s",
                cart,
            )

    def change_cart(self, cart: int, product: int, **values: Any) -> None:
        """A line gets another quantity or price, and the totals follow."""
        with self.db.transaction():
            self.db.update("quote_item", {"quote_id": cart, "product_id": product}, **values)
            self._total(cart)

    def apply_coupon(self, cart: int, code: str, total: Decimal) -> None:
        """A coupon, with the total that it leaves."""
        with self.db.transaction():
            self.db.update("quote", {"entity_id": cart}, coupon_code=code, grand_total=total, base_grand_total=total)

    def merge_cart(self, guest_cart: int, customer: int) -> int:
        """A guest logs in: the lines are copied into the account's cart, and the guest's cart is deleted."""
        account = self.db.get("customer_entity", entity_id=customer)
        with self.db.transaction():
            merged = self.db.insert(
                "quote", store_id=1, is_active=1, customer_id=customer, customer_email=account["email"],
                customer_group_id=account["group_id"], quote_currency_code="EUR",
            )  # fmt: skip
            for row in self.db.rows(f"SELECT * FROM {self.db.table('quote_item')} WHERE quote_id = %s", guest_cart):
                facts = {name: row[name] for name in ("product_id", "store_id", "sku", "name", "qty", "price")}
                self.db.insert("quote_item", quote_id=merged, **facts)
            self._total(merged)
        self.clean_carts([guest_cart])
        return merged

    def clean_carts(self, carts: Sequence[int]) -> None:
        """Quotes are deleted one by one; all that hangs on them goes below the log."""
        for cart in carts:
            with self.db.transaction():
                self.db.execute(f"DELETE FROM {self.db.table('quote')} WHERE entity_id = %s", cart)

    def _total(self, cart: int) -> None:
        items = self.db.table("quote_item")
        [row] = self.db.rows(f"SELECT SUM(qty * price) AS total FROM {items} WHERE quote_id = %s", cart)
        self.db.update("quote", {"entity_id": cart}, grand_total=row["total"], base_grand_total=row["total"])
