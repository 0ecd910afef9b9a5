"""Endless random traffic, for tests of convergence and for the live demo."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from tests.kit.shop import Line, Shop
from tests.kit.shop.orders import CAPTURED, REDIRECTED


def random_ops(shop: Shop, rng: random.Random) -> Iterator[str]:
    """Do one random thing after another for ever, yielding its name after each.

    Works on whatever the database holds, which is at least ``install`` and a few products. When the server goes away
    the driver's error comes out; go on with a new Shop and a new iterator. What was committed stays consistent.
    """
    while True:
        name = rng.choices([name for name, _ in _OPERATIONS], [weight for _, weight in _OPERATIONS])[0]
        if _operate(shop, rng, name):
            yield name


_OPERATIONS = (
    ("order", 12), ("guest order", 10), ("pay", 14), ("ship", 14), ("part ship", 4), ("cancel", 3), ("refund", 4),
    ("part refund", 3), ("hold", 3), ("unhold", 3), ("edit order", 1), ("edit address", 2), ("delete order", 1),
    ("register", 6), ("edit customer", 4), ("change email", 2), ("login", 8), ("delete customer", 1), ("subscribe", 2),
    ("unsubscribe", 2), ("address", 3), ("price", 6), ("rename", 4), ("override", 3), ("use default", 2), ("toggle", 3),
    ("new product", 2), ("delete product", 1), ("cart", 10), ("browse", 8), ("cron", 6), ("rename option", 1),
)  # fmt: skip
_BY_STATE = {
    "pay": ("new", "processing"), "ship": ("processing",), "part ship": ("processing", "new"),
    "cancel": ("new", "pending_payment"), "refund": ("complete", "processing"), "part refund": ("complete",),
    "hold": ("new", "processing"), "unhold": ("holded",), "edit order": ("new",), "edit address": ("new", "processing"),
    "delete order": ("canceled", "closed", "new"),
}  # fmt: skip


def _operate(shop: Shop, rng: random.Random, name: str) -> bool:
    """One operation, on something it can be done to; False when there is none."""
    if name in _BY_STATE:
        return _on_order(shop, rng, name)
    if name in ("order", "edit customer", "change email", "login", "delete customer", "address"):
        found = _some(shop, rng, "customer_entity")
        return found is not None and _on_customer(shop, rng, name, found)
    if name in ("price", "rename", "override", "use default", "toggle", "delete product"):
        found = _some(shop, rng, "catalog_product_entity", " WHERE type_id = 'simple'")
        return found is not None and _on_product(shop, rng, name, found)
    number = rng.randrange(10**6)
    if name == "guest order":
        shop.place_order(shop.person(), _lines(shop, rng), payment=rng.choice(("checkmo", CAPTURED, REDIRECTED)))
    elif name == "register":
        shop.register(newsletter=rng.random() < 0.4, with_address=rng.random() < 0.8)
    elif name == "subscribe":
        shop.subscribe(f"reader{number}@example.com")
    elif name == "unsubscribe":
        row = _some(shop, rng, "newsletter_subscriber", "", "subscriber_id")
        if row is None:
            return False
        shop.unsubscribe(shop.db.get("newsletter_subscriber", subscriber_id=row)["subscriber_email"])
    elif name == "new product":
        shop.create_product(f"NEW-{number}", f"Novelty {number}", f"{rng.randint(100, 9999) / 100:.2f}")
    elif name == "rename option":
        shop.rename_option("color", rng.choice(shop.option_labels("color")), f"Colour {number}")
    elif name == "cart":
        shop.add_to_cart([line.product for line in _lines(shop, rng)])
    elif name == "browse":
        shop.browse()
    else:
        shop.cron_noise(2)
    return True


def _on_customer(shop: Shop, rng: random.Random, name: str, customer: int) -> bool:
    if name == "order":
        shop.place_order(customer, _lines(shop, rng), store=rng.choice((1, 1, 2)), discount_percent=rng.choice((0, 10)))
    elif name == "edit customer":
        shop.edit_customer(customer, lastname=f"Renamed{rng.randrange(1000)}", group_id=rng.randint(1, 3))
    elif name == "change email":
        shop.change_email(customer, f"moved{rng.randrange(10**9)}@example.com")
    elif name == "login":
        shop.login(customer)
    elif name == "address":
        shop.add_address(customer, default=rng.random() < 0.7)
    else:
        shop.delete_customer(customer)
    return True


def _on_product(shop: Shop, rng: random.Random, name: str, product: int) -> bool:
    if name == "price":
        shop.set_price(product, f"{rng.randint(100, 9999) / 100:.2f}")
    elif name == "rename":
        shop.rename(product, f"Thing {rng.randrange(1000)} with a longer name")
    elif name == "override":
        shop.store_override(product, 2, "name", f"Chose {rng.randrange(1000)}")
    elif name == "use default":
        shop.use_default(product, 2, "name")
    elif name == "toggle":
        rng.choice((shop.disable, shop.enable))(product)
    elif shop.db.rows(f"SELECT 1 FROM {shop.db.table('catalog_product_relation')} WHERE child_id = %s", product):
        return False  # a variant or a part of a bundle: its parent could no longer be sold
    else:
        shop.delete_product(product)
    return True


def _on_order(shop: Shop, rng: random.Random, name: str) -> bool:
    states = ", ".join(f"'{state}'" for state in _BY_STATE[name])
    order = _some(shop, rng, "sales_order", f" WHERE state IN ({states})")
    if order is None:
        return False
    tops = [item for item in shop.items(order) if item["parent_item_id"] is None]
    one = {rng.choice(tops)["item_id"]: 1} if tops else {}
    one_parcel = {item: 1 for item in shop.shippable(order)[:1]}
    actions: dict[str, Callable[[], object]] = {
        "pay": lambda: shop.invoice(order, rng.choice((None, one))),
        "ship": lambda: shop.ship(order, tracks=[("dhl", "DHL", f"{rng.randrange(10**12):012d}")]),
        "part ship": lambda: shop.ship(order, one_parcel),
        "cancel": lambda: shop.cancel(order),
        "refund": lambda: shop.refund(order),
        "part refund": lambda: shop.refund(order, one),
        "hold": lambda: shop.hold(order),
        "unhold": lambda: shop.unhold(order),
        "edit order": lambda: shop.edit_order(order, _lines(shop, rng)),
        "edit address": lambda: shop.edit_address(order, "billing", telephone=f"+00 555 {rng.randrange(10**4):04d}"),
        "delete order": lambda: shop.delete_order(order),
    }
    possible = {
        "pay": shop.can_invoice, "ship": shop.can_ship, "part ship": shop.can_ship,
        "refund": shop.can_refund, "part refund": shop.can_refund,
    }  # fmt: skip
    if name in possible and not possible[name](order):
        return False
    actions[name]()
    return True


def _lines(shop: Shop, rng: random.Random) -> list[Line]:
    table = shop.db.table("catalog_product_entity")
    found = [row["entity_id"] for row in shop.db.rows(f"SELECT entity_id FROM {table} ORDER BY entity_id LIMIT 200")]
    return [Line(product, rng.randint(1, 3)) for product in rng.sample(found, min(len(found), rng.randint(1, 3)))]


def _some(shop: Shop, rng: random.Random, table: str, condition: str = "", key: str = "entity_id") -> int | None:
    """The id of one of the newest rows that fit."""
    sql = f"SELECT {key} AS id FROM {shop.db.table(table)}{condition} ORDER BY {key} DESC LIMIT 40"
    found = shop.db.rows(sql)
    return int(rng.choice(found)["id"]) if found else None
