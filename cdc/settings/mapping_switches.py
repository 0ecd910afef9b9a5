"""Properties that a switch of ``[mapping]`` adds, with their types. They are off by default.

Receivers treat them as they treat the merchant's own properties: ``mapping push`` makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cdc.settings.mapping_columns import PropertyType

CATEGORY_NAMES: Final = "category_names"
CATEGORY_PATHS: Final = "category_paths"

LIFECYCLE_STAGE: Final = "lifecycle_stage"
LIFECYCLE_TARGET: Final = "lifecyclestage"
"""HubSpot's own property of contacts."""

CATEGORIES: Final[Mapping[str, PropertyType]] = dict.fromkeys((CATEGORY_NAMES, CATEGORY_PATHS), PropertyType.TEXT)
"""Properties of a product, by ``mapping.product.categories``."""

CARTS_OF_CONTACTS: Final[Mapping[str, PropertyType]] = {
    "cart_open": PropertyType.BOOL,
    "cart_url": PropertyType.TEXT,
    "cart_changed_at": PropertyType.DATETIME,
}
"""Properties of a contact, by ``mapping.carts.enabled``."""

CARTS: Final[Mapping[str, PropertyType]] = {
    "cart_items": PropertyType.TEXT,
    "cart_item_images": PropertyType.TEXT,
    "cart_item_count": PropertyType.NUMBER,
    "cart_url": PropertyType.TEXT,
    "cart_changed_at": PropertyType.DATETIME,
}
"""Properties of a cart, as a deal or as HubSpot's cart, by ``mapping.carts``."""
