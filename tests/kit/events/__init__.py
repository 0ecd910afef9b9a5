"""Every business event that a Magento shop's log tells of, one after another, each under a name.

``PLAYS`` lists all of them. The scenes of a play are played in order on one shop; a scene may go on where an earlier
one left an order. Their names begin with what they are about: ``order-...``, ``customer-...``, ``product-...``,
``category-...``, ``worth-...``, ``lifecycle-...``, ``cart-...``, ``as-cart-...``, ``as-both-...``, ``shop-...``,
``form-...``, ``noise-...``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.kit.events.carts import AS_BOTH, AS_CART, CART_MAPPING, CARTS, mapping_as
from tests.kit.events.catalogue import CATALOGUE
from tests.kit.events.categories import CATEGORIES, CATEGORIES_MAPPING
from tests.kit.events.lifecycle import LIFECYCLE, LIFECYCLE_MAPPING
from tests.kit.events.people import ADDRESSES, PEOPLE
from tests.kit.events.quiet import QUIET
from tests.kit.events.sales import SALES
from tests.kit.events.stage import MAPPING, Scene, World, open_shop
from tests.kit.events.upheaval import UPHEAVAL
from tests.kit.events.worth import WORTH, WORTH_MAPPING

__all__ = ["MAPPING", "PLAYS", "SCENES", "Play", "Scene", "World", "open_shop"]

SCENES: tuple[Scene, ...] = (*SALES, *PEOPLE, *CATALOGUE, *QUIET, *ADDRESSES, *UPHEAVAL)


class Play(NamedTuple):
    """Scenes on one shop, and the mapping they are seen through."""

    mapping: dict[str, Any]
    scenes: tuple[Scene, ...]


PLAYS: tuple[Play, ...] = (
    Play(MAPPING, SCENES),
    Play(CATEGORIES_MAPPING, CATEGORIES),
    Play(WORTH_MAPPING, WORTH),
    Play(CART_MAPPING, CARTS),
    Play(mapping_as("cart"), AS_CART),
    Play(mapping_as("both"), AS_BOTH),
    Play(LIFECYCLE_MAPPING, LIFECYCLE),
)
"""All scenes: what is off by default is played on a shop of its own."""
