"""Traits of columns that no table map holds, whatever binlog_row_metadata is. The schema has them, by column name.

    FLOAT(7,2), DOUBLE(9,2)  the decimals that SELECT shows; a plain FLOAT shows six digits
    UUID, INET4, INET6       MariaDB logs BINARY(16), BINARY(4) and BINARY(16)
    TIME(3) and the like     MariaDB's form from before 10.1 (mysql56_temporal_format = OFF): even the width

The schema is of now. For the first two lines it is a hint, and a table without a schema is read without the hint. The
columns of the last line cannot be read at all without the schema.
"""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from cdc.binlog.rows.metadata import Metadata
from cdc.binlog.rows.table_map import ColumnType, Field
from cdc.binlog.schema.columns import Column
from cdc.binlog.values.charsets import BINARY, charset_of

_T = ColumnType

OLD_TIMES: Final = frozenset({_T.TIMESTAMP, _T.DATETIME, _T.TIME})
_ADDRESS_BYTES: Final = frozenset({4, 16})
_DISPLAY: Final = re.compile(r"(?:float|double)\(\d+,(\d+)\)", re.IGNORECASE)
_DECIMALS: Final = re.compile(r"(?:timestamp|datetime|time)(?:\((\d)\))?", re.IGNORECASE)
_FLOATING: Final = {_T.FLOAT: "<f", _T.DOUBLE: "<d"}
_KINDS: Final = {_T.TIMESTAMP: "timestamp", _T.DATETIME: "datetime", _T.TIME: "time"}


def asks_for_schema(fields: Sequence[Field], metadata: Metadata, *, is_mariadb: bool) -> bool:
    """Whether a table with these fields has columns of which the schema knows more than the log."""
    for index, field in enumerate(fields):
        if field.type in _FLOATING:
            return True
        if is_mariadb and field.type in OLD_TIMES:
            return True
        may_be_address = field.type is _T.STRING and field.first in _ADDRESS_BYTES
        if is_mariadb and may_be_address and charset_of(metadata.collations.get(index, 0)) == BINARY:
            return True
    return False


def with_decimals(field: Field, column: Column | None) -> Field:
    """The decoder of MariaDB's old TIME, DATETIME or TIMESTAMP with the schema's decimals. ValueError when they are not
    known.
    """
    match = _DECIMALS.match(column.column_type) if column is not None else None
    if column is None or match is None or column.data_type.lower() != _KINDS[field.type]:
        raise ValueError("a time in the form from before MariaDB 10.1, and no schema to tell its width")
    return replace(field, first=int(match[1] or 0))


def decoder_by_schema(field: Field, column: Column | None) -> Callable[[bytes], str | float] | None:
    """The decoder that gives this column's value as SELECT shows it, where only the schema decides; else None."""
    if column is None:
        return None
    kind = column.data_type.lower()
    if field.type in _FLOATING:
        match = _DISPLAY.match(column.column_type)
        return _float_decoder(_FLOATING[field.type], int(match[1])) if match else None
    if field.type is _T.STRING and kind in _OF_BYTES:
        width, text = _OF_BYTES[kind]
        return (lambda raw: text(raw.ljust(width, b"\0"))) if field.first == width else None
    return None


def _float_decoder(form: str, decimals: int) -> Callable[[bytes], float]:
    unpack = struct.Struct(form).unpack
    return lambda raw: round(float(unpack(raw)[0]), decimals)


def _inet6_text(raw: bytes) -> str:
    """An address as MariaDB's Inet6::to_string writes it: a single zero group is left out too, and IPv4 has dots also
    behind ``::`` alone.
    """
    words = [int.from_bytes(raw[at : at + 2], "big") for at in range(0, 16, 2)]
    dotted = ".".join(str(byte) for byte in raw[12:])
    if not any(words[:5]) and words[5] == 0xFFFF:
        return f"::ffff:{dotted}"
    if not any(words[:6]) and words[6]:
        return f"::{dotted}"
    runs = re.finditer("0+", "".join("0" if word == 0 else "x" for word in words))
    gap = max(runs, key=lambda run: (run.end() - run.start(), -run.start()), default=None)
    if gap is None:
        return _groups(words)
    return f"{_groups(words[: gap.start()])}::{_groups(words[gap.end() :])}"


def _groups(words: Sequence[int]) -> str:
    return ":".join(f"{word:x}" for word in words)


_OF_BYTES: Final[dict[str, tuple[int, Callable[[bytes], str]]]] = {
    "uuid": (16, lambda raw: str(uuid.UUID(bytes=raw))),
    "inet4": (4, lambda raw: ".".join(str(byte) for byte in raw)),
    "inet6": (16, _inet6_text),
}
