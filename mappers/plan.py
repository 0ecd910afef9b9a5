"""What the settings ask of the mappers, worked out once: further properties, and the tables and columns they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from cdc.errors import ConfigError
from cdc.model import Kind, TableSpec
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_columns import AttributeProperty, ColumnProperty
from mappers.custom_properties import Extras
from mappers.extension_tables import ExtensionTables
from mappers.forms import Forms
from mappers.lookups import Lookups, Use, uses
from mappers.tables import (
    ADDRESS_VALUES,
    ALL_PRODUCT_VALUES,
    BASE,
    CUSTOMER_VALUES,
    PRODUCT_VALUES,
    PRODUCT_WEBSITES,
    TABLES,
    in_base_currency,
    in_row_ids,
    with_attributes,
    with_subscribers,
)

DEFAULT_ATTRIBUTES: Final = ("name", "url_key", "image", "price", "description", "short_description", "status")
"""Codes of the product attributes that the default properties are made from."""


ADDRESSES: Final = "sales_order_address"
_PAID: Final = ("sales_order", "sales_order_item")


class Plan:
    """The settings as mappers use them. Immutable after construction.

    ``product_codes``, ``customer_codes`` and ``address_codes``: the attributes whose values are kept;
    ``product_values``, ``customer_values`` and ``address_values``: ``eav_attribute.backend_type`` → the table that
    holds such values, where it is kept.
    """

    def __init__(self, settings: MappingSettings) -> None:
        self.settings: Final = settings
        self.deal: Final = _extras("sales_order", settings.deal.properties)
        self.billing: Final = _extras(ADDRESSES, settings.deal.billing_address)
        self.shipping: Final = _extras(ADDRESSES, settings.deal.shipping_address)
        self.contact: Final = _extras("customer_entity", settings.contact.properties)
        self.contact_address: Final = _extras("customer_address_entity", settings.contact.billing_address)
        self.product: Final = _extras("catalog_product_entity", settings.product.properties)
        self.line_item: Final = _extras("sales_order_item", settings.line_item.properties)
        self.product_attributes: Final = settings.product.attributes
        self.customer_attributes: Final = settings.customer.attributes
        self.address_attributes: Final = settings.customer.address_attributes
        own = _codes(self.product_attributes) | ({"visibility"} if settings.filter.product_visibility else frozenset())
        self.product_codes: Final = frozenset(DEFAULT_ATTRIBUTES) | own
        self.customer_codes: Final = _codes(self.customer_attributes)
        self.address_codes: Final = _codes(self.address_attributes)
        self.product_values: Final[Mapping[str, str]] = ALL_PRODUCT_VALUES if own else PRODUCT_VALUES
        self.customer_values: Final[Mapping[str, str]] = CUSTOMER_VALUES if self.customer_codes else {}
        self.address_values: Final[Mapping[str, str]] = ADDRESS_VALUES if self.address_codes else {}
        extras = {
            "sales_order": self.deal,
            "customer_entity": self.contact,
            "customer_address_entity": self.contact_address,
            "catalog_product_entity": self.product,
            "sales_order_item": self.line_item,
        }
        addresses = self.billing.columns | self.shipping.columns
        columns = {ADDRESSES: addresses, **{table: extra.columns for table, extra in extras.items()}}
        known = {column.casefold(): column for spec in TABLES if spec.name == "sales_order" for column in spec.columns}
        self.filter_columns: Final = (
            frozenset({"store_id", "customer_group_id"})
            | {known.get(rule.column.casefold(), rule.column) for rule in settings.filter.test_orders}
            if settings.filter.on_orders
            else frozenset()
        )
        """The columns of ``sales_order`` that decide whether an order is in."""
        columns["sales_order"] |= self.filter_columns
        self._base: Final[Mapping[str, str]] = BASE if settings.currency == "base" else {}
        self.base_columns: Final = frozenset(self._base.values())
        tables = (in_base_currency(spec) if spec.name in _PAID and self._base else spec for spec in TABLES)
        widened = tuple(_with(spec, columns.get(spec.name, frozenset())) for spec in tables)
        held = with_attributes(widened, own, self.customer_codes, self.address_codes)
        self.row_ids: Final = settings.product_key == "row_id"
        if self.row_ids:
            held = in_row_ids(held)
        if settings.subscribers:
            held = tuple(with_subscribers(spec) if spec.name == "newsletter_subscriber" else spec for spec in held)
        if settings.filter.websites:
            held = (*held, PRODUCT_WEBSITES)
        self.satellites: Final = ExtensionTables(settings.satellites, held)
        self.shipping_kept: Final = ADDRESSES in self.satellites.between or bool(settings.deal.shipping_address)
        self.forms: Final = Forms(settings.contact_forms, held)
        self.lookups: Final = Lookups(self._uses())
        if faults := list(self.lookups.faults(held)):
            raise ConfigError(faults)
        held = tuple(
            replace(spec, selection="every row") if spec.name == ADDRESSES and self.shipping_kept else spec
            for spec in held
        )
        self.tables: Final = (*self.lookups.widened(held), *self.satellites.tables, *self.forms.tables)

    @property
    def product_key(self) -> str:
        """The column of ``catalog_product_entity`` and of the value tables that joins them."""
        return "row_id" if self.row_ids else "entity_id"

    def paid(self, column: str) -> str:
        """An amount's (or its currency's) column of an order or line, in the currency that the settings ask for."""
        return self._base.get(column, column)

    def _uses(self) -> Iterator[Use]:
        asked = self.settings
        yield from uses(Kind.ORDER, "sales_order", "entity_id", asked.deal.properties)
        for properties in (asked.deal.billing_address, asked.deal.shipping_address):
            yield from uses(Kind.ORDER, ADDRESSES, "parent_id", properties)
        yield from uses(Kind.CUSTOMER, "customer_entity", "entity_id", asked.contact.properties)
        yield from uses(Kind.CUSTOMER, "customer_address_entity", "parent_id", asked.contact.billing_address)
        yield from uses(Kind.PRODUCT, "catalog_product_entity", "entity_id", asked.product.properties)
        yield from uses(Kind.ITEM, "sales_order_item", "item_id", asked.line_item.properties)
        yield from self.satellites.uses()
        yield from self.forms.uses()

    def asked_attributes(self) -> dict[str, list[str]]:
        """Entity type → codes of the attributes that the settings name."""
        return {
            "catalog_product": sorted(_codes(self.product_attributes)),
            "customer": sorted(self.customer_codes),
            "customer_address": sorted(self.address_codes),
        }


def _codes(attributes: Mapping[str, AttributeProperty]) -> frozenset[str]:
    return frozenset(made.code for made in attributes.values())


def _extras(table: str, properties: Mapping[str, ColumnProperty]) -> Extras:
    [known] = [spec.columns for spec in TABLES if spec.name == table]
    return Extras(table, properties, known)


def _with(spec: TableSpec, columns: frozenset[str]) -> TableSpec:
    """The table with these columns kept; one that was only looked at (``transient``) is kept now."""
    if not columns:
        return spec
    further = sorted(columns - set(spec.columns))
    return replace(spec, columns=(*spec.columns, *further), transient=spec.transient - columns)
