"""What a customer is worth: orders come, are paid, refunded, cancelled, edited, deleted, and change hands."""

from __future__ import annotations

from typing import Any, Final

from tests.kit.events.stage import Scene, World
from tests.kit.shop import Line

WORTH_MAPPING: Final[dict[str, Any]] = {
    "customer_value": {"enabled": True, "last_order_names": 2, "frequency": [2, 3], "monetary": [20, 50]},
    "product": {"categories": True},
}
"""``[mapping]`` of these scenes."""


def _tops(world: World, name: str) -> list[int]:
    """The ids of the order's top-level lines."""
    return [row["item_id"] for row in world.shop.items(world.orders[name]) if row["parent_item_id"] is None]


def _first_order(world: World) -> None:
    """An account's first order, with a product in a category."""
    shop, ids = world.shop, world.products
    shop.plant_categories()
    world.categories["cups"] = shop.create_category("Cups & mugs")
    shop.categorise(ids["mug"], world.categories["cups"])
    world.orders["first"] = shop.place_order(world.customers["regular"], [Line(ids["mug"], 2), Line(ids["cap"])])


def _paid_and_sent(world: World) -> None:
    """The order is invoiced and shipped: its deal changes, and no number of the contact does."""
    world.shop.invoice(world.orders["first"])
    world.shop.ship(world.orders["first"])


def _refunded_in_part(world: World) -> None:
    world.shop.refund(world.orders["first"], {_tops(world, "first")[0]: 1})


def _second_order(world: World) -> None:
    """Three products, of which two are named; a score rises."""
    ids = world.products
    lines = [Line(ids["poster"]), Line(ids["notebook"]), Line(ids["cap"])]
    world.orders["second"] = world.shop.place_order(world.customers["regular"], lines)


def _edited(world: World) -> None:
    """The old order is cancelled and a new one placed: one of the two counts."""
    world.orders["edited"] = world.shop.edit_order(world.orders["second"], [Line(world.products["mug"])])


def _cancelled(world: World) -> None:
    """The last order goes: the one before it is the last again."""
    world.shop.cancel(world.orders["edited"])


def _category_renamed(world: World) -> None:
    """The category of the last order's product has another name: the contacts who bought are looked at."""
    world.shop.rename_category(world.categories["cups"], "Cups")


def _guest(world: World) -> None:
    world.orders["guest"] = world.shop.place_order(world.shop.person(), [Line(world.products["poster"])])


def _guest_registers(world: World) -> None:
    """The order moves from the guest to the account."""
    shop, order = world.shop, world.orders["guest"]
    world.customers["new"] = shop.register(shop.guest_of(order))
    shop.adopt_guest_order(order, world.customers["new"])


def _deleted(world: World) -> None:
    """An order is deleted: its contact never bought anything."""
    world.shop.delete_order(world.orders["guest"])


WORTH: tuple[Scene, ...] = (
    ("worth-first-order", _first_order),
    ("worth-paid-and-sent", _paid_and_sent),
    ("worth-refunded-in-part", _refunded_in_part),
    ("worth-second-order", _second_order),
    ("worth-edited", _edited),
    ("worth-cancelled", _cancelled),
    ("worth-category-renamed", _category_renamed),
    ("worth-guest", _guest),
    ("worth-guest-registers", _guest_registers),
    ("worth-deleted", _deleted),
)
