"""Properties made from columns and attributes, as the settings spell them.

Columns that must never leave Magento (``cdc/settings/unmappable.py``) are refused here, so that a wrong mapping ends
before anything of the shop is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, field_validator, model_validator

from cdc.model import ValueType
from cdc.settings.json_path import parse_path
from cdc.settings.section import SettingsSection
from cdc.settings.unmappable import why_not


class PropertyType(StrEnum):
    """How a column's value becomes a property's text."""

    TEXT = "text"
    NUMBER = "number"
    MONEY = "money"
    DATE = "date"  # YYYY-MM-DD
    DATETIME = "datetime"  # epoch milliseconds
    BOOL = "bool"  # true or false
    MINUTES = "minutes"  # since midnight → HH:MM
    OPTION = "option"  # an attribute's option → its label

    @property
    def value_type(self) -> ValueType:
        """The type of the text. Labels of options are strings: the shop may add options at any time."""
        return _VALUE_TYPES.get(self, ValueType.STRING)


_VALUE_TYPES: Final = {
    PropertyType.NUMBER: ValueType.NUMBER,
    PropertyType.MONEY: ValueType.NUMBER,
    PropertyType.DATE: ValueType.DATE,
    PropertyType.DATETIME: ValueType.DATETIME,
    PropertyType.BOOL: ValueType.BOOL,
}


OURS: Final = frozenset(
    {"lsn", "email_hash", "guest_id", "price_mode", "ship_mode", "totals_group", "totals_amount", "is_paid"}
)
"""Columns that the replica adds to its own tables."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_COLUMN = re.compile(r"[A-Za-z0-9_$]{1,64}")
_BRACED = re.compile(r"\{([A-Za-z0-9_$]{1,64})\}")
_TARGET = re.compile(r"[a-z][a-z0-9_]{0,99}")


def _property_name(name: str) -> str:
    # hs_assoc__ is how version 1 of the bridge names associations.
    if not _NAME.fullmatch(name) or name.startswith("hs_assoc__"):
        raise ValueError("a property's name is a letter, then letters, digits and _; hs_assoc__ is the bridge's own")
    return name


Name = Annotated[str, AfterValidator(_property_name)]


def column_name(value: str) -> str:
    """A valid name of a column or table that the replica does not use itself. Raises ValueError."""
    if not _COLUMN.fullmatch(value):
        raise ValueError("is no name of a table or column")
    # SQLite's names ignore case, so these would collide in the replica.
    if value.casefold() in OURS:
        raise ValueError("the replica needs this name for a column of its own; rename the shop's column, or copy it")
    return value


ColumnName = Annotated[str, AfterValidator(column_name)]


class Lookup(SettingsSection):
    """A small table with the labels of a column's numbers: ``sales_order.slot_id`` → ``"09:00 - 12:00"``."""

    table: ColumnName = Field(description="the table, without the shop's prefix")
    key: ColumnName = Field(description="its primary key, which the column's values name")
    label: str = Field(description='its column that is shown, or a text with columns in braces: "{from} - {to}"')

    @model_validator(mode="after")
    def _allowed(self) -> Lookup:
        # An empty label would show nothing for every row.
        if not self.columns:
            raise ValueError("label names no column")
        for name in (self.key, *self.columns):
            # What Magento keeps secret must not leave the shop through a label either.
            if reason := why_not(self.table, column_name(name)):
                raise ValueError(reason)
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of which the label is made, each once."""
        # A single column needs no braces.
        if _COLUMN.fullmatch(self.label):
            return (self.label,)
        return tuple(dict.fromkeys(_BRACED.findall(self.label)))

    def text(self, values: Mapping[str, str]) -> str:
        """The label made from these texts of its columns; "" if all are empty."""
        if _COLUMN.fullmatch(self.label):
            return values[self.label]
        return _BRACED.sub(lambda found: values[found[1]], self.label) if any(values.values()) else ""


class ColumnProperty(SettingsSection):
    """A property made from one column: ``"gift_note"`` or ``{ column = "gift_note", type = "text" }``."""

    column: ColumnName = Field(description="column of the table")
    type: PropertyType = Field(PropertyType.TEXT, description="how its value becomes text")
    json_path: str = Field("", alias="json", description="the column holds JSON: the path of the value, $.a.b[0]")
    format: str = Field("", description="date and datetime kept as text: their form, e.g. %d/%m/%Y")
    lookup: Lookup | None = Field(None, description="the value is the key of a row in a table of labels")
    target: str = Field("", description="bridge: the HubSpot property, if its name is another")

    @model_validator(mode="before")
    @classmethod
    def _column_alone(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @field_validator("json_path")
    @classmethod
    def _is_path(cls, value: str) -> str:
        if value:
            parse_path(value)
        return value

    @field_validator("target")
    @classmethod
    def _is_target(cls, value: str) -> str:
        return hubspot_name(value)

    @model_validator(mode="after")
    def _fits(self) -> ColumnProperty:
        if self.type is PropertyType.OPTION:
            raise ValueError('type = "option" is for attributes: [mapping.product.attributes]')
        if self.format:
            if self.type not in (PropertyType.DATE, PropertyType.DATETIME):
                raise ValueError('format is for type = "date" and type = "datetime"')
            _try_format(self.format)
        if self.lookup is not None and self.type is not PropertyType.TEXT:
            raise ValueError("lookup makes a text; leave type out")
        return self


def hubspot_name(value: str) -> str:
    """A valid name of a HubSpot property, or "". Raises ValueError."""
    if value and not _TARGET.fullmatch(value):
        raise ValueError("a HubSpot property's name is a small letter, then small letters, digits and _")
    return value


def _try_format(form: str) -> None:
    moment = datetime(2001, 2, 3)  # noqa: DTZ001  # only its digits matter
    try:
        is_whole = datetime.strptime(moment.strftime(form), form) == moment  # noqa: DTZ007  # as above
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ValueError("format must name year, month and day, e.g. %d/%m/%Y")


class AttributeProperty(SettingsSection):
    """A property made from an EAV attribute: ``"color"`` or ``{ code = "color", target = "shop_color" }``."""

    code: str = Field(description="attribute_code")
    type: PropertyType | None = Field(None, description="how its value becomes text; as the attribute says if not set")
    target: str = Field("", description="bridge: the HubSpot property, if its name is another")

    @model_validator(mode="before")
    @classmethod
    def _code_alone(cls, value: Any) -> Any:
        return {"code": value} if isinstance(value, str) else value

    @field_validator("code")
    @classmethod
    def _is_code(cls, value: str) -> str:
        if not _COLUMN.fullmatch(value):
            raise ValueError("is no attribute code")
        if reason := why_not("customer_entity", value):
            raise ValueError(reason)
        return value

    @field_validator("target")
    @classmethod
    def _is_target(cls, value: str) -> str:
        return hubspot_name(value)


Columns = dict[Name, ColumnProperty]
Attributes = dict[Name, AttributeProperty]


def refused(table: str, properties: Mapping[str, ColumnProperty]) -> None:
    reasons = [f"{name}: {reason}" for name, made in properties.items() if (reason := why_not(table, made.column))]
    if reasons:
        raise ValueError("; ".join(reasons))
