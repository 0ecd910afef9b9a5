"""The newest record of each published table, kept with the state, so that a record is published only when it changes.

Used by the journal, inside the store's transactions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from cdc.kafka.record import SCHEMA_KEY, KafkaRecord, Origin, TableRecord, decode, encode
from cdc.model import TableSchema, TableSpec
from cdc.state.schema import stored_columns
from cdc.state.store import Store

_TRUNCATE: Final = "TRUNCATE TABLE"


class PublishedSchemas:
    """The newest record of each table. Call ``reread`` after a transaction was undone."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: dict[str, TableRecord] = {}
        self.reread()

    def reread(self) -> None:
        """Read the records from the state."""
        self._held = {}
        for table, value in self._store.meta.relay_schemas.items():
            record = decode(KafkaRecord(SCHEMA_KEY + table.encode(), value.encode()))
            assert isinstance(record, TableRecord)
            self._held[table] = record

    def tables(self) -> Mapping[str, TableRecord]:
        """Table → its newest record."""
        return self._held

    def replace(self, records: Iterable[TableRecord]) -> None:
        """The topic holds exactly these records."""
        self._held = {record.table: record for record in records}
        self._keep()

    def published(self, spec: TableSpec) -> TableRecord | None:
        """The record to publish for this table's columns; None if the topic has it."""
        held = self._held.get(spec.name, TableRecord(spec.name, (), ()))
        now = replace(held, key=spec.key, columns=stored_columns(spec))
        if now == held:
            return None
        return self._note(replace(now, change="", other="", origin=None))

    def define(self, schema: TableSchema, origin: Origin) -> TableRecord | None:
        """The record of a table's new definition.

        None if the table is not published, or if there was no statement and nothing changed.
        """
        spec = self._store.tables.get(schema.table)
        if spec is None:
            return None
        held = self._held.get(spec.name, TableRecord(spec.name, spec.key, stored_columns(spec)))
        definition = _without_defaults(spec, json.loads(schema.columns)) if schema.columns else None
        now = replace(
            held, name=schema.name, change=schema.change, other=schema.other, exists=schema.exists, lost=schema.lost,
            definition=definition, assumed_until=schema.until, origin=origin,
        )  # fmt: skip
        if not schema.change and replace(now, change=held.change, other=held.other, origin=held.origin) == held:
            return None
        return self._note(now)

    def truncate(self, table: str, origin: Origin) -> TableRecord:
        """The record of a TRUNCATE; the table's definition stays."""
        spec = self._store.tables[table]
        held = self._held.get(table, TableRecord(table, spec.key, stored_columns(spec)))
        return self._note(replace(held, change=_TRUNCATE, other="", origin=origin))

    def _note(self, record: TableRecord) -> TableRecord:
        self._held[record.table] = record
        self._keep()
        return record

    def _keep(self) -> None:
        texts = {table: (encode(record).value or b"").decode() for table, record in self._held.items()}
        self._store.meta.relay_schemas = texts


def as_schema(record: TableRecord) -> TableSchema | None:
    """The table's columns in a record; None if the record does not know them."""
    if not record.name or (record.definition is None and record.exists):
        return None
    columns = json.dumps(record.definition) if record.definition is not None else ""
    return TableSchema(record.name, record.table, columns, record.assumed_until, record.exists, record.lost)


def _without_defaults(spec: TableSpec, definition: Mapping[str, Any]) -> dict[str, Any]:
    """The columns without the defaults of unmapped columns, which are named only to keep the others in order."""
    mapped = {column.lower() for column in spec.columns}
    columns = [
        column if column["name"].lower() in mapped else {**column, "default": None} for column in definition["columns"]
    ]
    return {**definition, "columns": columns}
