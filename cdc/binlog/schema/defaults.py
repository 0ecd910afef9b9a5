"""The value of a column that an INSERT left out: its default, where ``information_schema`` gives that as a plain value.

MySQL writes a literal bare (``0.0000``, ``b'101'``, ``0x6162`` for bytes). MariaDB since 10.2.7 writes it as SQL
(``'it''s'``, ``NULL``). Expressions are not read: such a default is not known. TIMESTAMP literals are not known either,
as they depend on the time zone of a session. A NOT NULL column without a default gets the default of its type: the
server puts it in when sql_mode is not strict, and Magento's sql_mode is not strict.
https://dev.mysql.com/doc/refman/8.4/en/data-type-defaults.html,
https://mariadb.com/kb/en/information-schema-columns-table/
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Final

from cdc.binlog.rows.table_map import ColumnType, Field
from cdc.binlog.schema.agreement import labels_in
from cdc.binlog.schema.columns import Column
from cdc.model import ABSENT, Absent, Value

_INTEGERS: Final = frozenset({"tinyint", "smallint", "mediumint", "int", "integer", "bigint", "year"})
_TEXTS: Final = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
_BYTES: Final = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_BITS: Final = re.compile(r"b'([01]*)'")
_HEX: Final = re.compile(r"0x((?:[0-9a-fA-F]{2})*)")
_QUOTED: Final = re.compile(r"'((?:[^'\\]|''|\\.)*)'", re.DOTALL)
_ESCAPED: Final = re.compile(r"''|\\(.)", re.DOTALL)
_ESCAPES: Final = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}
_MOST_DIGITS: Final = Context(prec=65 + 30)

_FORMS: Final = {
    "date": re.compile(r"(\d{4}-\d\d-\d\d)"),
    "datetime": re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,6}))?"),
    "time": re.compile(r"(-?\d{2,3}:\d\d:\d\d)(?:\.(\d{1,6}))?"),
}
_ZEROS: Final = {
    "date": "0000-00-00", "datetime": "0000-00-00 00:00:00", "timestamp": "0000-00-00 00:00:00", "time": "00:00:00"
}  # fmt: skip


def default_of(column: Column, field: Field, *, is_mariadb: bool) -> Value | Absent:
    """The default in ``Value``'s form; ABSENT when the schema does not give it as a plain value."""
    if "GENERATED" in column.extra.upper():  # MySQL says DEFAULT_GENERATED of an expression
        return ABSENT
    text = column.default
    if text is None or (is_mariadb and text == "NULL"):
        return None if column.nullable else _implicit(column, field)
    if is_mariadb:
        return _of_sql(text, column, field)
    return _of_text(text, column, field)


def _of_sql(text: str, column: Column, field: Field) -> Value | Absent:
    """MariaDB's default: a quoted string, a number or bits, written as SQL."""
    quoted = _QUOTED.fullmatch(text)
    if quoted is None:
        is_plain = _NUMBER.fullmatch(text) or _BITS.fullmatch(text)
        return _of_text(text, column, field) if is_plain and column.data_type not in _TEXTS | _BYTES else ABSENT
    plain = _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]) if found[1] else "'", quoted[1])
    if column.data_type in _BYTES:  # shown in UTF-8: bytes beyond ASCII may have been lost
        return _bytes(plain.encode(), field) if plain.isascii() else ABSENT
    return _of_text(plain, column, field)


def _of_text(text: str, column: Column, field: Field) -> Value | Absent:
    kind = column.data_type
    if kind in _TEXTS:
        # A CHAR loses blanks at its end when it is read.
        return text.rstrip(" ") if kind == "char" else text
    if kind in _BYTES:
        found = _HEX.fullmatch(text)
        return _bytes(bytes.fromhex(found[1]), field) if found else ABSENT
    if kind in ("enum", "set"):
        # An empty SET is a valid value, and an ENUM has exactly one label.
        known = set(_known_labels(column))
        return (
            text
            if (not text and kind == "set") or known.issuperset([text] if kind == "enum" else text.split(","))
            else ABSENT
        )
    if kind == "bit":
        found = _BITS.fullmatch(text)
        return int(found[1] or "0", 2) if found else ABSENT
    if kind in _ZEROS:
        return _moment(text, kind, field)
    return _number(text, kind, field)


def _known_labels(column: Column) -> tuple[str, ...]:
    """The labels of an ENUM or SET; none if they cannot be trusted, so that no default among them counts as known."""
    try:
        return labels_in(column)
    except ValueError:  # bytes of a row are in order: only what completes the row is not known
        return ()


def _first_label(column: Column) -> Value | Absent:
    return next(iter(_known_labels(column)), ABSENT)


def _number(text: str, kind: str, field: Field) -> Value | Absent:
    if not _NUMBER.fullmatch(text):
        return ABSENT
    if kind in _INTEGERS:
        return int(text) if re.fullmatch(r"[+-]?\d+", text) else ABSENT
    if kind == "decimal":
        return _decimal(text, field.second)
    return float(text) if kind in ("float", "double") else ABSENT


def _decimal(text: str, scale: int) -> Value | Absent:
    try:
        value = Decimal(text).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, _MOST_DIGITS)
    except InvalidOperation:
        return ABSENT
    return f"{value if value else abs(value):f}"


def _moment(text: str, kind: str, field: Field) -> Value | Absent:
    if kind == "timestamp":
        return _implicit_moment(kind, field) if text.partition(".")[0] == _ZEROS[kind] else ABSENT
    found = _FORMS[kind].fullmatch(text)
    if found is None:
        return ABSENT
    if kind == "date":
        return found[1]
    fraction = found[2] or ""
    if len(fraction.rstrip("0")) > field.first:
        return ABSENT
    return found[1] + _fraction(fraction, field)


def _fraction(digits: str, field: Field) -> str:
    return "." + digits[: field.first].ljust(field.first, "0") if field.first else ""


def _bytes(raw: bytes, field: Field) -> bytes:
    return raw.ljust(field.first, b"\0") if field.type is ColumnType.STRING else raw


def _implicit_moment(kind: str, field: Field) -> str:
    return _ZEROS[kind] + ("" if kind == "date" else _fraction("", field))


_IMPLICIT: Final[dict[str, Callable[[Column, Field], Value | Absent]]] = {
    **dict.fromkeys(_INTEGERS, lambda column, field: 0),
    **dict.fromkeys(_TEXTS, lambda column, field: ""),
    **dict.fromkeys(_BYTES, lambda column, field: _bytes(b"", field)),
    **dict.fromkeys(_ZEROS, lambda column, field: _implicit_moment(column.data_type, field)),
    **dict.fromkeys(("float", "double"), lambda column, field: 0.0),
    "bit": lambda column, field: 0,
    "decimal": lambda column, field: _decimal("0", field.second),
    "enum": lambda column, field: _first_label(column),
    "set": lambda column, field: "",
}


def _implicit(column: Column, field: Field) -> Value | Absent:
    """The value of a NOT NULL column without a default, where the server accepts such a row."""
    make = _IMPLICIT.get(column.data_type)
    return make(column, field) if make is not None else ABSENT
