"""Modules' own tables, as the settings name them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cdc.mapping_columns import ColumnName, Columns, refused
from cdc.section import Section
from cdc.unmappable import why_not


class Via(Section):
    """The table that leads from a satellite to its object."""

    table: str = Field(description="one of Magento's own tables that are read anyway, e.g. sales_order_address")
    column: str = Field(description="its primary key, which the satellite's key names")
    to: str = Field(description="its column that holds the object's id")


class Satellite(Section):
    """A module's own table with rows that belong to an order, a customer or a product."""

    table: ColumnName = Field(description="the table, without the shop's prefix")
    object: Literal["deal", "contact", "product"] = Field("deal", description="what its rows belong to")
    key: ColumnName = Field(description="its column that holds the object's id, or the key of via.table")
    primary: tuple[ColumnName, ...] = Field((), description="its primary key; read from the server if not given")
    via: Via | None = Field(None, description="the table between, if key does not hold the object's id itself")
    properties: Columns = Field(min_length=1, description="property → column of the table")

    @model_validator(mode="after")
    def _allowed(self) -> Satellite:
        for name in (self.table, self.key, *self.primary):
            if reason := why_not(self.table, name):
                raise ValueError(reason)
        refused(self.table, self.properties)
        return self
