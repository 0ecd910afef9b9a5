"""Turns Debezium's values back into the text that SELECT shows. Pure.

The meaning of a value comes from the first of these that is known: the source's own type in the message's schema
(``column.propagate.source.type``), the type known of the column (``column_types.py``), the schema's semantic type, and
last its JSON form. Without a schema (``value.converter.schemas.enable = false``), the connector's own settings decide;
they are repeated under ``kafka.values``.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal

from cdc.kafka.column_types import ColumnType, parse_type
from cdc.kafka.foreign import Reader
from cdc.kafka.temporal import date_of_days, date_of_iso, datetime_of, datetime_of_iso, time_of, time_of_iso
from cdc.model import ABSENT, Absent, Value

MILLI: Final = 1000
MICRO: Final = 1_000_000
NANO: Final = 1_000_000_000

MOST_EXPONENT: Final = 100
"""The largest exponent of a number: a server's decimals have 65 digits at most."""

_CONNECT = "org.apache.kafka.connect.data."
_TIME = "io.debezium.time."
_PROPAGATED = "__debezium.source.column."


@dataclass(frozen=True)
class ValueModes:
    """The connector's settings, under the connector's own names. They count only where messages have no schema.

    ``on_double``: called for a decimal that came as a double, which may have lost digits.
    """

    decimal: Literal["precise", "string", "double"] = "precise"
    time_precision: Literal["adaptive_time_microseconds", "adaptive", "connect", "isostring"] = (
        "adaptive_time_microseconds"
    )
    bigint_unsigned: Literal["long", "precise"] = "long"
    binary: Literal["bytes", "base64", "base64-url-safe", "hex"] = "bytes"
    unavailable: str = "__debezium_unavailable_value"
    on_double: Callable[[], None] = field(default=lambda: None, compare=False)


def reader_of(schema: Mapping[str, Any] | None, known: ColumnType | None, modes: ValueModes) -> Reader:
    """The reader of one column. ``schema``: the field's schema, where the message has one."""
    parameters = (schema or {}).get("parameters") or {}
    # The source's own type is surer than what the schema calls it.
    if f"{_PROPAGATED}type" in parameters:
        known = _propagated(parameters)
    read = _by_schema(schema, known, modes) if schema is not None else _by_type(known, modes)
    # The connector writes this marker for values that the log does not hold; in base64 for binary columns.
    unavailable = {modes.unavailable, base64.b64encode(modes.unavailable.encode()).decode()}

    def guarded(value: Any) -> Value | Absent:
        return ABSENT if isinstance(value, str) and value in unavailable else read(value)

    return guarded


def _propagated(parameters: Mapping[str, Any]) -> ColumnType:
    kind = parse_type(str(parameters[f"{_PROPAGATED}type"]))
    digits = parameters.get(f"{_PROPAGATED}{'scale' if kind.base == 'decimal' else 'length'}", kind.digits)
    has_digits = kind.base in ("decimal", "datetime", "timestamp", "time")
    return kind._replace(digits=int(digits) if has_digits else 0)


def _by_schema(schema: Mapping[str, Any], known: ColumnType | None, modes: ValueModes) -> Reader:
    name, form, parameters = schema.get("name") or "", schema.get("type"), schema.get("parameters") or {}
    digits = known.digits if known is not None else None
    temporal = _temporal(name, digits)
    if temporal is not None:
        return temporal
    # Kafka Connect's decimals are two's complement bytes, with the scale in the schema.
    if name == f"{_CONNECT}Decimal":
        scale = int(parameters.get("scale", 0))
        is_integer = scale == 0 and (known is None or known.base != "decimal")
        return (lambda value: _unscaled(value)) if is_integer else (lambda value: _decimal(_unscaled(value), scale))
    if name == "io.debezium.data.VariableScaleDecimal":
        return _variable
    if name == "io.debezium.data.Bits":
        return _bits
    if name.startswith("io.debezium.data.geometry."):
        return _geometry
    if name in ("io.debezium.data.FloatVector", "io.debezium.data.DoubleVector"):
        return _vector
    if form == "bytes":
        return base64.b64decode
    # A decimal that comes as a double is not taken here: it needs the digits of its column.
    if form in ("float", "double") and not (known is not None and known.base == "decimal"):
        return float
    # Numbers as text keep all their digits.
    if form == "string" and known is not None and known.base in ("decimal", "bigint") and not known.is_binary:
        return lambda value: _text_number(value, known)
    return _by_type(known, modes, has_schema=True)


def _temporal(name: str, digits: int | None) -> Reader | None:
    if name in (f"{_TIME}Date", f"{_CONNECT}Date"):
        return date_of_days
    if name == f"{_TIME}IsoDate":
        return date_of_iso
    if name in (f"{_TIME}ZonedTimestamp", f"{_TIME}IsoTimestamp"):
        return lambda value: datetime_of_iso(value, digits)
    if name in (f"{_TIME}IsoTime", f"{_TIME}ZonedTime"):
        return lambda value: time_of_iso(value, digits)
    for prefix, per_second in (("Micro", MICRO), ("Nano", NANO), ("", MILLI)):
        if name in (f"{_TIME}{prefix}Timestamp", f"{_CONNECT}{prefix}Timestamp"):
            return lambda value: datetime_of(value, per_second, digits)
        if name in (f"{_TIME}{prefix}Time", f"{_CONNECT}{prefix}Time"):
            return lambda value: time_of(value, per_second, digits)
    return None


def _by_type(known: ColumnType | None, modes: ValueModes, *, has_schema: bool = False) -> Reader:
    """The reader by the column's own type; without a type, by the JSON form."""
    # Neither schema nor settings know the column.
    if known is None:
        return _plain
    base, digits = known.base, known.digits
    is_connect = modes.time_precision == "connect"
    match base:
        case "date":
            return lambda value: date_of_days(value) if isinstance(value, int) else date_of_iso(value)
        case "datetime" | "timestamp":
            # Precision follows the column up to milliseconds, beyond them it is microseconds.
            per_second = MILLI if is_connect or digits <= 3 else MICRO
            return lambda value: (
                datetime_of(value, per_second, digits) if isinstance(value, int) else datetime_of_iso(value, digits)
            )
        case "time":
            unit = MILLI if is_connect or (modes.time_precision == "adaptive" and digits <= 3) else MICRO
            return lambda value: time_of(value, unit, digits) if isinstance(value, int) else time_of_iso(value, digits)
        case "decimal":
            return lambda value: _any_decimal(value, digits, modes)
        case "bigint" if known.is_unsigned:
            return lambda value: _unsigned(value, modes)
        case "float" | "double":
            return float
        case "bit":
            return lambda value: _bits(value) if isinstance(value, str) else int(value)
        case "geometry" | "point" | "linestring" | "polygon":
            return _geometry
        case "vector":
            return _vector
    # Bytes come as the connector's mode says.
    if known.is_binary:
        return lambda value: _binary(value, modes)
    return _plain


def _plain(value: Any) -> Value:
    # JSON's true and false stand for TINYINT(1).
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float | str):
        return value
    raise TypeError("neither a number nor text")


def _unscaled(value: str) -> int:
    return int.from_bytes(base64.b64decode(value, validate=True), "big", signed=True)


def _decimal(unscaled: int, scale: int) -> str:
    if not -MOST_EXPONENT < scale < MOST_EXPONENT:
        raise ValueError("no scale of a server")
    return f"{Decimal((int(unscaled < 0), tuple(map(int, str(abs(unscaled)))), -scale)):f}"


def _variable(value: Mapping[str, Any]) -> str:
    return _decimal(_unscaled(value["value"]), int(value["scale"]))


def fixed(number: Decimal, digits: int) -> str:
    """The number with so many decimals, as the server shows it: no exponent, no negative zero.

    ValueError for numbers that no DECIMAL holds: an exponent of a thousand million would give as many digits.
    """
    if not number.is_finite() or not -MOST_EXPONENT < number.adjusted() < MOST_EXPONENT:
        raise ValueError("no decimal of a server")
    text = f"{number:.{digits}f}"
    return text.lstrip("-") if text.startswith("-") and not text.strip("-0.") else text


def _text_number(value: Any, known: ColumnType) -> Value:
    return int(value) if known.base == "bigint" else fixed(Decimal(str(value)), known.digits)


def _any_decimal(value: Any, digits: int, modes: ValueModes) -> str:
    if isinstance(value, Mapping):
        return _variable(value)
    if isinstance(value, str) and modes.decimal == "precise":
        return _decimal(_unscaled(value), digits)
    if isinstance(value, float):
        modes.on_double()
        return fixed(Decimal(repr(value)), digits)
    return fixed(Decimal(value), digits)


def _unsigned(value: Any, modes: ValueModes) -> int:
    if isinstance(value, str):
        return _unscaled(value) if modes.bigint_unsigned == "precise" else int(value)
    return int(value) + (1 << 64 if value < 0 else 0)


def _bits(value: Any) -> int:
    if isinstance(value, bool | int):
        return int(value)
    return int.from_bytes(base64.b64decode(value, validate=True), "little")


def _binary(value: str, modes: ValueModes) -> bytes:
    if modes.binary == "hex":
        return bytes.fromhex(value)
    if modes.binary == "base64-url-safe":
        return base64.urlsafe_b64decode(value)
    return base64.b64decode(value, validate=True)


def _geometry(value: Mapping[str, Any]) -> bytes:
    """The server's own form: the number of the reference system, then WKB."""
    return struct.pack("<I", value.get("srid") or 0) + base64.b64decode(value["wkb"])


def _vector(value: list[float]) -> bytes:
    return struct.pack(f"<{len(value)}f", *value)
