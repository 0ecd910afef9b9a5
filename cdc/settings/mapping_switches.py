"""Properties that a switch of ``[mapping]`` adds, with their types. They are off by default.

Receivers treat them as they treat the merchant's own properties: ``mapping push`` makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cdc.settings.mapping_columns import PropertyType

CATEGORY_NAMES: Final = "category_names"
CATEGORY_PATHS: Final = "category_paths"

CATEGORIES: Final[Mapping[str, PropertyType]] = dict.fromkeys((CATEGORY_NAMES, CATEGORY_PATHS), PropertyType.TEXT)
"""Properties of a product, by ``mapping.product.categories``."""
