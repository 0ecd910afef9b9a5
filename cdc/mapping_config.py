"""The settings of ``[mapping]``: what is sent for each object, and the shop's own columns.

A leaf of the import graph. What Magento must keep to itself (``cdc/unmappable.py``) is refused here, so that a wrong
mapping ends before anything of the shop is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from cdc.json_path import parse_path
from cdc.model import ObjectType
from cdc.section import Section
from cdc.unmappable import why_not


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


OURS: Final = frozenset({"stamp", "guest_id", "price_mode", "ship_mode"})
"""Columns that the replica adds to tables of its own."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_COLUMN = re.compile(r"[A-Za-z0-9_$]{1,64}")
_TARGET = re.compile(r"[a-z][a-z0-9_]{0,99}")


def _property_name(name: str) -> str:
    if not _NAME.fullmatch(name) or name.startswith("hs_assoc__"):
        raise ValueError("a property's name is a letter, then letters, digits and _; hs_assoc__ is the bridge's own")
    return name


Name = Annotated[str, AfterValidator(_property_name)]


class ColumnProperty(Section):
    """A property made from one column: ``"gift_note"`` or ``{ column = "gift_note", type = "text" }``."""

    column: str = Field(description="column of the table")
    type: PropertyType = Field(PropertyType.TEXT, description="how its value becomes text")
    json_path: str = Field("", alias="json", description="the column holds JSON: the path of the value, $.a.b[0]")
    format: str = Field("", description="date and datetime kept as text: their form, e.g. %d/%m/%Y")
    target: str = Field("", description="bridge: the HubSpot property, if its name is another")

    @model_validator(mode="before")
    @classmethod
    def _column_alone(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @field_validator("column")
    @classmethod
    def _is_column(cls, value: str) -> str:
        if not _COLUMN.fullmatch(value):
            raise ValueError("is no column name")
        if value.casefold() in OURS:
            raise ValueError("the replica has a column of this name for itself; rename the shop's or copy it")
        return value

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
        return self


def hubspot_name(value: str) -> str:
    """A name that a HubSpot property can have, or "". Raises ValueError."""
    if value and not _TARGET.fullmatch(value):
        raise ValueError("a HubSpot property's name is a small letter, then small letters, digits and _")
    return value


def _try_format(form: str) -> None:
    moment = datetime(2001, 2, 3)  # noqa: DTZ001  # only its digits matter
    try:
        is_whole = datetime.strptime(moment.strftime(form), form) == moment  # noqa: DTZ007
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ValueError("format must name year, month and day, e.g. %d/%m/%Y")


class AttributeProperty(Section):
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


def _refused(table: str, properties: Mapping[str, ColumnProperty]) -> None:
    reasons = [f"{name}: {reason}" for name, made in properties.items() if (reason := why_not(table, made.column))]
    if reasons:
        raise ValueError("; ".join(reasons))


class Via(Section):
    """The table that leads from a satellite to its object."""

    table: str = Field(description="one of Magento's own tables that are read anyway, e.g. sales_order_address")
    column: str = Field(description="its primary key, which the satellite's key names")
    to: str = Field(description="its column that holds the object's id")


class Satellite(Section):
    """A module's own table with rows that belong to an order, a customer or a product."""

    table: str = Field(description="the table, without the shop's prefix")
    object: Literal["deal", "contact", "product"] = Field("deal", description="what its rows belong to")
    key: str = Field(description="its column that holds the object's id, or the key of via.table")
    primary: tuple[str, ...] = Field((), description="its primary key; read from the server if not given")
    via: Via | None = Field(None, description="the table between, if key does not hold the object's id itself")
    properties: Columns = Field(min_length=1, description="property → column of the table")

    @model_validator(mode="after")
    def _allowed(self) -> Satellite:
        for name in (self.table, self.key, *self.primary):
            if not _COLUMN.fullmatch(name) or name.casefold() in OURS:
                raise ValueError(f"{name!r} is no name of a table or column that can be followed")
            if reason := why_not(self.table, name):
                raise ValueError(reason)
        _refused(self.table, self.properties)
        return self


class DealMapping(Section):
    """Further properties of deals."""

    properties: Columns = Field(default_factory=dict, description="property → column of sales_order")

    @field_validator("properties")
    @classmethod
    def _allowed(cls, value: Columns) -> Columns:
        _refused("sales_order", value)
        return value


class ContactMapping(Section):
    """Further properties of contacts that have an account."""

    properties: Columns = Field(default_factory=dict, description="property → column of customer_entity")

    @field_validator("properties")
    @classmethod
    def _allowed(cls, value: Columns) -> Columns:
        _refused("customer_entity", value)
        return value


class ProductMapping(Section):
    """Further properties of products."""

    properties: Columns = Field(default_factory=dict, description="property → column of catalog_product_entity")
    attributes: Attributes = Field(default_factory=dict, description="property → code of a product attribute")

    @field_validator("properties")
    @classmethod
    def _allowed(cls, value: Columns) -> Columns:
        _refused("catalog_product_entity", value)
        return value


class CustomerMapping(Section):
    """Attributes of customers, as further properties of their contacts."""

    attributes: Attributes = Field(default_factory=dict, description="property → code of a customer attribute")


class LineItemMapping(Section):
    """Further properties of line items."""

    properties: Columns = Field(default_factory=dict, description="property → column of sales_order_item")

    @field_validator("properties")
    @classmethod
    def _allowed(cls, value: Columns) -> Columns:
        _refused("sales_order_item", value)
        return value


class MappingSettings(Section):
    """What is sent for each object."""

    namespace: str = Field("magento", description="prefix of every external id", pattern=r"^[A-Za-z0-9_]{1,40}$")
    store_view: str = Field("", description="code of the store view for product values; empty: default scope")
    media_base_url: str = Field("", description="put before image paths, e.g. https://shop.example.com/media/product")
    stages: dict[str, str] = Field(default_factory=dict, description="state or status → deal stage, over the defaults")
    deleted_customers: Literal["drop", "guest"] = Field(
        "drop", description="orders of deleted customers: drop the contact or make it a guest's"
    )
    contact: ContactMapping = ContactMapping()
    customer: CustomerMapping = CustomerMapping()
    product: ProductMapping = ProductMapping()
    deal: DealMapping = DealMapping()
    line_item: LineItemMapping = LineItemMapping()
    satellites: tuple[Satellite, ...] = Field((), description="modules' own tables, each as [[mapping.satellites]]")

    @model_validator(mode="after")
    def _named_once(self) -> MappingSettings:
        for ours, columns, attributes in (
            ("product", self.product.properties, self.product.attributes),
            ("customer", self.contact.properties, self.customer.attributes),
        ):
            if twice := sorted(columns.keys() & attributes.keys()):
                raise ValueError(f"property {twice[0]} is made from a column and from an attribute of the {ours}")
        held = {
            "deal": {*self.deal.properties},
            "contact": {*self.contact.properties, *self.customer.attributes},
            "product": {*self.product.properties, *self.product.attributes},
        }
        tables: set[str] = set()
        for satellite in self.satellites:
            names, taken = set(satellite.properties), held[satellite.object]
            if twice := sorted(names & taken):
                raise ValueError(
                    f"property {twice[0]} of a {satellite.object} is made twice: also from {satellite.table}"
                )
            if satellite.table in tables:
                raise ValueError(f"table {satellite.table} is there twice; put all its properties into one")
            tables.add(satellite.table)
            taken |= names
        return self

    def extras(self) -> dict[ObjectType, dict[str, tuple[str, PropertyType]]]:
        """Object type → property of the merchant's own → its HubSpot name ("": the same) and type."""
        sections: dict[ObjectType, dict[str, ColumnProperty | AttributeProperty]] = {
            ObjectType.CONTACT: {**self.contact.properties, **self.customer.attributes},
            ObjectType.PRODUCT: {**self.product.properties, **self.product.attributes},
            ObjectType.DEAL: {**self.deal.properties},
            ObjectType.LINE_ITEM: {**self.line_item.properties},
        }
        kinds = {"deal": ObjectType.DEAL, "contact": ObjectType.CONTACT, "product": ObjectType.PRODUCT}
        for satellite in self.satellites:
            sections[kinds[satellite.object]].update(satellite.properties)
        return {
            kind: {name: (made.target, made.type or PropertyType.TEXT) for name, made in properties.items()}
            for kind, properties in sections.items()
        }
