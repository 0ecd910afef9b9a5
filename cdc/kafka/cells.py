"""Values and keys in Kafka records, as JSON that gives back each value exactly. Pure.

========================== ================================================================================
value (cdc.model.Value)    JSON
========================== ================================================================================
integers, BIT, YEAR        a number, all 64 bits of it (also unsigned)
FLOAT, DOUBLE              a number with a point or an exponent
DECIMAL, dates, times      text as SELECT shows it: ``"59.9000"``, ``"0000-00-00"``; TIMESTAMP in UTC
ENUM, SET, text, JSON      text
BINARY, BLOB, GEOMETRY     ``{"base64": "…"}``; no other value has this form
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
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, unquote

from cdc.model import Value

_SAFE: Final = " !\"#$&'()*+,:;<=>?@[\\]^`{|}~"


def plain(value: object) -> dict[str, str]:
    """Bytes in a form that a JSON library takes; other values stay as they are. The JSON library calls this for values
    that it does not know.
    """
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode("ascii")}
    raise TypeError(f"a value of type {type(value).__name__}")


def from_json(values: Mapping[str, Any]) -> dict[str, Value]:
    """The row from the JSON that was made with ``plain``. ValueError for other JSON."""
    return {column: _decoded(value) for column, value in values.items()}


def key_text(table: str, key: Sequence[Value]) -> str:
    """The record key of a table's row."""
    if len(key) == 1 and type(key[0]) is int:  # most of them
        return f"{_quoted(table)}/{key[0]}"
    return "/".join([_quoted(table), *(_part(value) for value in key)])


def key_parts(text: str) -> tuple[str, tuple[Value, ...]]:
    """Table and primary key. ValueError for a text that ``key_text`` did not make."""
    table, *parts = text.split("/")
    if not table or not parts:
        raise ValueError("a record's key is <table>/<primary key>")
    return unquote(table, errors="strict"), tuple(_value(part) for part in parts)


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


@lru_cache(1024)
def _quoted(table: str) -> str:
    return quote(table, safe=_SAFE)


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
    value = int(part) if part.lstrip("-").isdecimal() else float(part)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a primary key holds a finite number")
    return value
