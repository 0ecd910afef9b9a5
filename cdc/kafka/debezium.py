"""Debezium's messages: row changes of its MySQL and MariaDB connectors as JSON. Pure.

With and without schema, as envelopes (``before``, ``after``, ``op``, ``source``) and flattened by
ExtractNewRecordState (``__op``, ``__deleted``, ``__source_file`` and so on, as far as ``add.fields`` asks for them).
Formats: Debezium's documentation of both connectors and of that transformation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cdc.kafka.column_types import Types
from cdc.kafka.debezium_values import ValueModes, reader_of
from cdc.kafka.foreign import (
    BadRecordError,
    Reader,
    SourceChange,
    Tables,
    cells_of,
    milliseconds,
    must_have_key,
    parse_json,
    position_of,
    quoted,
)
from cdc.kafka.schema_changes import of_debezium
from cdc.model import Cells, Change, Op, TableSpec

NEW_KEY: Final = "__debezium.newkey"
"""Header of the deletion that is half of a changed primary key: nothing cascades from that deletion."""

_OPS: Final = {"c": Op.INSERT, "r": Op.INSERT, "u": Op.UPDATE, "d": Op.DELETE, "t": Op.TRUNCATE}
_REWRITE: Final = "set delete.tombstone.handling.mode=rewrite in ExtractNewRecordState"
_SCHEMA_CHANGE: Final = {"ddl", "databaseName"}
_TRANSACTION: Final = {"status", "event_count", "data_collections"}
"""Fields of schema changes and of transaction marks, if their topic is read too."""


class DebeziumReader:
    """Reads records one by one. ``prefix``: of the fields that flattening adds (``add.fields.prefix``)."""

    def __init__(self, tables: Tables, types: Types, modes: ValueModes, *, prefix: str = "__") -> None:
        self._tables = tables
        self._types = types
        self._modes = modes
        self._prefix = prefix
        self._readers: dict[tuple[str, str], tuple[Mapping[str, Any] | None, Reader]] = {}

    def read(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()
    ) -> list[SourceChange]:
        """The row changes in the record, at most one. Raises BadRecordError."""
        # Connect writes tombstones without a value.
        if value is None:
            return self._tombstone(topic, key)
        message = parse_json(value, "value")
        if message is None:  # JsonConverter writes JSON's null where Connect still has a schema of the value
            return self._tombstone(topic, key)
        if not isinstance(message, dict):
            raise BadRecordError("its value is no JSON object")
        schema: Mapping[str, Any] | None = None
        # With a schema the message is wrapped once more.
        if message.keys() == {"schema", "payload"}:
            schema, message = message["schema"], message["payload"]
            if message is None:
                return self._tombstone(topic, key)
        if message.keys() >= _SCHEMA_CHANGE:
            changes = of_debezium(message, self._tables.is_mapped, self._tables.specs)
            self._tables.note_schema_changes(topic, changes)
            return []
        # Transaction marks and heartbeats say nothing about rows.
        if message.keys() >= _TRANSACTION or message.keys() <= {"ts_ms", "ts_us", "ts_ns"}:
            return []
        if "op" in message and "source" in message:
            return self._envelope(topic, message, schema, key, {name for name, _ in headers})
        return self._flattened(topic, message, schema, key)

    # --------------------------------------------------------------------------------------------- the shapes

    def _envelope(
        self,
        topic: str,
        message: Mapping[str, Any],
        schema: Mapping[str, Any] | None,
        key: bytes | None,
        headers: set[str],
    ) -> list[SourceChange]:
        source, op = message["source"], message["op"]
        # m: a message in the log, and no row.
        if op == "m":
            return []
        if op not in _OPS or not isinstance(source, Mapping):
            raise BadRecordError(f"its op is {quoted(op)}, not one of c, r, u, d, t")
        spec = self._tables.find(topic, source.get("db"), str(source.get("table")))
        # A table that nobody maps.
        if spec is None:
            return []
        self._tables.notes[topic].tells_deletions = True
        kind = _OPS[op]
        fields = {name: _fields(schema, name) for name in ("before", "after")} if schema else {}
        after = before = None
        if kind in (Op.INSERT, Op.UPDATE):
            after = self._cells(spec, message.get("after"), fields.get("after"), "after")
            self._tables.look(spec, message["after"])
            self._look_at_key(topic, spec, key)
        if kind in (Op.UPDATE, Op.DELETE) and message.get("before") is not None:
            before = self._cells(spec, message["before"], fields.get("before"), "before")
        # Some connectors leave the before-image out; the key is enough for a deletion.
        if kind is Op.DELETE and before is None:
            before = self._key_cells(spec, key)
        change = Change(spec.name, kind, before, after, cascades=kind is Op.DELETE and NEW_KEY not in headers)
        position = position_of(source.get("file"), source.get("pos"), source.get("server_id"), source.get("gtid"))
        commit_ms, is_snapshot = milliseconds(source.get("ts_ms")), _is_snapshot(source.get("snapshot"))
        return [SourceChange(change, position, commit_ms, is_snapshot, is_created=op == "c" and not is_snapshot)]

    def _flattened(
        self, topic: str, row: Mapping[str, Any], schema: Mapping[str, Any] | None, key: bytes | None
    ) -> list[SourceChange]:
        def added(*names: str) -> Any:
            return next((row[name] for n in names if (name := self._prefix + n) in row), None)

        database, table = added("source_db", "db"), added("source_table", "table")
        spec = self._tables.find(
            topic, database, table if isinstance(table, str) else self._tables.named_by_topic(topic)
        )
        if spec is None:
            return []
        op, deleted = added("op"), added("deleted")
        if deleted is not None:  # delete.tombstone.handling.mode = rewrite
            self._tables.notes[topic].tells_deletions = True
        if op not in (None, "m", *_OPS):
            raise BadRecordError(f"its {self._prefix}op is {quoted(op)}")
        position = position_of(
            added("source_file", "file"), added("source_pos", "pos"), added("source_server_id", "server_id"),
            added("source_gtid", "gtid"),
        )  # fmt: skip
        commit_ms = milliseconds(added("source_ts_ms", "ts_ms"))
        is_snapshot = _is_snapshot(added("source_snapshot", "snapshot"))
        cells = self._cells(spec, row, _fields(schema) if schema else None, "value")
        if op == "t":
            change = Change(spec.name, Op.TRUNCATE, None, None)
        elif op == "d" or str(deleted).lower() == "true":
            # rewrite mode says it by a field, the others by op.
            change = Change(spec.name, Op.DELETE, cells, None)
        else:
            change = Change(spec.name, Op.UPDATE if op == "u" else Op.INSERT, None, cells)
            self._tables.look(spec, row)
            self._look_at_key(topic, spec, key)
        return [SourceChange(change, position, commit_ms, is_snapshot, is_created=op == "c" and not is_snapshot)]

    def _tombstone(self, topic: str, key: bytes | None) -> list[SourceChange]:
        """The row is deleted. Usually the record of the deletion came right before, unless compaction removed it.

        A tombstone may not say which row is deleted (its topic has several tables, or ``message.key.columns`` is set).
        Where deletions have records of their own, such a tombstone is skipped. Otherwise the deletion would be lost,
        which is an error.
        """
        # Without a key nobody knows which row is meant.
        if key is None:
            return []
        notes = self._tables.notes[topic]
        table = self._tables.of_topic(topic) or (next(iter(notes.tables)) if len(notes.tables) == 1 else None)
        spec = self._tables.specs.get(table or "")
        row = self._key_row(key)
        # The key names the row completely.
        if spec is not None and all(column in row for column in spec.key):
            return [SourceChange(Change(spec.name, Op.DELETE, self._key_cells(spec, key), None), None, 0)]
        # The row's deletion has a record of its own, or nothing of this topic was ever taken.
        if notes.tells_deletions or (spec is None and not notes.rows):
            return []
        if spec is None:
            raise BadRecordError("the topic has several tables, and a tombstone names none: " + _REWRITE)
        raise BadRecordError(f"its key lacks the primary key of {spec.name} ({', '.join(spec.key)}): {_REWRITE}")

    # ------------------------------------------------------------------------------------------------- values

    def _key_cells(self, spec: TableSpec, key: bytes | None) -> Cells:
        row = parse_json(key, "key") if key is not None else {}
        schema = None
        # With a schema the key is wrapped as well.
        if isinstance(row, dict) and row.keys() == {"schema", "payload"}:
            schema, row = row["schema"], row["payload"]
        return self._cells(spec, row, _fields(schema) if schema else None, "key")

    def _look_at_key(self, topic: str, spec: TableSpec, key: bytes | None) -> None:
        if key is not None and self._tables.is_key_unlooked(topic, spec):
            self._tables.look_at_key(topic, spec, self._key_row(key))

    @staticmethod
    def _key_row(key: bytes) -> Mapping[str, Any]:
        row = parse_json(key, "key")
        if isinstance(row, dict) and row.keys() == {"schema", "payload"}:
            row = row["payload"]
        return row if isinstance(row, dict) else {}

    def _cells(self, spec: TableSpec, row: Any, fields: Mapping[str, Any] | None, what: str) -> Cells:
        if not isinstance(row, dict):
            raise BadRecordError(f"its {what} is no JSON object")

        def reader(column: str) -> Reader:
            schema = fields.get(column) if fields is not None else None
            held = self._readers.get((spec.name, column))
            # The connector was set up anew: the same column may come in another form.
            if held is None or held[0] != schema:
                known = self._types.get(spec.name, {}).get(column)
                held = self._readers[spec.name, column] = schema, reader_of(schema, known, self._modes)
            return held[1]

        return must_have_key(spec, cells_of(spec, row, reader))


def _is_snapshot(said: object) -> bool:
    """Whether the row was read by a snapshot at one position of the log.

    Rows of an incremental snapshot carry the position of the moment, as changes do. Debezium writes ``true``,
    ``first``, ``last``, ``first_in_data_collection`` and so on.
    """
    return said is True or (isinstance(said, str) and said.lower() not in ("", "false", "incremental"))


def _fields(schema: Mapping[str, Any] | None, name: str = "") -> dict[str, Any]:
    """The schemas of a struct's fields by name; with ``name``, of the struct in that field."""
    found = {field.get("field"): field for field in (schema or {}).get("fields") or ()}
    return _fields(found.get(name)) if name else found
