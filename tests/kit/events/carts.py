"""Carts: filled, left, taken up again, ordered, cleaned away. Played on a shop of their own, with carts switched on."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from tests.kit.events.stage import MAPPING, Scene, World
from tests.kit.shop import Line

CART_MAPPING: Final[dict[str, Any]] = {
    **MAPPING,
    "media_base_url": "https://shop.example.com/media/product",
    "carts": {"enabled": True, "restore_url": "https://shop.example.com/cart?id={masked_id}"},
}
"""``[mapping]`` of these scenes."""

EVE: Final = "eve@example.com"
HOUR: Final = 61


def _guest_leaves(world: World) -> None:
    """A guest fills a cart, types an email address at the checkout, and leaves."""
    shop, ids = world.shop, world.products
    world.carts["guest"] = cart = shop.add_to_cart([ids["mug"], ids["cap"]])
    shop.mask_cart(cart)
    shop.begin_checkout(cart, EVE)
    world.wait(HOUR)


def _comes_back(world: World) -> None:
    """On another device, by the link: one mug more."""
    world.shop.change_cart(world.carts["guest"], world.products["mug"], qty=2)


def _churn(world: World) -> None:
    """Totals are collected again, rates come and go, a job asks for a recount: nothing of what is sent changes."""
    shop, cart = world.shop, world.carts["guest"]
    for _ in range(5):
        shop.recollect(cart)
    world.wait(10)


def _left_again(world: World) -> None:
    world.wait(HOUR)


def _coupon(world: World) -> None:
    world.shop.apply_coupon(world.carts["guest"], "SPRING10", Decimal("30.05"))


def _item_price(world: World) -> None:
    """The mug costs more from now on; the cart is counted again when the shopper looks at it."""
    world.shop.set_price(world.products["mug"], "14.50")
    world.shop.change_cart(world.carts["guest"], world.products["mug"], price=Decimal("14.50"))


def _logs_in(world: World) -> None:
    """The guest has an account: the lines go to the account's cart, and the guest's cart is deleted."""
    shop = world.shop
    world.customers["eve"] = customer = shop.register()
    world.carts["account"] = shop.merge_cart(world.carts["guest"], customer)
    world.wait(HOUR)


def _ordered(world: World) -> None:
    """The cart's deal goes once the order's deal is there; the contact's cart is cleared."""
    ids, cart = world.products, world.carts["account"]
    lines = [Line(ids["mug"], 2), Line(ids["cap"])]
    world.orders["of a cart"] = world.shop.place_order(world.customers["eve"], lines, cart=cart)


def _late_change(world: World) -> None:
    """The quote is saved once more, long after the order."""
    world.shop.recollect(world.carts["account"])
    world.wait(HOUR)


def _order_cancelled(world: World) -> None:
    """A cancelled order does not bring its cart back."""
    world.shop.cancel(world.orders["of a cart"])
    world.wait(HOUR)


def _of_two_addresses(world: World) -> None:
    """A cart for delivery to two addresses is left."""
    shop, ids = world.shop, world.products
    world.carts["two"] = shop.add_to_cart([ids["mug"], ids["poster"]], customer=world.customers["collector"])
    shop.begin_checkout(world.carts["two"], "")
    world.wait(HOUR)


def _two_orders(world: World) -> None:
    """It becomes two orders; the first of them takes its place."""
    for name in ("mug", "poster"):
        customer = world.customers["collector"]
        world.shop.place_order(customer, [Line(world.products[name])], cart=world.carts["two"])


def _another_left(world: World) -> None:
    """Two more carts are left: a guest's and an account's."""
    shop, ids = world.shop, world.products
    world.carts["old"] = shop.add_to_cart([ids["notebook"]])
    shop.begin_checkout(world.carts["old"], "old@example.com")
    world.carts["regular"] = shop.add_to_cart([ids["notebook"]], customer=world.customers["regular"])
    world.wait(HOUR)


def _cleaned(world: World) -> None:
    """The shop's cron deletes old carts; their lines and addresses go without a trace in the log."""
    world.shop.clean_carts([world.carts["old"]])


def _cleaned_after_the_order(world: World) -> None:
    """Weeks after the order the cron deletes its quote, too."""
    world.shop.clean_carts([world.carts["account"]])
    world.wait(HOUR)


def _deactivated(world: World) -> None:
    """A script or an extension deactivates a cart."""
    db = world.shop.db
    with db.transaction():
        db.update("quote", {"entity_id": world.carts["regular"]}, is_active=0)


def _nobody(world: World) -> None:
    """A cart without an address is nobody's, however long it stands."""
    world.shop.add_to_cart([world.products["mug"]], steps=6)
    world.wait(600)


CARTS: Final[tuple[Scene, ...]] = (
    ("cart-guest-leaves", _guest_leaves),
    ("cart-comes-back", _comes_back),
    ("cart-churn", _churn),
    ("cart-left-again", _left_again),
    ("cart-coupon", _coupon),
    ("cart-item-price", _item_price),
    ("cart-logs-in", _logs_in),
    ("cart-ordered", _ordered),
    ("cart-late-change", _late_change),
    ("cart-order-cancelled", _order_cancelled),
    ("cart-of-two-addresses", _of_two_addresses),
    ("cart-two-orders", _two_orders),
    ("cart-others-left", _another_left),
    ("cart-cleaned", _cleaned),
    ("cart-deactivated", _deactivated),
    ("cart-nobody", _nobody),
)


def _again(prefix: str) -> tuple[Scene, ...]:
    """The same events in a shop that sends carts otherwise, and what is of interest only there."""
    named = [(name.removeprefix("cart-"), scene) for name, scene in CARTS]
    return tuple((f"{prefix}-{name}", scene) for name, scene in (*named, ("ordered-cleaned", _cleaned_after_the_order)))


AS_CART: Final = _again("as-cart")
AS_BOTH: Final = _again("as-both")


def mapping_as(word: str) -> dict[str, Any]:
    """``[mapping]`` of these scenes with ``mapping.carts.as`` set."""
    return {**CART_MAPPING, "carts": {**CART_MAPPING["carts"], "as": word}}
