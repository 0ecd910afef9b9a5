"""Which objects of the shop are followed (``[mapping.filter]``), and which values are not sent as they are
(``[mapping.privacy]``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from cdc.settings.mapping_columns import ColumnName, Name
from cdc.settings.section import SettingsSection, read_secret
from cdc.settings.unmappable import why_not

_KEY_LENGTH = 16  # short keys can be tried out: phone numbers and names are few

Visibility = Literal["not_visible", "catalog", "search", "both"]
"""Magento's ``visibility`` attribute, 1 to 4 in this order."""


def listed(value: Any) -> Any:
    """A list from one text or number, where a list of texts is expected."""
    parts = value if isinstance(value, list | tuple) else (value,)
    return tuple(str(part) if isinstance(part, int) and not isinstance(part, bool) else part for part in parts)


Texts = Annotated[tuple[str, ...], BeforeValidator(listed)]


class Choice(SettingsSection):
    """Which codes are followed: ``{ only = [...] }`` or ``{ without = [...] }``; all if neither is set."""

    only: Texts = Field((), description="these and no others")
    without: Texts = Field((), description="all but these")

    @model_validator(mode="after")
    def _one_of_them(self) -> Choice:
        if self.only and self.without:
            raise ValueError("only and without are both set; keep one")
        return self

    def __bool__(self) -> bool:
        """Whether the choice leaves any code out."""
        return bool(self.only or self.without)

    def allows(self, code: str) -> bool:
        """Whether objects with this code are followed."""
        return code in self.only if self.only else code not in self.without


class VisibilityChoice(Choice):
    """A choice among Magento's visibilities."""

    only: Annotated[tuple[Visibility, ...], BeforeValidator(listed)] = Field((), description="these and no others")
    without: Annotated[tuple[Visibility, ...], BeforeValidator(listed)] = Field((), description="all but these")


class OrderRule(SettingsSection):
    """A rule on one column of ``sales_order``. It fits when any text of any condition does, in any case of letters."""

    column: ColumnName = Field(description="column of sales_order")
    equals: Texts = Field((), description="the whole value")
    starts_with: Texts = Field((), description="its beginning")
    ends_with: Texts = Field((), description="its end")
    contains: Texts = Field((), description="a part of it")

    @model_validator(mode="after")
    def _says_something(self) -> OrderRule:
        if reason := why_not("sales_order", self.column):
            raise ValueError(reason)
        if not (self.equals or self.starts_with or self.ends_with or self.contains):
            raise ValueError("a rule needs one of equals, starts_with, ends_with and contains")
        return self

    def fits(self, text: str) -> bool:
        """Whether the rule fits this value."""
        value = text.casefold()
        return (
            any(value == part.casefold() for part in self.equals)
            or any(value.startswith(part.casefold()) for part in self.starts_with)
            or any(value.endswith(part.casefold()) for part in self.ends_with)
            or any(part.casefold() in value for part in self.contains)
        )


class Filter(SettingsSection):
    """Which objects are followed. An order that is left out does not exist, and its lines do not either."""

    websites: Choice = Field(Choice(), description="codes of websites: of orders, customers, subscribers and products")
    stores: Choice = Field(Choice(), description="codes of store views: of orders and subscribers")
    customer_groups: Choice = Field(Choice(), description="codes of customer groups: of orders and customers")
    product_types: Choice = Field(Choice(), description="simple, configurable, bundle ...: of products")
    product_visibility: VisibilityChoice = Field(
        VisibilityChoice(), description="not_visible, catalog, search, both: of products, in mapping.store_view"
    )
    test_orders: tuple[OrderRule, ...] = Field(
        (), description="orders that fit one of these are left out, each as [[mapping.filter.test_orders]]"
    )

    @property
    def on_orders(self) -> bool:
        """Whether any order may be left out."""
        return bool(self.websites or self.stores or self.customer_groups or self.test_orders)

    @property
    def on_customers(self) -> bool:
        """Whether any customer may be left out."""
        return bool(self.websites or self.customer_groups)

    @property
    def on_products(self) -> bool:
        """Whether any product may be left out."""
        return bool(self.websites or self.product_types or self.product_visibility)


Treatment = Literal["leave_out", "hash"] | Annotated[int, Field(ge=1, le=1000)]
"""The value is left out, replaced by a keyed hash, or cut to this many first characters."""

Treatments = dict[Name, Treatment]


class Privacy(SettingsSection):
    """How property values are changed before they are sent, by the property's name."""

    key: SecretStr = Field(SecretStr(""), description="secret for hashes: HMAC-SHA256 of the value, in hex")
    key_file: Path | None = Field(None, description="file that holds it, instead of key")
    contact: Treatments = Field(default_factory=dict, description='property → "leave_out", "hash", or characters kept')
    product: Treatments = Field(default_factory=dict, description="the same for products")
    deal: Treatments = Field(default_factory=dict, description="the same for deals")
    line_item: Treatments = Field(default_factory=dict, description="the same for line items")

    @model_validator(mode="after")
    def _has_key(self) -> Privacy:
        object.__setattr__(self, "key", read_secret(self.key, self.key_file, "key"))
        every = (*self.contact.values(), *self.product.values(), *self.deal.values(), *self.line_item.values())
        if "hash" in every and len(self.key.get_secret_value()) < _KEY_LENGTH:
            raise ValueError(f"hash needs key or key_file, at least {_KEY_LENGTH} characters that nobody can guess")
        return self
