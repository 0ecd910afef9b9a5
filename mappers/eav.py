"""Which entities have EAV attributes, the tables of their values, and the attributes that a mapping needs.

Pure. ``mappers/attributes.py`` turns values into text. ``mappers/eav_changes.py`` finds the objects that a changed
attribute affects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cdc.model import BulkInvalidation, Kind, TableSpec
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_columns import AttributeProperty


def _no_codes(settings: MappingSettings) -> frozenset[str]:
    return frozenset()


def _always(settings: MappingSettings) -> bool:
    return True


@dataclass(frozen=True, slots=True, eq=False)
class EavEntity:
    """One of Magento's entity types, whose attributes become properties of a kind of object.

    ``entity_type``: its ``entity_type_code``. ``tables``: ``eav_attribute.backend_type`` → the table of such values.
    ``everything``: the bulk invalidation of all objects with such attributes. ``asked``: property → attribute, from the
    settings. ``default_codes``: the attributes of default properties; their values are in the tables of
    ``default_backends``. ``needed``: further codes that settings need without making properties of them.
    ``names_object``: whether a value's ``entity_id`` is the object's own id.
    """

    kind: Kind
    entity_type: str
    tables: Mapping[str, str]
    everything: BulkInvalidation
    asked: Callable[[MappingSettings], Mapping[str, AttributeProperty]]
    default_codes: frozenset[str] = frozenset()
    default_backends: frozenset[str] = frozenset()
    needed: Callable[[MappingSettings], frozenset[str]] = _no_codes
    names_object: Callable[[MappingSettings], bool] = _always

    def asked_codes(self, settings: MappingSettings) -> frozenset[str]:
        """The codes of the attributes in the merchant's own properties."""
        return frozenset(made.code for made in self.asked(settings).values())

    def own_codes(self, settings: MappingSettings) -> frozenset[str]:
        """The codes that the settings add to the default codes."""
        return self.asked_codes(settings) | self.needed(settings)

    def codes(self, settings: MappingSettings) -> frozenset[str]:
        """The codes of the attributes whose values are kept."""
        return self.default_codes | self.own_codes(settings)

    def kept_tables(self, settings: MappingSettings) -> Mapping[str, str]:
        """The kept ones of ``tables``: a merchant's attribute may have any backend type."""
        if self.own_codes(settings):
            return self.tables
        return {backend: table for backend, table in self.tables.items() if backend in self.default_backends}

    def specs(self, settings: MappingSettings, columns: tuple[str, ...]) -> tuple[TableSpec, ...]:
        """The kept tables of values, with these columns: first the key, then the columns that join values
        to their entity.
        """
        own = self.own_codes(settings)
        return tuple(
            TableSpec(
                table,
                columns[:1],
                columns,
                indexes=((columns[1],),),
                selection=",".join(sorted(own)),
                kept_by=frozenset({"attribute_id"}),
            )
            for table in self.kept_tables(settings).values()
        )
