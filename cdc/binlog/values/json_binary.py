"""MySQL's binary JSON → the text that SELECT shows. (MariaDB's JSON is text already.)

Layout (MySQL's sql-common/json_binary.h), little-endian, a type byte and a value; offsets count from the container:

    object  count, bytes, per key its offset and 2 length, per value 1 type and itself or its offset, keys, values
    array   count, bytes, per value 1 type and itself or its offset, values
            sizes and offsets take 2 bytes in small containers, 4 in large ones; what fits there stands in place
    string  length in groups of 7 bits, UTF-8
    opaque  1 column type, length as above, bytes: DECIMAL, dates and times, or anything else as base64
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from typing import Final

from cdc.binlog.values.numbers import decimal_decoder, decimal_width
from cdc.binlog.values.temporal import datetime_text, time_text

_SMALL_OBJECT, _LARGE_OBJECT, _SMALL_ARRAY, _LARGE_ARRAY = range(4)
_LITERAL, _INT16, _UINT16, _INT32, _UINT32, _INT64, _UINT64, _DOUBLE, _STRING = range(4, 13)
_OPAQUE: Final = 15

_LITERALS: Final = {0: "null", 1: "true", 2: "false"}
_INTEGERS: Final = {_INT16: (2, True), _UINT16: (2, False), _INT32: (4, True), _UINT32: (4, False),
                    _INT64: (8, True), _UINT64: (8, False)}  # fmt: skip
_DOUBLE_VALUE: Final = struct.Struct("<d")

_DEEPEST: Final = 110  # servers refuse documents deeper than 100
_MOST_PLAIN_EXPONENT: Final = 15  # beyond, the server writes 1e16 (dtoa.c: DBL_DIG)

# Column types inside an opaque value.
_TIMESTAMP, _DATE, _TIME, _DATETIME, _DECIMAL = 7, 10, 11, 12, 246


def json_text(raw: bytes) -> str:
    """The document as SELECT shows it: ``{"a": [1, 2.5]}``. ValueError for bytes that are not a document.

    Reads each byte about once: a document whose offsets point back at itself is refused.
    """
    if not raw:
        return "null"  # what the server makes of it
    reader = _Reader(raw)
    try:
        reader.value(raw[0], 1, 0)
    except (IndexError, struct.error, RecursionError) as error:
        raise ValueError("JSON that ends too early") from error
    return "".join(reader.out)


class _Reader:
    """Walks one document and collects its text in ``out``."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.out: list[str] = []
        self._left = 2 * len(raw) + 64  # bytes it may still read

    def value(self, kind: int, at: int, depth: int) -> None:
        """Write the value of type ``kind`` at ``at`` to ``out``."""
        if kind <= _LARGE_ARRAY:
            self._container(kind, at, depth)
        elif kind == _LITERAL:
            self._put(_LITERALS, self.raw[at])
        elif kind in _INTEGERS:
            width, signed = _INTEGERS[kind]
            self.out.append(str(int.from_bytes(self._bytes(at, width), "little", signed=signed)))
        elif kind == _DOUBLE:
            self.out.append(double_text(_DOUBLE_VALUE.unpack(self._bytes(at, 8))[0]))
        elif kind == _STRING:
            at, length = self._length(at)
            self.out.append(_quoted(self._bytes(at, length)))
        elif kind == _OPAQUE:
            self._opaque(at)
        else:
            raise ValueError(f"JSON with a value of type {kind}")

    def _container(self, kind: int, at: int, depth: int) -> None:
        # Deeper than any server accepts; Python's own limit on recursion would give a worse error.
        if depth > _DEEPEST:
            raise ValueError("JSON nested too deep")
        width = 4 if kind in (_LARGE_OBJECT, _LARGE_ARRAY) else 2
        is_object = kind in (_SMALL_OBJECT, _LARGE_OBJECT)
        count = self._number(at, width)
        keys = at + 2 * width
        values = keys + count * (width + 2) if is_object else keys
        self._spend(count * (width + 1))
        self.out.append("{" if is_object else "[")
        for index in range(count):
            if index:
                self.out.append(", ")
            if is_object:
                entry = keys + index * (width + 2)
                start = at + self._number(entry, width)
                self.out.append(_quoted(self._bytes(start, self._number(entry + width, 2))))
                self.out.append(": ")
            entry = values + index * (width + 1)
            inner = self.raw[entry]
            # Small values stand in the entry itself, others at an offset.
            stands_here = inner in (_LITERAL, _INT16, _UINT16) or (width == 4 and inner in (_INT32, _UINT32))
            self.value(inner, entry + 1 if stands_here else at + self._number(entry + 1, width), depth + 1)
        self.out.append("}" if is_object else "]")

    def _opaque(self, at: int) -> None:
        kind = self.raw[at]
        at, length = self._length(at + 1)
        body = self._bytes(at, length)
        # A decimal carries its digits and scale in its first two bytes.
        if kind == _DECIMAL and length > 2:
            # Reading on would take bytes of the next value.
            if decimal_width(body[0], body[1]) != length - 2:
                raise ValueError("JSON with a decimal of a wrong length")
            self.out.append(decimal_decoder(body[0], body[1])(body[2:]))
        elif kind in _TEMPORAL and length == 8:
            self.out.append(f'"{_TEMPORAL[kind](int.from_bytes(body, "little", signed=True))}"')
        else:
            # SELECT shows what it has no text for in the same way.
            self.out.append(f'"base64:type{kind}:{base64.b64encode(body).decode("ascii")}"')

    def _number(self, at: int, width: int) -> int:
        return int.from_bytes(self._bytes(at, width), "little")

    def _length(self, at: int) -> tuple[int, int]:
        """Where the bytes begin, and how many they are: 7 bits a byte, lowest
        first; the top bit says that more follow.
        """
        length = 0
        for index in range(5):
            byte = self.raw[at + index]
            length |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                return at + index + 1, length
        raise ValueError("JSON with a length of more than 32 bits")

    def _bytes(self, at: int, length: int) -> bytes:
        if at + length > len(self.raw):
            raise ValueError("JSON that ends too early")
        # Only long values are counted: short ones are bounded by the count of entries.
        if length > 8:
            self._spend(length)
        return self.raw[at : at + length]

    def _spend(self, count: int) -> None:
        self._left -= count
        # Offsets may point backwards. Without a budget a small document could unfold to gigabytes.
        if self._left < 0:
            raise ValueError("JSON that points at itself")

    def _put(self, words: dict[int, str], key: int) -> None:
        if key not in words:
            raise ValueError(f"JSON with literal {key}")
        self.out.append(words[key])


def _quoted(raw: bytes) -> str:
    """The text quoted as the server quotes it: only quotation marks, backslashes and control characters are escaped."""
    return json.dumps(str(raw, "utf-8", "replace"), ensure_ascii=False)


def double_text(value: float) -> str:
    """The shortest decimal that reads back as the same number, always with a point or an exponent."""
    # No server stores such numbers.
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("JSON with a number that is none")
    sign = "-" if str(value).startswith("-") else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if not digits:
        return sign + "0.0"
    return sign + _placed(digits, point)


def _placed(digits: str, point: int) -> str:
    """``digits`` with the decimal point after ``point`` of them."""
    # Exponents begin where the server's own printing begins them.
    if point > _MOST_PLAIN_EXPONENT or point <= -_MOST_PLAIN_EXPONENT:
        return f"{digits[0]}{'.' + digits[1:] if len(digits) > 1 else ''}e{point - 1}"
    if point <= 0:
        return "0." + "0" * -point + digits
    if point >= len(digits):
        return digits + "0" * (point - len(digits)) + ".0"
    return f"{digits[:point]}.{digits[point:]}"


def _packed_datetime(packed: int) -> str:
    return f"{datetime_text(packed >> 24)}.{packed & 0xFFFFFF:06d}"


_TEMPORAL: Final[dict[int, Callable[[int], str]]] = {
    _TIMESTAMP: _packed_datetime,
    _DATETIME: _packed_datetime,
    _DATE: lambda packed: datetime_text(packed >> 24)[:10],
    _TIME: lambda packed: time_text(packed, 24, 6),
}
