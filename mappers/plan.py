"""The plan of the settings for the mappers, made once: further properties, and the tables and columns that
they need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from cdc.errors import ConfigError
from cdc.model import TableSpec
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_columns import AttributeProperty
from mappers.currency import BASE
from mappers.custom_properties import ColumnGroup, CustomProperties
from mappers.eav import EavEntity
from mappers.extension_tables import ExtensionTables
from mappers.forms import Forms
from mappers.lookups import Lookups, Use, uses

_ORDERS: Final = "sales_order"


class Plan:
    """The settings in the form that mappers use. Immutable after construction.

    ``custom``: the merchant's own properties by group. For each entity with attributes: ``attributes`` has the
    merchant's own properties, ``codes`` the attributes whose values are kept, ``value_tables`` the tables of these
    values (``eav_attribute.backend_type`` → table).
    """

    def __init__(
        self,
        settings: MappingSettings,
        tables: Iterable[TableSpec],
        groups: Sequence[ColumnGroup] = (),
        entities: Sequence[EavEntity] = (),
        *,
        contacts_by_email: bool = False,
    ) -> None:
        """``tables``: the tables of the objects' default properties. ConfigError for settings that do not fit."""
        self.settings: Final = settings
        self.contacts_by_email: Final = contacts_by_email
        self.deleted_are_guests: Final = settings.deleted_customers == "guest"
        self.entities: Final = tuple(entities)
        self.attributes: Final[Mapping[EavEntity, Mapping[str, AttributeProperty]]] = {
            entity: entity.asked(settings) for entity in entities
        }
        self.codes: Final[Mapping[EavEntity, frozenset[str]]] = {entity: entity.codes(settings) for entity in entities}
        self.value_tables: Final[Mapping[EavEntity, Mapping[str, str]]] = {
            entity: entity.kept_tables(settings) for entity in entities
        }
        self.row_ids: Final = settings.product_key == "row_id"
        self.in_base: Final = settings.currency == "base"
        """Whether amounts are in the website's base currency."""
        self._base: Final[Mapping[str, str]] = BASE if self.in_base else {}
        self.filters_orders: Final = settings.filter.on_orders
        """Whether any order may be left out: asked for every order and line, and the settings never change."""
        self.filters_customers: Final = settings.filter.on_customers
        self.filters_products: Final = settings.filter.on_products
        self.base_columns: Final = frozenset(self._base.values())
        self.filter_columns: Final = _filter_columns(settings, tables)
        """The columns of ``sales_order`` that decide whether an order is in scope."""
        held = [_with(spec, self.filter_columns) if spec.name == _ORDERS else spec for spec in tables]
        custom: dict[ColumnGroup, CustomProperties] = {}
        for group in groups:  # one after the other: a column that two groups name is spelled as the first one does
            [known] = [spec.columns for spec in held if spec.name == group.table]
            custom[group] = CustomProperties(group.table, group.asked(settings), known)
            held = [_with(spec, custom[group].columns) if spec.name == group.table else spec for spec in held]
        self.custom: Final[Mapping[ColumnGroup, CustomProperties]] = custom
        held.sort(key=lambda spec: not spec.reference)
        self.extension_tables: Final = ExtensionTables(settings.satellites, held)
        self.forms: Final = Forms(settings.contact_forms, held)
        self.lookups: Final = Lookups(self._uses())
        if faults := list(self.lookups.faults(held)):
            raise ConfigError(faults)
        self.tables: Final = (*self.lookups.widened(held), *self.extension_tables.tables, *self.forms.tables)

    @property
    def product_key(self) -> str:
        """The column that joins ``catalog_product_entity`` and the tables of its values."""
        return "row_id" if self.row_ids else "entity_id"

    def paid(self, column: str) -> str:
        """The column of an amount (or of its currency) of an order or line, in the currency of the settings."""
        return self._base.get(column, column)

    def _uses(self) -> Iterator[Use]:
        for group in self.custom:
            yield from uses(group.kind, group.table, group.id_column, group.asked(self.settings))
        yield from self.extension_tables.uses()
        yield from self.forms.uses()

    def asked_attributes(self) -> dict[str, list[str]]:
        """Entity type → codes of the attributes in the settings."""
        return {entity.entity_type: sorted(entity.asked_codes(self.settings)) for entity in self.entities}


def _filter_columns(settings: MappingSettings, tables: Iterable[TableSpec]) -> frozenset[str]:
    if not settings.filter.on_orders:
        return frozenset()
    known = {column.casefold(): column for spec in tables if spec.name == _ORDERS for column in spec.columns}
    asked = (rule.column for rule in settings.filter.test_orders)
    return frozenset({"store_id", "customer_group_id"}) | {known.get(name.casefold(), name) for name in asked}


def _with(spec: TableSpec, columns: frozenset[str]) -> TableSpec:
    """The table with these columns kept, also those that were only read before (``transient``)."""
    if not columns:
        return spec
    further = sorted(columns - set(spec.columns))
    return replace(spec, columns=(*spec.columns, *further), transient=spec.transient - columns)
