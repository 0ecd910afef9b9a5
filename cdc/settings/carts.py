"""``[mapping.carts]``: whether and how carts that were not ordered are sent. A leaf of the import graph."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from cdc.settings.section import SettingsSection

MASKED_ID: Final = "{masked_id}"
QUOTE_ID: Final = "{quote_id}"


class CartMapping(SettingsSection):
    """Carts that were left without an order."""

    enabled: bool = Field(False, description="whether carts with an email address are read and sent at all")
    sent_as: Literal["deal", "cart", "both"] = Field(
        "deal",
        alias="as",
        description="what a cart is in HubSpot. deal: a deal, which becomes the order's deal; cart: HubSpot's cart with"
        " its line items, which the order closes; both. The bridge knows deals only",
    )
    abandoned_after_min: Annotated[int, Field(ge=1, le=100_000)] = Field(
        60, description="a cart counts as abandoned after so many minutes without a change of what is sent of it"
    )
    restore_url: Annotated[str, Field(max_length=1000)] = Field(
        "",
        description="address that brings a cart back, with {masked_id} or {quote_id} in it; empty: no such property",
    )

    @property
    def as_deals(self) -> bool:
        """Whether carts are sent, as deals."""
        return self.enabled and self.sent_as != "cart"

    @property
    def as_objects(self) -> bool:
        """Whether carts are sent, as HubSpot's own carts."""
        return self.enabled and self.sent_as != "deal"

    @field_validator("restore_url")
    @classmethod
    def _names_the_cart(cls, value: str) -> str:
        # Without a number in it, every mail would lead to the same page.
        if value and not (MASKED_ID in value or QUOTE_ID in value):
            raise ValueError(
                "names no cart; put {masked_id} or {quote_id} in it, e.g. https://shop.example.com/cart?id={masked_id}"
            )
        parts = urlsplit(value.replace(MASKED_ID, "1").replace(QUOTE_ID, "1"))
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("write an address with http:// or https://")
        return value
