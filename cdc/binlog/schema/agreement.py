"""Compares a schema with a table map. Reads ``information_schema``'s ``column_type`` where the log says nothing.

A schema is of now, the log is of some time ago. So any visible difference is a reason not to trust the column names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from cdc.binlog.rows.metadata import Metadata
from cdc.binlog.rows.table_map import ColumnType, Field
from cdc.binlog.schema.columns import Column
from cdc.binlog.values.charsets import BYTES_PER_CHARACTER

_T = ColumnType

_TYPES: Final = {
    "tinyint": {_T.TINY}, "smallint": {_T.SHORT}, "mediumint": {_T.INT24}, "int": {_T.LONG}, "integer": {_T.LONG},
    "bigint": {_T.LONGLONG}, "float": {_T.FLOAT}, "double": {_T.DOUBLE}, "decimal": {_T.NEWDECIMAL}, "bit": {_T.BIT},
    "year": {_T.YEAR}, "date": {_T.DATE, _T.NEWDATE}, "time": {_T.TIME, _T.TIME2},
    "datetime": {_T.DATETIME, _T.DATETIME2}, "timestamp": {_T.TIMESTAMP, _T.TIMESTAMP2},
    "char": {_T.STRING}, "binary": {_T.STRING},
    "varchar": {_T.VARCHAR, _T.VAR_STRING, _T.MARIADB_VARCHAR_COMPRESSED},
    "varbinary": {_T.VARCHAR, _T.VAR_STRING, _T.MARIADB_VARCHAR_COMPRESSED},
    "enum": {_T.ENUM}, "set": {_T.SET}, "vector": {_T.VECTOR, _T.VARCHAR}, "json": {_T.JSON, _T.BLOB},
    **{prefix + kind: {_T.BLOB, _T.MARIADB_BLOB_COMPRESSED}
       for prefix in ("tiny", "", "medium", "long") for kind in ("text", "blob")},
}  # fmt: skip
_PREFIX_BYTES: Final = {"tiny": 1, "medi": 3, "long": 4}
_ARGUMENTS: Final = re.compile(r"^\w+\((\d+)(?:,(\d+))?\)")
_LABEL: Final = re.compile(r"'((?:[^']|'')*)'")
_ESCAPED: Final = re.compile(r"''|\\(.)", re.DOTALL)
_ESCAPES: Final = {"0": "\0", "n": "\n", "r": "\r"}  # sql/sql_show.cc, append_unescaped
_BEYOND_THREE_BYTES: Final = frozenset({"utf8mb4", "utf16", "utf16le", "utf32", "gb18030"})


def disagreement(fields: Sequence[Field], metadata: Metadata, columns: Sequence[Column]) -> str:
    """The first difference between log and schema, in words; "" when no difference is visible."""
    # Columns were added or dropped in between.
    if len(fields) != len(columns):
        return f"{len(fields)} columns in the log, {len(columns)} in the schema"
    for index, (field, column) in enumerate(zip(fields, columns, strict=True)):
        expected = _TYPES.get(column.data_type.lower())
        # A type that is not in the table cannot be compared, which is no disagreement.
        if expected is not None and field.type not in expected:
            return f"column {column.name} is {field.type.name} in the log and {column.column_type} in the schema"
        unsigned = metadata.unsigned.get(index)
        # The log writes a sign for BIT too, which means nothing.
        if unsigned is not None and field.type is not _T.BIT and unsigned != sign_in(column):
            return f"column {column.name} is {'' if unsigned else 'not '}unsigned in the log"
        if not _same_size(field, column):
            return f"column {column.name} has another size in the log than {column.column_type} in the schema"
    return ""


def _same_size(field: Field, column: Column) -> bool:
    kind = column.data_type.lower()
    if field.type is _T.BLOB and kind.endswith(("text", "blob")):
        # The prefix tells TINY, MEDIUM and LONG apart.
        return field.first == _PREFIX_BYTES.get(kind[:4], 2)
    match = _ARGUMENTS.match(column.column_type.lower())
    first = int(match[1]) if match else 0
    if field.type is _T.NEWDECIMAL and match:
        return (field.first, field.second) == (first, int(match[2] or 0))
    if field.type in (_T.TIMESTAMP2, _T.DATETIME2, _T.TIME2):
        return field.first == first
    if field.type is _T.VARCHAR and kind == "vector":  # MariaDB's: a number of four bytes per dimension
        return field.first == first * 4
    if field.type is _T.VARCHAR and match:
        width = BYTES_PER_CHARACTER.get(column.charset or "binary")
        # A character set that is not known has no width to compare.
        return width is None or field.first == first * width
    return True


def sign_in(column: Column) -> bool:
    """Whether the column is unsigned (ZEROFILL implies it)."""
    words = column.column_type.lower().split()
    return "unsigned" in words or "zerofill" in words


def labels_in(column: Column) -> tuple[str, ...]:
    r"""The labels of an ENUM or SET: ``enum('a','it''s','back\\slash')``.

    ValueError when the labels cannot be trusted: the server gives column_type in at most three bytes a character, and a
    question mark in place of a longer character.
    """
    labels = shown_labels(column)
    # A question mark may be a question mark, or the rest of an emoji. The two cannot be told apart here.
    if column.charset in _BEYOND_THREE_BYTES and any("?" in label for label in labels):
        raise ValueError("a label with a question mark, which the schema also gives in place of an emoji")
    return labels


def shown_labels(column: Column) -> tuple[str, ...]:
    """The labels as ``column_type`` shows them. In a server's text, a question mark may stand for an emoji."""
    return tuple(_ESCAPED.sub(_plain, label) for label in _LABEL.findall(column.column_type))


def _plain(found: re.Match[str]) -> str:
    return "'" if found[0] == "''" else _ESCAPES.get(found[1], found[1])
