"""Values and keys in Kafka records: exactly reversible, readable by anybody who reads JSON. Pure.

========================== ================================================================================
value (cdc.model.Value)    JSON
========================== ================================================================================
integers, BIT, YEAR        a number, all 64 bits of it (also unsigned)
FLOAT, DOUBLE              a number with a point or an exponent
DECIMAL, dates, times      text as SELECT shows it: ``"59.9000"``, ``"0000-00-00"``; TIMESTAMP in UTC
ENUM, SET, text, JSON      text
BINARY, BLOB, GEOMETRY     ``{"base64": "…"}``, which no other value looks like
NULL                       null
ABSENT                     the column is missing from the object
========================== ================================================================================

A key is ``<table>/<part>``, with a part per column of the primary key: an integer as it is, text as ``~`` and the text
(``%``, ``/`` and what is not printable ASCII percent-encoded as UTF-8), bytes as ``0x`` and hex digits, a float as
Python writes it: ``sales_order/42``, ``inventory_stock/~WS-01/1``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, unquote

from cdc.model import Row, Value

_SAFE: Final = " !\"#$&'()*+,:;<=>?@[\\]^`{|}~"


def to_json(row: Row) -> dict[str, Any]:
    """The row as what a JSON library takes."""
    return {column: _encoded(value) for column, value in row.items()}


def from_json(values: Mapping[str, Any]) -> dict[str, Value]:
    """The row that ``to_json`` was given. ValueError for what it did not make."""
    return {column: _decoded(value) for column, value in values.items()}


def key_text(table: str, key: Sequence[Value]) -> str:
    """The record key of a table's row."""
    return "/".join([quote(table, safe=_SAFE), *(_part(value) for value in key)])


def key_parts(text: str) -> tuple[str, tuple[Value, ...]]:
    """Table and primary key. ValueError for text that ``key_text`` did not make."""
    table, *parts = text.split("/")
    if not table or not parts:
        raise ValueError("a record's key is <table>/<primary key>")
    return unquote(table, errors="strict"), tuple(_value(part) for part in parts)


def _encoded(value: Value) -> Any:
    return {"base64": base64.b64encode(value).decode("ascii")} if isinstance(value, bytes) else value


def _decoded(value: Any) -> Value:
    if isinstance(value, dict):
        if value.keys() != {"base64"} or not isinstance(value["base64"], str):
            raise ValueError('an object that is a value has just "base64"')
        try:
            return base64.b64decode(value["base64"], validate=True)
        except binascii.Error:
            raise ValueError("a value's base64 cannot be read") from None
    if isinstance(value, list | bool):
        raise ValueError("a value is a number, text, null or an object with base64")
    plain: Value = value
    return plain


def _part(value: Value) -> str:
    match value:
        case str():
            return "~" + quote(value, safe=_SAFE)
        case bytes():
            return "0x" + value.hex()
        case int() | float():
            return repr(value)
        case None:
            raise ValueError("a primary key holds no NULL")


def _value(part: str) -> Value:
    if part.startswith("~"):
        return unquote(part[1:], errors="strict")
    if part.startswith("0x"):
        return bytes.fromhex(part[2:])
    return int(part) if part.lstrip("-").isdecimal() else float(part)
