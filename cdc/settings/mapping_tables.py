"""Extension tables (the tables of modules), as the settings name them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cdc.settings.mapping_columns import ColumnName, ColumnProperty, Columns, PropertyType, refused
from cdc.settings.section import SettingsSection
from cdc.settings.unmappable import why_not


class Via(SettingsSection):
    """The table that leads from an extension table to its object."""

    table: str = Field(description="one of Magento's own tables that are read anyway, e.g. sales_order_address")
    column: str = Field(description="its primary key, which the satellite's key names")
    to: str = Field(description="its column that holds the object's id")


class ExtensionTable(SettingsSection):
    """A module's own table whose rows belong to an order, a customer or a product."""

    table: ColumnName = Field(description="the table, without the shop's prefix")
    object: Literal["deal", "contact", "product"] = Field("deal", description="what its rows belong to")
    key: ColumnName = Field(description="its column that holds the object's id, or the key of via.table")
    primary: tuple[ColumnName, ...] = Field((), description="its primary key; read from the server if not given")
    via: Via | None = Field(None, description="the table between, if key does not hold the object's id itself")
    properties: Columns = Field(min_length=1, description="property → column of the table")

    @model_validator(mode="after")
    def _allowed(self) -> ExtensionTable:
        for name in (self.table, self.key, *self.primary):
            if reason := why_not(self.table, name):
                raise ValueError(reason)
        refused(self.table, self.properties)
        return self


class ContactForm(SettingsSection):
    """A table with the entries of a contact form. Its rows make contacts, or add to existing contacts."""

    table: ColumnName = Field(description="the table, without the shop's prefix")
    email: ColumnProperty = Field(description="its column with the sender's address, or a place in its JSON")
    customer: ColumnName | None = Field(None, description="its column with the id of a sender who has an account")
    where: dict[ColumnName, tuple[str, ...]] = Field(
        default_factory=dict, description="only rows in which these columns have one of these values, e.g. form_id"
    )
    primary: tuple[ColumnName, ...] = Field((), description="its primary key; read from the server if not given")
    properties: Columns = Field(default_factory=dict, description="property → column of the table")

    @field_validator("where", mode="before")
    @classmethod
    def _as_texts(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        lists = {column: held if isinstance(held, list | tuple) else (held,) for column, held in value.items()}
        return {column: tuple(str(one) for one in held) for column, held in lists.items()}

    @model_validator(mode="after")
    def _allowed(self) -> ContactForm:
        for name in (self.table, *self.where, *self.primary, *([self.customer] if self.customer else [])):
            if reason := why_not(self.table, name):
                raise ValueError(reason)
        refused(self.table, {"email": self.email, **self.properties})
        if "email" in self.properties:
            raise ValueError("the property email is made from the form's own key email; take it out of properties")
        if self.email.lookup is not None or self.email.type is not PropertyType.TEXT:
            raise ValueError("email is a text: it takes column and json")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that decide to whom a row belongs."""
        return (self.email.column, *([self.customer] if self.customer else []), *self.where)
