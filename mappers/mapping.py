"""Magento's tables as objects: the one ``Mapper`` (cdc/protocols.py), put together from the objects' descriptors.

Pure: the result depends only on the settings and the rows passed in. To add a property: name its column in the object's
tables, set the property in the object's ``render``, and list it among the object's properties. If the table is one
whose columns are compared (``RowChange.concerns``), add the column to those compared. To add a kind of object: write
its descriptor (``mappers/objects/descriptor.py``), and add the kind to ``cdc.model.OBJECTS`` and to the registry.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from cdc.errors import RenderError
from cdc.model import (
    OBJECT_TYPE,
    OBJECTS,
    BulkInvalidation,
    FetchByKey,
    Kind,
    ObjectRef,
    ObjectType,
    Rendered,
    Row,
    RowsUsed,
    TableSpec,
    Value,
)
from cdc.protocols import CartRules, RowReader
from cdc.settings.mapping import MappingSettings
from mappers import history, money, shop_tables
from mappers.eav import EavEntity
from mappers.objects import cart
from mappers.objects.address_contacts import with_addresses
from mappers.objects.descriptor import Derive, Keep
from mappers.objects.registry import DESCRIPTORS
from mappers.plan import Plan
from mappers.privacy import Privacy
from mappers.row_changes import Affects, RowChange
from mappers.shop import shop
from mappers.sources import sources

RENDERER_VERSION: Final = 2
"""Raise it whenever the same rows are rendered in another way: then all objects are rendered again."""

_DECIDING: Final = frozenset({"store", "store_website", "customer_group"})
"""Tables whose rows decide what a filter by code leaves in; their rows are rarely renamed or moved."""


class MagentoMapping:
    """Implements ``cdc.protocols.Mapper`` for Magento Open Source 2.3 to 2.4."""

    tables: tuple[TableSpec, ...]
    version: str

    def __init__(self, settings: MappingSettings, *, contacts_by_email: bool = False) -> None:
        """``contacts_by_email``: the receiver has one contact for each address
        (``mappers/objects/address_contacts.py``).
        """
        self.settings = settings
        self.plan = plan_of(settings, contacts_by_email=contacts_by_email)
        self.tables = self.plan.tables
        self.cart_rules: CartRules | None = cart.CartRules(self.plan) if settings.carts.enabled else None
        self.attributes: Mapping[str, Sequence[str]] = self.plan.asked_attributes()
        """Entity type → codes of the attributes in the settings: the shop must have them."""
        self.sources: Final = sources(self.plan)
        """Every property that may be sent, with its source."""
        self.privacy: Final = Privacy(settings.privacy, self.sources)
        own = (invalidation for one in DESCRIPTORS.values() for invalidation in one.everything(self.plan))
        self._everything: Final = (*own, *self.plan.forms.everything())
        self._affected_by: Final = _by_table(settings)
        filters = settings.filter
        decides = filters.on_orders or filters.on_customers or filters.on_products
        self._deciding: Final = _DECIDING if decides else frozenset()
        forms = frozenset(spec.name for spec in self.plan.forms.tables)
        self._added: Final = self._deciding | self.plan.extension_tables.affecting | self.plan.lookups.affecting | forms
        self._derive: Final[Mapping[str, Derive]] = {
            table: derive for one in DESCRIPTORS.values() for table, derive in one.derive.items()
        }
        self._keep: Final = _kept(self.plan)
        self._rows_used: Final = {kind: one.rows_used(self.plan) for kind, one in DESCRIPTORS.items()}
        dumped = settings.model_dump(mode="json", exclude={"privacy": {"key", "key_file"}, "product_key": True})
        asked = json.dumps([dumped, self.privacy.fingerprint(), contacts_by_email], sort_keys=True)
        self.version = f"{RENDERER_VERSION}-{hashlib.sha256(asked.encode()).hexdigest()[:16]}"

    def derive(self, table: str, row: Row) -> Mapping[str, Value]:
        """The derived columns; none if the columns that they need are not in the row (then the stored values stay)."""
        derive = self._derive.get(table)
        # Tables of objects first; all others that derive columns hold contact forms.
        if derive is not None:
            return derive(row, self.plan)
        return self.plan.forms.derive(table, row) if self.plan.forms.is_one(table) else {}

    def keep(self, table: str, row: Row, rows: RowReader) -> bool:
        """Whether the replica needs the row. It does not need values of known attributes that are not mapped."""
        keep = self._keep.get(table)
        if keep is not None:
            return keep(row, rows, self.plan)
        return self.plan.forms.keep(table, row) if self.plan.forms.is_one(table) else True

    def affected(
        self, table: str, before: Row | None, after: Row | None, rows: RowReader
    ) -> Iterator[ObjectRef | BulkInvalidation]:
        """The objects that this row affects; many at once as bulk invalidations."""
        change, plan = RowChange(before, after), self.plan
        own = chain.from_iterable([affects(change, rows, plan) for affects in self._affected_by.get(table, ())])
        # Most tables stop here: their rows bear on nothing but what descriptors name.
        if table not in self._added:
            return own
        return chain(
            own,
            plan.extension_tables.affected(table, before, after, rows),
            plan.lookups.affected(table, before, after),
            plan.forms.affected(table, before, after),
            self._everything if table in self._deciding else (),
        )

    def render(self, ref: ObjectRef, rows: RowReader) -> Rendered | None:
        """The object's complete state, or None if it does not exist. RenderError for an amount that is not a number."""
        # A wrong kind of id comes from a damaged row or a mistyped trace.
        if isinstance(ref.id, str) is not OBJECTS[ref.kind].has_hash_id:
            return None  # a number is no guest, digits are no number
        try:
            made = DESCRIPTORS[ref.kind].render(ref.id, rows, self.plan)
            if made is None:
                return None
            whole = self.plan.extension_tables.added(made, ref, rows)
            kept = self.privacy.of(ref.object_type, whole.properties)
            # Unchanged objects are not copied.
            return whole if kept is whole.properties else replace(whole, properties=kept)
        except money.NotANumberError as error:
            raise RenderError(
                # The sentence names the object and never the value.
                f"{ref.kind}-{ref.id}: {error}",
                hint="correct the object in the shop; its next change sends the object again",
            ) from None

    def everything(self) -> tuple[BulkInvalidation, ...]:
        """Bulk invalidations that together name every object that may exist (and some that do not), each once."""
        return self._everything

    def fetches(self, ref: ObjectRef, rows: RowReader) -> tuple[FetchByKey, ...]:
        """The server rows of which the object is made, as far as their keys are known now.

        Used while the replica is not known to be complete. It is called again after each round of reads, until it names
        no new rows: an item names its order; a customer without a row names the newest order.
        """
        own = DESCRIPTORS[ref.kind].fetches(ref.id, rows, self.plan)
        return (*own, *self.plan.extension_tables.fetches(ref, rows))

    def rows_used(self, kind: Kind) -> tuple[RowsUsed, ...]:
        """See ``ObjectDescriptor.rows_used``."""
        return self._rows_used[kind]

    def placed_ms(self, ref: ObjectRef, rows: RowReader) -> int | None:
        """See ``mappers/history.py``."""
        return history.placed_ms(ref, rows)

    def parts(self, ref: ObjectRef, rows: RowReader) -> tuple[ObjectRef, ...]:
        """See ``mappers/history.py``."""
        return history.parts(ref, rows)

    def main_row(self, ref: ObjectRef, rows: RowReader) -> Row | None:
        """See ``mappers/history.py``."""
        return history.main_row(ref, rows)

    def types_affected_by(self, table: str) -> frozenset[ObjectType]:
        """The types of the kinds whose descriptors name the table; all types for the settings' own tables."""
        # Extension tables, look-ups, contact forms and filters may bear on any kind.
        if table in self._added:
            return frozenset(ObjectType)
        return frozenset(
            OBJECT_TYPE[one.kind]
            for one in DESCRIPTORS.values()
            if any(name == table for name, _ in (*one.affected_by, *one.affected_if(self.settings)))
        )


def plan_of(settings: MappingSettings, *, contacts_by_email: bool = False) -> Plan:
    """The plan of the settings over the tables of all objects. ConfigError for settings that do not fit."""
    entities = [entity for one in DESCRIPTORS.values() for entity in one.eav_entities]
    tables = [
        *shop_tables.tables(with_options=any(entity.asked_codes(settings) for entity in entities)),
        *(spec for one in DESCRIPTORS.values() for spec in one.tables(settings)),
    ]
    # The receiver tells contacts apart by their address.
    if contacts_by_email:
        tables = [with_addresses(spec) for spec in tables]
    groups = [group for one in DESCRIPTORS.values() for group in one.column_groups]
    return Plan(settings, tables, groups, entities, contacts_by_email=contacts_by_email)


def _by_table(settings: MappingSettings) -> Mapping[str, tuple[Affects, ...]]:
    """Table → the functions that name the objects that a row of it affects, one per kind."""
    found: dict[str, tuple[Affects, ...]] = {}
    for descriptor in DESCRIPTORS.values():
        for table, affects in (*descriptor.affected_by, *descriptor.affected_if(settings)):
            found[table] = (*found.get(table, ()), affects)
    return found


def _kept(plan: Plan) -> Mapping[str, Keep]:
    """Table → which of its rows the replica needs; tables that are kept whole are missing."""
    found: dict[str, Keep] = {
        table: _values_kept(entity) for entity in plan.entities for table in plan.value_tables[entity].values()
    }
    for descriptor in DESCRIPTORS.values():
        found |= descriptor.keep
    return found


def _values_kept(entity: EavEntity) -> Keep:
    def keep(row: Row, rows: RowReader, plan: Plan) -> bool:
        return shop(rows, plan).attributes[entity].needs(row.get("attribute_id"))

    return keep
