"""The lifecycle stage of contacts: it becomes customer with the first paid order, and nothing takes it back."""

from __future__ import annotations

from typing import Any, Final

from tests.kit.events.stage import Scene, World
from tests.kit.shop import Line

LIFECYCLE_MAPPING: Final[dict[str, Any]] = {"contact": {"lifecycle_stage": True}}
"""``[mapping]`` of these scenes."""


def _ordered(world: World) -> None:
    """An order that is not paid yet: the contact stays as it is."""
    world.orders["first"] = world.shop.place_order(world.customers["regular"], [Line(world.products["mug"])])


def _paid(world: World) -> None:
    world.shop.invoice(world.orders["first"])


def _paid_again(world: World) -> None:
    """A second order is placed and paid: the contact is a customer already."""
    shop = world.shop
    world.orders["second"] = shop.place_order(world.customers["regular"], [Line(world.products["cap"])])
    shop.invoice(world.orders["second"])


def _deleted(world: World) -> None:
    """Both orders are deleted: the contact's message says nothing of the stage."""
    world.shop.delete_order(world.orders["second"])
    world.shop.delete_order(world.orders["first"])


LIFECYCLE: tuple[Scene, ...] = (
    ("lifecycle-ordered", _ordered),
    ("lifecycle-paid", _paid),
    ("lifecycle-paid-again", _paid_again),
    ("lifecycle-orders-deleted", _deleted),
)
