"""TABLE_MAP: the columns of the rows events that follow it.

    6 table id, 2 flags, 1 + database + 0, 1 + table + 0, number of columns, a type byte each,
    length of type details, the details (0, 1 or 2 bytes a column, by type), NULL-able bits, optional metadata

https://dev.mysql.com/doc/dev/mysql-server/latest/classmysql_1_1binlog_1_1event_1_1Table__map__event.html
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from cdc.binlog.rows.headers import cut, lenenc

_MOST_COLUMNS: Final = 4096


class ColumnType(IntEnum):
    """Type bytes, as in the servers' ``enum_field_types``."""

    DECIMAL = 0
    TINY = 1
    SHORT = 2
    LONG = 3
    FLOAT = 4
    DOUBLE = 5
    NULL = 6
    TIMESTAMP = 7
    LONGLONG = 8
    INT24 = 9
    DATE = 10
    TIME = 11
    DATETIME = 12
    YEAR = 13
    NEWDATE = 14
    VARCHAR = 15
    BIT = 16
    TIMESTAMP2 = 17
    DATETIME2 = 18
    TIME2 = 19
    TYPED_ARRAY = 20
    MARIADB_BLOB_COMPRESSED = 140
    MARIADB_VARCHAR_COMPRESSED = 141
    VECTOR = 242
    JSON = 245
    NEWDECIMAL = 246
    ENUM = 247
    SET = 248
    TINY_BLOB = 249
    MEDIUM_BLOB = 250
    LONG_BLOB = 251
    BLOB = 252
    VAR_STRING = 253
    STRING = 254
    GEOMETRY = 255


_T = ColumnType

_ONE_BYTE: Final = frozenset({
    _T.FLOAT, _T.DOUBLE, _T.TIMESTAMP2, _T.DATETIME2, _T.TIME2, _T.MARIADB_BLOB_COMPRESSED, _T.VECTOR, _T.JSON,
    _T.TINY_BLOB, _T.MEDIUM_BLOB, _T.LONG_BLOB, _T.BLOB, _T.GEOMETRY,
})  # fmt: skip
_TWO_BYTES: Final = frozenset({
    _T.VARCHAR, _T.BIT, _T.MARIADB_VARCHAR_COMPRESSED, _T.NEWDECIMAL, _T.ENUM, _T.SET, _T.VAR_STRING, _T.STRING,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One column as the table map describes it. The meaning of ``first`` and ``second`` depends on the type:

    VARCHAR, CHAR (STRING): greatest number of bytes, 0. BLOBs, JSON, GEOMETRY, VECTOR: bytes of the length prefix, 0.
    DECIMAL: precision, scale. BIT: whole bytes, bits over. ENUM, SET: bytes, 0. FLOAT, DOUBLE: bytes, 0. Temporal:
    decimals, 0.
    """

    type: ColumnType
    first: int = 0
    second: int = 0


@dataclass(frozen=True, slots=True)
class TableMap:
    """A table map without its id. ``metadata`` is the optional part, raw."""

    database: str
    table: str
    fields: tuple[Field, ...]
    metadata: bytes


def read_table_map(body: bytes) -> TableMap:
    """Parse the bytes behind table id and flags. ValueError or IndexError for bytes that do not fit."""
    database, at = _name(body, 0)
    table, at = _name(body, at)
    count, at = lenenc(body, at)
    if not 1 <= count <= _MOST_COLUMNS:
        raise ValueError(f"a table map with {count} columns")
    types = cut(body, at, count)
    length, at = lenenc(body, at + count)
    details = cut(body, at, length)
    at += length + (count + 7) // 8
    fields = _fields(types, details)
    return TableMap(database, table, fields, body[at:])


def _name(body: bytes, at: int) -> tuple[str, int]:
    length = body[at]
    return cut(body, at + 1, length).decode("utf-8"), at + length + 2


def _fields(types: bytes, details: bytes) -> tuple[Field, ...]:
    fields = []
    at = 0
    for byte in types:
        try:
            kind = ColumnType(byte)
        except ValueError:
            raise ValueError(f"a column of type {byte}, which is not known") from None
        if kind in _ONE_BYTE:
            fields.append(_field_of_one(kind, details[at]))
            at += 1
        elif kind in _TWO_BYTES:
            fields.append(_field_of_two(kind, details[at], details[at + 1]))
            at += 2
        elif kind is _T.TYPED_ARRAY:
            raise ValueError("a column of type TYPED_ARRAY, which servers do not log")
        else:
            fields.append(Field(kind))
    if at != len(details):
        raise ValueError("a table map whose type details do not fit its types")
    return tuple(fields)


def _field_of_one(kind: ColumnType, byte: int) -> Field:
    if kind not in (_T.TIMESTAMP2, _T.DATETIME2, _T.TIME2) and not 1 <= byte <= 8:
        raise ValueError(f"a {kind.name} column with detail {byte}")
    return Field(kind, byte)


def _field_of_two(kind: ColumnType, low: int, high: int) -> Field:
    if kind is _T.BIT:  # bits over, whole bytes
        return Field(kind, high, low)
    if kind is _T.NEWDECIMAL:
        return Field(kind, low, high)
    if kind in (_T.VARCHAR, _T.VAR_STRING, _T.MARIADB_VARCHAR_COMPRESSED):
        return Field(kind, low | high << 8)
    return _real_string(low, high)


def _real_string(low: int, high: int) -> Field:
    """The real type and length: STRING stands for CHAR, ENUM and SET.

    For a CHAR longer than 255, two bits of the length are inverted in the type byte.
    """
    real, length = low, high
    if low & 0x30 != 0x30:
        real, length = low | 0x30, high | ((low & 0x30) ^ 0x30) << 4
    kind = ColumnType(real)
    if kind in (_T.ENUM, _T.SET):
        if not 1 <= length <= (2 if kind is _T.ENUM else 8):
            raise ValueError(f"a {kind.name} column of {length} bytes")
        return Field(kind, length)
    return Field(_T.STRING, length)
