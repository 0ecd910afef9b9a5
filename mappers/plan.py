"""What the settings ask of the mappers, worked out once: further properties, and the tables and columns they need."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cdc.mapping_config import ColumnProperty, MappingSettings
from cdc.model import TableSpec
from mappers.extras import Extras
from mappers.tables import TABLES


class Plan:
    """The settings as mappers use them. Immutable after construction."""

    def __init__(self, settings: MappingSettings) -> None:
        self.settings: Final = settings
        self.deal: Final = _extras("sales_order", settings.deal.properties)
        self.contact: Final = _extras("customer_entity", settings.contact.properties)
        self.product: Final = _extras("catalog_product_entity", settings.product.properties)
        self.line_item: Final = _extras("sales_order_item", settings.line_item.properties)
        self.tables: Final = _widened(
            {
                "sales_order": self.deal,
                "customer_entity": self.contact,
                "catalog_product_entity": self.product,
                "sales_order_item": self.line_item,
            }
        )


def _extras(table: str, properties: dict[str, ColumnProperty]) -> Extras:
    [known] = [spec.columns for spec in TABLES if spec.name == table]
    return Extras(table, properties, known)


def _widened(extras: dict[str, Extras]) -> tuple[TableSpec, ...]:
    return tuple(_with(spec, extras[spec.name]) if spec.name in extras else spec for spec in TABLES)


def _with(spec: TableSpec, extras: Extras) -> TableSpec:
    """The table with these columns kept; one that was only looked at (``transient``) is kept now."""
    if not extras.columns:
        return spec
    further = sorted(extras.columns - set(spec.columns))
    return replace(spec, columns=(*spec.columns, *further), transient=spec.transient - extras.columns)
