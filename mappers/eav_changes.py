"""Which objects a change of attributes, of their options or of options' labels affects. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from cdc.model import BulkInvalidation, Value
from cdc.protocols import RowReader
from mappers.attributes import ADMIN
from mappers.eav import EavEntity
from mappers.plan import Plan
from mappers.row_changes import AffectedObjects, Affects, RowChange
from mappers.shop import shop


def affected_by(entity: EavEntity) -> tuple[tuple[str, Affects], ...]:
    """Table → the objects with attributes of this entity that a row of that table affects."""
    return (
        ("eav_attribute", partial(_attribute, entity)),
        ("eav_entity_type", partial(_entity_type, entity)),
        ("eav_attribute_option", partial(_option, entity)),
        ("eav_attribute_option_value", partial(_label, entity)),
        ("store", partial(_store, entity)),
    )


def _attribute(entity: EavEntity, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    if any(code in plan.codes[entity] for code in change.values("attribute_code")):
        yield entity.everything


def _entity_type(entity: EavEntity, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    if entity.entity_type in change.values("entity_type_code") and plan.codes[entity]:
        yield entity.everything


def _option(entity: EavEntity, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    """An option was added, removed or moved. With the first or the last option, ids become labels or labels ids."""
    for attribute_id in change.values("attribute_id"):
        for table in _value_tables(entity, attribute_id, rows, plan):
            yield _users(entity, table, "attribute_id", attribute_id, plan)


def _label(entity: EavEntity, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    """A label affects the objects that use its option, although no row of theirs changes."""
    views = (ADMIN, shop(rows, plan).view)
    if not any(row.get("store_id") in views for row in change.rows()):
        return
    for option_id in change.values("option_id"):
        held = rows.get("eav_attribute_option", option_id)
        if held is None:
            continue
        attribute_id = held.get("attribute_id")
        for table in _value_tables(entity, attribute_id, rows, plan):
            if table.endswith("_int"):  # one option is one number; a multiselect's text holds several
                yield _users(entity, table, "value", option_id, plan)
            else:
                yield _users(entity, table, "attribute_id", attribute_id, plan)


def _store(entity: EavEntity, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    """The chosen store view was added, removed or replaced: values and labels are those of another view."""
    if plan.settings.store_view in change.values("code") and plan.codes[entity]:
        yield entity.everything


def _value_tables(entity: EavEntity, attribute_id: Value, rows: RowReader, plan: Plan) -> Iterator[str]:
    """The table of the attribute's values, if it is a mapped attribute of this entity."""
    by_table = shop(rows, plan).attributes[entity].by_table
    return (table for table, codes in by_table.items() if attribute_id in codes)


def _users(entity: EavEntity, table: str, column: str, value: Value, plan: Plan) -> BulkInvalidation:
    """The objects with such a value; all objects if the value's row does not have the object's id."""
    if not entity.names_object(plan.settings):
        return entity.everything
    return BulkInvalidation(entity.kind, table, "entity_id", column, value)
