"""Every business event that a Magento shop's log tells of, one after another, each under a name.

``SCENES`` are played in order on one shop; a scene may go on where an earlier one left an order. Their names begin with
what they are about: ``order-...``, ``customer-...``, ``product-...``, ``shop-...``, ``form-...``, ``noise-...``.
"""

from __future__ import annotations

from tests.kit.events.catalogue import CATALOGUE
from tests.kit.events.people import ADDRESSES, PEOPLE
from tests.kit.events.quiet import QUIET
from tests.kit.events.sales import SALES
from tests.kit.events.stage import MAPPING, Scene, World, open_shop
from tests.kit.events.upheaval import UPHEAVAL

__all__ = ["MAPPING", "SCENES", "Scene", "World", "open_shop"]

SCENES: tuple[Scene, ...] = (*SALES, *PEOPLE, *CATALOGUE, *QUIET, *ADDRESSES, *UPHEAVAL)
