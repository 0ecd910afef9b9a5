"""Rows of carts, and a replica with carts switched on and a clock that tests move."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cdc.model import Message, Op, Value
from tests.kit.replica_harness import ReplicaHarness, replica_harness
from tests.unit.mappers.shops import REFERENCES

EVE = "eve@example.com"
MINUTE_MS = 60_000
AFTER_MS = 60 * MINUTE_MS
RESTORE = "https://shop.example.com/cart?id={quote_id}"


def quote(entity_id: int = 17, /, **columns: Value) -> dict[str, Value]:
    """A ``quote`` row: a guest's cart whose email is known."""
    return {
        "entity_id": entity_id, "store_id": 1, "is_active": 1, "customer_id": None, "customer_email": EVE,
        "customer_firstname": None, "customer_lastname": None, "customer_group_id": 0, "quote_currency_code": "EUR",
        "grand_total": "23.8000", "coupon_code": None, "created_at": "2023-11-14 22:00:00",
        "updated_at": "2023-11-14 22:10:00", **columns,
    }  # fmt: skip


def line(item_id: int = 1, /, **columns: Value) -> dict[str, Value]:
    """A ``quote_item`` row: two mugs in cart 17."""
    return {
        "item_id": item_id, "quote_id": 17, "parent_item_id": None, "product_id": 10, "sku": "MUG", "name": "Mug",
        "qty": "2.0000", "price": "11.9000", **columns,
    }  # fmt: skip


class CartShop:
    """A replica that follows a shop with carts. ``wait`` lets time pass in the shop."""

    def __init__(self, harness: ReplicaHarness) -> None:
        self.harness = harness
        self.engine = harness.engine
        for table, rows in REFERENCES.items():
            for row in rows:
                harness.insert(table, **row)
        harness.sent()

    @property
    def now_ms(self) -> int:
        """When the last transaction was committed, or until when time has passed."""
        return self.harness.now_ms

    def fill(self, *lines: dict[str, Value], **columns: Value) -> dict[str, Value]:
        """A cart comes with its lines, in one transaction."""
        made = quote(**columns)
        changes = [self.harness.change("quote", Op.INSERT, None, made)]
        changes += [self.harness.change("quote_item", Op.INSERT, None, one) for one in lines or (line(),)]
        self.harness.commit(*changes)
        return made

    def order(self, entity_id: int = 42, quote_id: int = 17, **columns: Value) -> dict[str, Value]:
        """An order is placed from a cart."""
        made: dict[str, Value] = {
            "entity_id": entity_id, "increment_id": f"{entity_id:09}", "store_id": 1, "state": "new",
            "status": "pending", "customer_is_guest": 1, "customer_group_id": 0, "customer_email": EVE,
            "order_currency_code": "EUR", "grand_total": "28.8000", "created_at": "2023-11-15 00:00:00",
            "quote_id": quote_id, **columns,
        }  # fmt: skip
        self.harness.insert("sales_order", **made)
        return made

    def wait(self, minutes: float) -> None:
        """Time passes in the shop, and the timer looks."""
        self.harness.now_ms += round(minutes * MINUTE_MS)
        self.look()

    def look(self) -> None:
        """The timer looks once."""
        self.harness.let_pass(self.now_ms)

    def sent(self) -> list[Message]:
        """The messages since the last call."""
        return self.harness.sent()

    def said(self) -> dict[str, str]:
        """External id (without namespace) → stage of a deal, else what was sent, since the last call."""
        return {
            message.external_id.removeprefix("magento-"): message.properties.get("stage", message.action.value)
            for message in self.sent()
        }


@contextmanager
def cart_shop(*, by_email: bool = True, sent_as: str = "deal", **carts: Any) -> Iterator[CartShop]:
    """A shop that sends carts; ``sent_as`` and ``carts``: settings of ``[mapping.carts]``."""
    settings = {"enabled": True, "as": sent_as, "restore_url": RESTORE, **carts}
    with replica_harness(contacts_by_email=by_email, carts=settings) as harness:
        yield CartShop(harness)
