"""The codes of the shop that ``[mapping]`` names: websites, store views, customer groups, states and statuses, types.

Pure. A code that the shop does not have fits no row. So a misspelt website in ``filter.websites.only`` would leave out
the whole shop. ``cdc/source/shop_codes.py`` compares these codes with the shop's rows.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_rules import Choice

PRODUCT_TYPES: Final = ("simple", "configurable", "grouped", "bundle", "virtual", "downloadable", "giftcard")
"""The types that Magento has: a shop may have no product of a type yet."""

STATES: Final = (
    "new", "pending_payment", "processing", "complete", "closed", "canceled", "holded", "payment_review",
)  # fmt: skip
"""The states in Magento's code: an order may have a state that the shop's table of states does not list."""


class NamedCodes(NamedTuple):
    """Codes that one setting names, and the columns (table, column) that hold the shop's codes.

    ``built_in``: codes that exist in every shop, with or without rows. ``what``: a word for one code.
    """

    setting: str
    what: str
    values: tuple[str, ...]
    places: tuple[tuple[str, str], ...]
    built_in: tuple[str, ...] = ()


def named_codes(mapping: MappingSettings) -> tuple[NamedCodes, ...]:
    """All codes of the shop that the settings name. Settings without codes are left out."""
    chosen = mapping.filter
    store = (("store", "code"),)
    found = (
        NamedCodes("mapping.store_view", "store view", (mapping.store_view,) if mapping.store_view else (), store),
        _of("websites", "website", chosen.websites, ("store_website", "code")),
        _of("stores", "store view", chosen.stores, *store),
        _of("customer_groups", "customer group", chosen.customer_groups, ("customer_group", "customer_group_code")),
        _of("product_types", "product type", chosen.product_types, ("catalog_product_entity", "type_id"))._replace(
            built_in=PRODUCT_TYPES
        ),
        NamedCodes(
            "mapping.stages",
            "order state or status",
            tuple(mapping.stages),
            (("sales_order_status", "status"), ("sales_order_status_state", "state")),
            STATES,
        ),
    )
    return tuple(one for one in found if one.values)


def _of(name: str, what: str, choice: Choice, *places: tuple[str, str]) -> NamedCodes:
    key = "only" if choice.only else "without"
    return NamedCodes(f"mapping.filter.{name}.{key}", what, (*choice.only, *choice.without), places)
