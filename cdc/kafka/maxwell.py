"""Maxwell's messages: row changes as JSON. Pure.

Values come in the server's own text, except: numbers as JSON numbers, BLOB and BINARY as base64, SET as an array.
Format: Maxwell's "Data Format" page. The position needs ``output_binlog_position``, the server ``output_server_id``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import orjson

from cdc.kafka.column_types import ColumnType, Types
from cdc.kafka.debezium_values import fixed
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
from cdc.kafka.schema_changes import of_maxwell
from cdc.model import ABSENT, Absent, Cells, Change, Op, TableSpec, Value

_OPS: Final = {"insert": Op.INSERT, "bootstrap-insert": Op.INSERT, "update": Op.UPDATE, "delete": Op.DELETE}
_NOT_ROWS: Final = ("bootstrap-start", "bootstrap-complete", "heartbeat", "database-create", "database-alter")
_SCHEMA_CHANGES: Final = ("database-drop", "table-create", "table-alter", "table-drop")


class MaxwellReader:
    """Reads records one by one."""

    def __init__(self, tables: Tables, types: Types) -> None:
        self._tables = tables
        self._types = types
        self._readers: dict[tuple[str, str], Reader] = {}

    def read(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()
    ) -> list[SourceChange]:
        """The row changes in the record, at most one. Raises BadRecordError."""
        # Compaction leaves only the tombstone of a deleted row.
        if value is None:
            return self._tombstone(topic, key)
        try:
            message = json.loads(value, parse_float=Decimal)  # a DECIMAL's digits would not survive a float
        except ValueError as error:
            raise BadRecordError("its value is not JSON") from error
        if message is None:
            return self._tombstone(topic, key)
        if not isinstance(message, dict):
            raise BadRecordError("its value is no JSON object")
        kind = message.get("type")
        if kind in _SCHEMA_CHANGES:
            changes = of_maxwell(message, self._tables.is_mapped, self._tables.specs)
            self._tables.note_schema_changes(topic, changes)
            return []
        # Heartbeats and marks of a bootstrap say nothing about rows.
        if kind in _NOT_ROWS:
            return []
        if kind not in _OPS:
            raise BadRecordError(f"its type is {quoted(kind)}")
        spec = self._tables.find(topic, message.get("database"), str(message.get("table")))
        # A table that nobody maps.
        if spec is None:
            return []
        data, old = message.get("data"), message.get("old") or {}
        if not isinstance(data, dict) or not isinstance(old, dict):
            raise BadRecordError("its data is no JSON object")
        op = _OPS[kind]
        cells = self._cells(spec, data)
        # A deletion holds the row before, which need not be complete.
        if op is not Op.DELETE:
            self._tables.look(spec, data)
        before: Cells | None = None
        # Maxwell gives only what changed of the row before.
        if op is Op.UPDATE:
            before = self._cells(spec, {**data, **old})
        change = Change(spec.name, op, cells, None) if op is Op.DELETE else Change(spec.name, op, before, cells)
        file, _, offset = str(message.get("position") or "").rpartition(":")
        position = position_of(file, _number(offset), message.get("server_id"), message.get("gtid"))
        commit_ms = milliseconds(message.get("ts"), per_s=1)
        return [SourceChange(change, position, commit_ms, is_created=kind == "insert")]

    def _tombstone(self, topic: str, key: bytes | None) -> list[SourceChange]:
        """The row is deleted. Its deletion has a record of its own, so a key without the primary key adds nothing."""
        named = parse_json(key, "key") if key is not None else {}
        if not isinstance(named, dict):
            return []  # keys of the form "array" name no columns
        spec = self._tables.find(topic, named.get("database"), str(named.get("table")))
        if spec is None:
            return []
        row = {name.removeprefix("pk."): value for name, value in named.items() if name.startswith("pk.")}
        # Without the primary key nobody knows which row is gone.
        if not all(column in row for column in spec.key):
            return []
        return [SourceChange(Change(spec.name, Op.DELETE, self._cells(spec, row), None), None, 0)]

    def _cells(self, spec: TableSpec, row: Mapping[str, Any]) -> Cells:
        def reader(column: str) -> Reader:
            held = self._readers.get((spec.name, column))
            if held is None:
                held = self._readers[spec.name, column] = _reader(self._types.get(spec.name, {}).get(column))
            return held

        return must_have_key(spec, cells_of(spec, row, reader))


def _reader(known: ColumnType | None) -> Reader:
    # Binary columns come as base64.
    if known is not None and known.is_binary:
        return lambda value: base64.b64decode(value, validate=True)
    # The column's own scale: 59.9 is stored as 59.9000.
    if known is not None and known.base == "decimal":
        return lambda value: fixed(Decimal(value), known.digits)
    if known is not None and known.base in ("float", "double"):
        return float
    return _plain


def _number(text: str) -> int | None:
    """The number; None for a value that is not a number. A number beyond any log stays large, so that ``position_of``
    refuses it.
    """
    return int(text[:20]) if text.isascii() and text.isdecimal() else None


def _plain(value: Any) -> Value | Absent:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    # A SET comes as a list of its labels.
    if isinstance(value, list) and all(isinstance(label, str) for label in value):
        return ",".join(value)
    if isinstance(value, dict | list):  # a JSON column
        return orjson.dumps(value, default=float).decode()
    if isinstance(value, str):
        value.encode()  # half of a surrogate pair is JSON, and no text
    return value if isinstance(value, int | str) else ABSENT
