"""A small shop's day: everything that happens to contacts, products and deals, with the noise around it.

``play`` is a fixed story (its size by ``scale``); ``random_ops`` is an endless one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

from tests.kit.assortment import Assortment, stock_up
from tests.kit.shop import Line, Shop
from tests.kit.shop.orders import CAPTURED, REDIRECTED
from tests.kit.traffic import random_ops

__all__ = ["Day", "play", "random_ops"]


@dataclass
class Day:
    """What the story left behind, by the names the story uses."""

    products: Assortment
    customers: dict[str, int] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)
    crowd: list[int] = field(default_factory=list)
    """Orders of the crowd: the part whose size ``scale`` sets."""


def play(shop: Shop, *, seed: int = 1, pace: float | None = None, scale: int = 1) -> Day:
    """Play the day into an installed shop. ``pace``: seconds to wait between scenes; None plays without a pause."""
    rng = random.Random(seed)
    day = Day(stock_up(shop))
    scenes: list[Callable[[Shop, Day], None]] = [
        *(_registrations, _morning_orders, _catalogue_work),
        *[partial(_crowd, rng=rng)] * (6 * scale),
        *(_parcels, _accounts, _evening),
    ]
    for scene in scenes:
        scene(shop, day)
        shop.cron_noise(3)
        if pace:
            time.sleep(pace)
    shop.reindex_noise()
    return day


def _registrations(shop: Shop, day: Day) -> None:
    """Accounts with and without address and newsletter; a visitor who only subscribes; logins."""
    day.customers["regular"] = shop.register(newsletter=True)
    day.customers["collector"] = shop.register()
    day.customers["leaver"] = shop.register(newsletter=True)
    day.customers["window shopper"] = shop.register(with_address=False)
    day.customers["outlet shopper"] = shop.register(store=3)
    shop.subscribe("reader@example.com")
    shop.subscribe("doubter@example.com", status=2)
    for customer in day.customers.values():
        shop.login(customer)
        shop.browse(customer=customer)
    shop.fail_login(day.customers["regular"])
    shop.login(day.customers["regular"])
    shop.set_loyalty_tier(day.customers["regular"], shop.option("loyalty_tier", "Gold"))


def _morning_orders(shop: Shop, day: Day) -> None:
    """One order of each kind of buyer, line, payment and store."""
    product, variants, who, orders = day.products, day.products.variants, day.customers, day.orders
    guest = shop.person()
    orders["guest"] = shop.place_order(guest, [Line(product["mug"], 2), Line(product["shirt"], 1, variants[1])])
    orders["guest again"] = shop.place_order(guest, [Line(product["poster"])], payment=CAPTURED)
    orders["bundle"] = shop.place_order(
        who["regular"], [Line(product["starter"], 2), Line(product["cap"])], coupon="SPRING10", discount_percent=10
    )
    orders["dollars"] = shop.place_order(
        who["collector"], [Line(product["giftbox"]), Line(product["stationery"], 3)], store=2, payment=CAPTURED
    )
    orders["virtual"] = shop.place_order(who["regular"], [Line(product["pattern"])], payment=CAPTURED)
    orders["outlet"] = shop.place_order(who["outlet shopper"], [Line(product["notebook"], "2.5")], store=3)
    orders["never paid"] = shop.place_order(shop.person(), [Line(product["cap"], 3)], payment=REDIRECTED)
    orders["changed mind"] = shop.place_order(who["collector"], [Line(product["shirt"], 2, variants[3])])
    orders["leaver's"] = shop.place_order(who["leaver"], [Line(product["mug"]), Line(product["wrapping"])])
    orders["sent back"] = shop.place_order(
        who["collector"], [Line(product["mug"], 4), Line(product["starter"])], payment=CAPTURED, comment="Ring twice 🔔"
    )
    shop.add_to_cart([product["mug"], product["cap"]], customer=who["window shopper"])


def _catalogue_work(shop: Shop, day: Day) -> None:
    """The merchant at work: prices, names, views, an option's label, a product taken off sale, one deleted."""
    product = day.products
    shop.set_price(product["mug"], "13.90")
    shop.rename(product["notebook"], "Notebook A5, dotted")
    shop.store_override(product["notebook"], 2, "name", "Carnet A5")
    shop.use_default(product["cap"], 2, "name")
    shop.disable(product["poster"])
    shop.mass_update(product.variants, "price", Decimal("27.50"))
    shop.save_values(product["mug"], {"description": None, "short_description": "Holds 0.3 l"})
    shop.rename_option("color", "Blue", "Navy")
    shop.change_sku(product["cap"], "CAP-NAVY")
    shop.reindex_noise()


def _crowd(shop: Shop, day: Day, rng: random.Random) -> None:
    """Someone comes by, looks around, buys something, and the shop sends it."""
    product = day.products
    wanted = rng.sample(["mug", "notebook", "cap", "shirt", "starter", "giftbox", "wrapping"], rng.randint(1, 3))
    guest = rng.random() < 0.5
    buyer = shop.person() if guest else shop.register(newsletter=rng.random() < 0.3)
    if isinstance(buyer, int):
        shop.login(buyer)
    shop.browse(customer=buyer if isinstance(buyer, int) else None)
    shop.add_to_cart([product[name] for name in wanted])
    lines = [Line(product[name], rng.randint(1, 3)) for name in wanted]
    payment = rng.choice(("checkmo", CAPTURED))
    order = shop.place_order(buyer, lines, payment=payment, discount_percent=rng.choice((0, 0, 15)))
    day.crowd.append(order)
    if payment != CAPTURED:
        shop.invoice(order)
    if shop.order(order)["state"] == "processing":
        shop.ship(order, tracks=[("parcel", "Parcel Service", f"PS{rng.randrange(10**8):08d}")])


def _parcels(shop: Shop, day: Day) -> None:
    """Payments, parcels in two goes, a cancellation, refunds in part and in full, holds, corrections."""
    orders = day.orders
    shop.invoice(orders["guest"], transaction="bank-0001")
    shipment = shop.ship(orders["guest"], tracks=[("dhl", "DHL", "00340000000000000001")])
    shop.add_track(orders["guest"], shipment, ("dhl", "DHL", "00340000000000000002"))
    tops = [item for item in shop.items(orders["bundle"]) if item["parent_item_id"] is None]
    shop.invoice(orders["bundle"], {tops[0]["item_id"]: 1})
    shop.hold(orders["bundle"])
    shop.unhold(orders["bundle"])
    shop.invoice(orders["bundle"])
    shop.ship(orders["bundle"], {tops[1]["item_id"]: 1}, tracks=[("ups", "UPS", "1Z0000000000000001")])
    shop.ship(orders["dollars"])
    shop.cancel(orders["never paid"])
    orders["changed"] = shop.edit_order(orders["changed mind"], [Line(day.products["mug"], 2)])
    tops = [item for item in shop.items(orders["sent back"]) if item["parent_item_id"] is None]
    shop.ship(orders["sent back"])
    shop.refund(orders["sent back"], {tops[0]["item_id"]: 1})
    shop.refund(orders["sent back"])
    shop.refund(orders["dollars"], {}, adjustment="5.00")
    shop.edit_address(orders["outlet"], city="Sampleton-on-Sea", telephone="+00 555 0199")
    shop.set_status(orders["guest again"], "packing", "Being packed.")
    shop.hold(orders["outlet"])


def _accounts(shop: Shop, day: Day) -> None:
    """Profiles, addresses, an email change, a guest who registers, a customer who leaves."""
    who = day.customers
    shop.edit_customer(who["collector"], group_id=2, dob="1980-02-29", gender=2)
    shop.add_address(who["collector"], default=True)
    shop.edit_customer_address(shop.add_address(who["window shopper"], default=True), telephone="+00 555 0142")
    shop.change_email(who["regular"], "regular.shopper@example.com")
    shop.change_password(who["regular"])
    shop.unsubscribe("reader@example.com")
    guest = shop.guest_of(day.orders["guest"])
    who["guest"] = shop.register(guest)
    shop.adopt_guest_order(day.orders["guest"], who["guest"])
    shop.delete_customer(who["leaver"])


def _evening(shop: Shop, day: Day) -> None:
    """Last things: a product leaves the catalogue for good, a test order is deleted by a script."""
    day.orders["test"] = shop.place_order(shop.person(), [Line(day.products["mug"])])
    shop.delete_order(day.orders["test"])
    shop.delete_product(day.products["poster"])
    shop.enable(day.products["cap"])
