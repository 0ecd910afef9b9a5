"""The settings of ``[mapping.customer_value]``: what a customer is worth, as properties of contacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field, field_validator

from cdc.settings.mapping_columns import PropertyType
from cdc.settings.section import SettingsSection

Threshold = Annotated[int, Field(ge=1)]

ORDERS_COUNT: Final = "orders_count"
REVENUE: Final = "orders_revenue"
REVENUE_CURRENCY: Final = "revenue_currency"
AVERAGE: Final = "average_order_value"
FIRST_ORDER_AT: Final = "first_order_at"
LAST_ORDER_AT: Final = "last_order_at"
LAST_ORDER_NUMBER: Final = "last_order_number"
LAST_ORDER_PRODUCTS: Final = "last_order_products"
LAST_ORDER_CATEGORIES: Final = "last_order_categories"
FREQUENCY_SCORE: Final = "frequency_score"
MONETARY_SCORE: Final = "monetary_score"

_ALWAYS: Final[Mapping[str, PropertyType]] = {
    ORDERS_COUNT: PropertyType.NUMBER,
    REVENUE: PropertyType.MONEY,
    REVENUE_CURRENCY: PropertyType.TEXT,
    AVERAGE: PropertyType.MONEY,
    FIRST_ORDER_AT: PropertyType.DATETIME,
    LAST_ORDER_AT: PropertyType.DATETIME,
    LAST_ORDER_NUMBER: PropertyType.TEXT,
    LAST_ORDER_PRODUCTS: PropertyType.TEXT,
}


class CustomerValue(SettingsSection):
    """What a customer is worth: numbers and sums of orders, as properties of contacts."""

    enabled: bool = Field(False, description="whether contacts have numbers and sums of their orders")
    currency: str = Field(
        "",
        pattern=r"^([A-Z]{3})?$",
        description="base currency whose orders are added up, e.g. EUR; empty: the one base currency of all orders",
    )
    last_order_names: int = Field(
        10, ge=1, le=100, description="how many products, and how many categories, of the last order are named at most"
    )
    frequency: tuple[Threshold, ...] = Field(
        (), description="numbers of orders at which the frequency score becomes 2, 3, 4 and so on; empty: no score"
    )
    monetary: tuple[Threshold, ...] = Field(
        (), description="sums of money at which the monetary score becomes 2, 3, 4 and so on; empty: no score"
    )

    @field_validator("frequency", "monetary")
    @classmethod
    def _rises(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        # A threshold that is not above the one before it would never decide anything.
        if list(value) != sorted(set(value)):
            raise ValueError("write each threshold above the one before it, e.g. [2, 4, 8]")
        return value

    def properties(self, *, with_categories: bool) -> Mapping[str, PropertyType]:
        """The properties that contacts get, with their types. ``with_categories``: products have categories."""
        if not self.enabled:
            return {}
        found = dict(_ALWAYS)
        if with_categories:
            found[LAST_ORDER_CATEGORIES] = PropertyType.TEXT
        if self.frequency:
            found[FREQUENCY_SCORE] = PropertyType.NUMBER
        if self.monetary:
            found[MONETARY_SCORE] = PropertyType.NUMBER
        return found
