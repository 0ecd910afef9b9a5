"""What the settings ask of the mappers, worked out once: further properties, and the tables and columns they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cdc.mapping_config import AttributeProperty, ColumnProperty, MappingSettings
from cdc.model import TableSpec
from mappers.extras import Extras
from mappers.satellites import Satellites
from mappers.tables import ALL_PRODUCT_VALUES, CUSTOMER_VALUES, PRODUCT_VALUES, TABLES, with_attributes

DEFAULT_ATTRIBUTES: Final = ("name", "url_key", "image", "price", "description", "short_description", "status")
"""Codes of the product attributes that the default properties are made from."""


class Plan:
    """The settings as mappers use them. Immutable after construction.

    ``product_codes`` and ``customer_codes``: the attributes whose values are kept; ``product_values`` and
    ``customer_values``: ``eav_attribute.backend_type`` → the table that holds such values, where it is kept.
    """

    def __init__(self, settings: MappingSettings) -> None:
        self.settings: Final = settings
        self.deal: Final = _extras("sales_order", settings.deal.properties)
        self.contact: Final = _extras("customer_entity", settings.contact.properties)
        self.product: Final = _extras("catalog_product_entity", settings.product.properties)
        self.line_item: Final = _extras("sales_order_item", settings.line_item.properties)
        self.product_attributes: Final = settings.product.attributes
        self.customer_attributes: Final = settings.customer.attributes
        own = _codes(self.product_attributes)
        self.product_codes: Final = frozenset(DEFAULT_ATTRIBUTES) | own
        self.customer_codes: Final = _codes(self.customer_attributes)
        self.product_values: Final[Mapping[str, str]] = ALL_PRODUCT_VALUES if own else PRODUCT_VALUES
        self.customer_values: Final[Mapping[str, str]] = CUSTOMER_VALUES if self.customer_codes else {}
        extras = {
            "sales_order": self.deal,
            "customer_entity": self.contact,
            "catalog_product_entity": self.product,
            "sales_order_item": self.line_item,
        }
        widened = tuple(_with(spec, extras[spec.name]) if spec.name in extras else spec for spec in TABLES)
        held = with_attributes(widened, own, self.customer_codes)
        self.satellites: Final = Satellites(settings.satellites, held)
        between = self.satellites.between
        held = tuple(replace(spec, selection="every row") if spec.name in between else spec for spec in held)
        self.tables: Final = (*held, *self.satellites.tables)

    def asked_attributes(self) -> dict[str, list[str]]:
        """Entity type → codes of the attributes that the settings name."""
        return {
            "catalog_product": sorted(_codes(self.product_attributes)),
            "customer": sorted(self.customer_codes),
        }


def _codes(attributes: Mapping[str, AttributeProperty]) -> frozenset[str]:
    return frozenset(made.code for made in attributes.values())


def _extras(table: str, properties: Mapping[str, ColumnProperty]) -> Extras:
    [known] = [spec.columns for spec in TABLES if spec.name == table]
    return Extras(table, properties, known)


def _with(spec: TableSpec, extras: Extras) -> TableSpec:
    """The table with these columns kept; one that was only looked at (``transient``) is kept now."""
    if not extras.columns:
        return spec
    further = sorted(extras.columns - set(spec.columns))
    return replace(spec, columns=(*spec.columns, *further), transient=spec.transient - extras.columns)
