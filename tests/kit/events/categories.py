"""Categories: a product enters and leaves them, and they are renamed, moved, sorted and deleted."""

from __future__ import annotations

from typing import Any, Final

from tests.kit.events.stage import Scene, World

CATEGORIES_MAPPING: Final[dict[str, Any]] = {"product": {"categories": True}}
"""``[mapping]`` of these scenes."""


def _entered(world: World) -> None:
    """A tree is made, and two products are put into it."""
    shop = world.shop
    shop.plant_categories()
    world.categories["kitchen"] = shop.create_category("Kitchen")
    world.categories["cups"] = shop.create_category("Cups & mugs", world.categories["kitchen"])
    world.categories["sale"] = shop.create_category("Sale")
    shop.categorise(world.products["mug"], world.categories["cups"], world.categories["sale"])
    shop.categorise(world.products["poster"], world.categories["sale"])


def _renamed(world: World) -> None:
    """A name in the middle of a path: the products below it are sent, the others are not."""
    world.shop.rename_category(world.categories["kitchen"], "Kitchen & table")


def _renamed_in_a_view(world: World) -> None:
    """The name in a store view that is not the chosen one."""
    world.shop.rename_category(world.categories["kitchen"], "Cuisine", store=2)


def _moved(world: World) -> None:
    """A category is dragged below another one."""
    world.shop.move_category(world.categories["cups"], world.categories["sale"])


def _sorted(world: World) -> None:
    """The order of the products in a category is changed: each link is written, and none of it is read."""
    world.shop.sort_category(world.categories["sale"])


def _left(world: World) -> None:
    world.shop.categorise(world.products["mug"], world.categories["cups"])


def _deleted(world: World) -> None:
    """The category's row is logged; its names and its links go silently."""
    world.shop.delete_category(world.categories["cups"])


CATEGORIES: tuple[Scene, ...] = (
    ("category-entered", _entered),
    ("category-renamed", _renamed),
    ("category-renamed-in-view", _renamed_in_a_view),
    ("category-moved", _moved),
    ("category-sorted", _sorted),
    ("category-left", _left),
    ("category-deleted", _deleted),
)
