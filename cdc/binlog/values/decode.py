"""How long one column's bytes are in a row image, and how they become a value.

Values have the forms of ``cdc.model.Value``. Layouts of the packed types are in numbers.py, temporal.py, json_binary.py
and compressed.py. Integers and floats are little-endian, BIT is big-endian, strings carry a length before them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cdc.binlog.compressed import unpack_column
from cdc.binlog.rows.table_map import ColumnType, Field
from cdc.binlog.values import temporal
from cdc.binlog.values.charsets import BINARY, is_utf8, text_decoder
from cdc.binlog.values.json_binary import json_text
from cdc.binlog.values.numbers import decimal_decoder, decimal_width, float_text
from cdc.model import Value

_T = ColumnType

Decode = Callable[[bytes], Value]

INLINE_NAMES: Final[dict[str, object]] = {"from_bytes": int.from_bytes}
"""The names that the expressions in ``Codec.inline`` may use."""

_INTEGER_CODES: Final = {_T.TINY: "bB", _T.SHORT: "hH", _T.LONG: "iI", _T.LONGLONG: "qQ"}
_FIXED: Final = {
    _T.TINY: 1, _T.SHORT: 2, _T.INT24: 3, _T.LONG: 4, _T.LONGLONG: 8, _T.NULL: 0, _T.TIMESTAMP: 4, _T.DATE: 3,
    _T.NEWDATE: 3, _T.TIME: 3, _T.DATETIME: 8, _T.YEAR: 1,
}  # fmt: skip
_SECONDS_BYTES: Final = {_T.TIMESTAMP2: 4, _T.DATETIME2: 5, _T.TIME2: 3}
_BY_DETAIL: Final = frozenset({
    _T.BLOB, _T.TINY_BLOB, _T.MEDIUM_BLOB, _T.LONG_BLOB, _T.JSON, _T.GEOMETRY, _T.VECTOR, _T.MARIADB_BLOB_COMPRESSED
})  # fmt: skip
_BY_LENGTH: Final = frozenset({_T.VARCHAR, _T.VAR_STRING, _T.STRING, _T.MARIADB_VARCHAR_COMPRESSED})
_MEMO_MOST: Final = 4096


@dataclass(frozen=True, slots=True)
class Layout:
    """A fixed ``width`` in bytes, or a length of ``prefix`` bytes before the value (then ``width`` is 0)."""

    width: int
    prefix: int = 0


@dataclass(frozen=True, slots=True)
class Traits:
    """What the type byte does not say.

    ``charset``: None or binary for bytes. ``labels``: the labels of ENUM and SET.
    """

    unsigned: bool = False
    charset: str | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Codec:
    """Reads one column's values. ``decode`` takes the value's bytes without a length prefix.

    ``code``: the character of the struct module that reads the same value from a fixed-width column, "" where there is
    none. ``inline``: an expression of ``{raw}``, the value's bytes, that gives the same value, "" where the call is as
    fast. ``repeats``: values come back often and are slow to decode, so plans remember some.
    """

    decode: Decode
    code: str = ""
    inline: str = ""
    repeats: bool = False


class Memo(dict[bytes, Value]):
    """Remembers decoded values by their bytes. Bounded: it starts over when full."""

    __slots__ = ("_decode",)

    def __init__(self, decode: Decode) -> None:
        super().__init__()
        self._decode = decode

    def __missing__(self, raw: bytes) -> Value:
        # A column with ever new values would grow without bound.
        if len(self) >= _MEMO_MOST:
            self.clear()
        value = self[raw] = self._decode(raw)
        return value


def layout_of(field: Field) -> Layout:
    """How long this column's bytes are. ValueError for types that no supported server logs."""
    kind = field.type
    if kind in _FIXED:
        # MariaDB's old types with fractions have other widths than the same types without.
        return Layout(temporal.hires_width(kind.name, field.first) if field.first else _FIXED[kind])
    if kind in (_T.FLOAT, _T.DOUBLE):
        if field.first not in (4, 8):
            raise ValueError(f"a floating-point column of {field.first} bytes")
        return Layout(field.first)
    if kind in _SECONDS_BYTES:
        return Layout(_SECONDS_BYTES[kind] + temporal.fraction_width(field.first))
    if kind is _T.NEWDECIMAL:
        return Layout(decimal_width(field.first, field.second))
    if kind is _T.BIT:
        return Layout(field.first + (field.second > 0))
    if kind in (_T.ENUM, _T.SET):
        return Layout(field.first)
    # The prefix width is part of the type: 1 (TINY) to 4 (LONG).
    if kind in _BY_DETAIL:
        if not 1 <= field.first <= 4:
            raise ValueError(f"a {kind.name} column with a length of {field.first} bytes")
        return Layout(0, field.first)
    if kind in _BY_LENGTH:
        # Character columns over 255 bytes have a prefix of two.
        return Layout(0, 1 if field.first <= 255 else 2)
    raise ValueError(f"a column of type {kind.name}, which servers do not log any more")


def codec_of(field: Field, traits: Traits) -> Codec:
    """How to read this column. ValueError names the missing part (an unknown character set, missing labels)."""
    kind = field.type
    if kind in _INTEGER_CODES or kind is _T.INT24:
        return _integer(kind, traits.unsigned)
    if kind in _BY_LENGTH or kind in (_T.BLOB, _T.MARIADB_BLOB_COMPRESSED):
        return _string(field, traits.charset)
    if kind is _T.ENUM:
        return Codec(_enum(traits.labels))
    if kind is _T.SET:
        return Codec(_set(traits.labels))
    if kind is _T.NEWDECIMAL:
        return Codec(decimal_decoder(field.first, field.second), repeats=True)
    if kind in (_T.FLOAT, _T.DOUBLE):
        return _floating(field.first)
    if kind is _T.BIT:
        return Codec(_big_endian, inline="from_bytes({raw}, 'big')")
    return _OTHERS[kind](field)


def _integer(kind: ColumnType, unsigned: bool) -> Codec:
    # Three bytes have no code in the struct module.
    if kind is _T.INT24:
        signed = "" if unsigned else ", signed=True"
        return Codec(
            lambda raw: int.from_bytes(raw, "little", signed=not unsigned),
            inline=f"from_bytes({{raw}}, 'little'{signed})",
        )
    code = _INTEGER_CODES[kind][unsigned]
    unpack = struct.Struct(f"<{code}").unpack
    return Codec(lambda raw: int(unpack(raw)[0]), code=code)


def _floating(width: int) -> Codec:
    unpack = struct.Struct("<f" if width == 4 else "<d").unpack
    # The server shows FLOAT with its own number of digits, so the value becomes that text.
    if width == 4:
        return Codec(lambda raw: float_text(unpack(raw)[0]))
    return Codec(lambda raw: float(unpack(raw)[0]), code="d")


def _string(field: Field, charset: str | None) -> Codec:
    if field.type in (_T.MARIADB_VARCHAR_COMPRESSED, _T.MARIADB_BLOB_COMPRESSED):
        plain = _text_or_bytes(charset).decode
        return Codec(lambda raw: plain(unpack_column(raw)))
    # BINARY(n) is padded, and log and SELECT must give the same bytes.
    if field.type is _T.STRING and charset in (None, BINARY):
        width = field.first
        return Codec(lambda raw: raw.ljust(width, b"\0"))  # BINARY(n): the log leaves the zeros at the end out
    return _text_or_bytes(charset)


def _text_or_bytes(charset: str | None) -> Codec:
    if charset is None or charset == BINARY:
        return Codec(bytes, inline="{raw}")
    decode = text_decoder(charset)
    if decode is None:
        # With another character set the text would be wrong without an error.
        raise ValueError(f"the character set {charset}")
    return Codec(decode, inline="str({raw}, 'utf-8', 'replace')" if is_utf8(charset) else "")


def _enum(labels: tuple[str, ...]) -> Decode:
    if not labels:
        raise ValueError("an ENUM whose labels are not known")
    texts = ("", *labels)  # index 0: what the server stored for an invalid value

    def decode(raw: bytes) -> Value:
        index = int.from_bytes(raw, "little")
        # The labels are of another time than the row.
        if index >= len(texts):
            raise ValueError(f"value {index} of an ENUM with {len(labels)} labels")
        return texts[index]

    return decode


def _set(labels: tuple[str, ...]) -> Decode:
    if not labels:
        raise ValueError("a SET whose labels are not known")

    def decode(raw: bytes) -> Value:
        bits = int.from_bytes(raw, "little")
        # The labels are of another time than the row.
        if bits >> len(labels):
            raise ValueError(f"bit {bits.bit_length()} of a SET with {len(labels)} labels")
        return ",".join(label for index, label in enumerate(labels) if bits >> index & 1)

    return decode


def _big_endian(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def _bytes_inline(_: Field) -> Codec:
    return Codec(bytes, inline="{raw}")


def _old(plain: Decode, field: Field) -> Decode:
    return temporal.hires_decoder(field.type.name, field.first) if field.first else plain


_OTHERS: Final[dict[ColumnType, Callable[[Field], Codec]]] = {
    _T.TIMESTAMP: lambda field: Codec(_old(temporal.timestamp_decoder, field), repeats=True),
    _T.TIMESTAMP2: lambda field: Codec(temporal.timestamp2_decoder(field.first), repeats=True),
    _T.DATETIME: lambda field: Codec(_old(temporal.datetime_decoder, field), repeats=True),
    _T.DATETIME2: lambda field: Codec(temporal.datetime2_decoder(field.first), repeats=True),
    _T.DATE: lambda _: Codec(temporal.date_decoder, repeats=True),
    _T.NEWDATE: lambda _: Codec(temporal.date_decoder, repeats=True),
    _T.TIME: lambda field: Codec(_old(temporal.time_decoder, field), repeats=True),
    _T.TIME2: lambda field: Codec(temporal.time2_decoder(field.first), repeats=True),
    _T.YEAR: lambda _: Codec(temporal.year_decoder),
    _T.JSON: lambda _: Codec(json_text),
    _T.GEOMETRY: _bytes_inline,
    _T.VECTOR: _bytes_inline,
    _T.NULL: lambda _: Codec(lambda raw: None),
    _T.TINY_BLOB: _bytes_inline,
    _T.MEDIUM_BLOB: _bytes_inline,
    _T.LONG_BLOB: _bytes_inline,
}
