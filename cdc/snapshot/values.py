"""Turns the text that SELECT gives into the same ``Value`` that the log's decoder gives for that column."""

from __future__ import annotations

from collections.abc import Callable

from cdc.binlog.schema.columns import Column
from cdc.model import Value

_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "integer", "bigint", "year"})
_FLOATS = frozenset({"float", "double", "real"})

_LABELLED = frozenset({"enum", "set"})

Cell = str | bytes | None


def converter(column: Column) -> Callable[[Cell], Value]:
    """How to read this column from a connection without conversions (text in, ``Value`` out)."""
    kind = column.data_type.lower()
    if kind in _INTEGERS:
        return _integer
    if kind == "decimal" and "zerofill" in column.column_type.lower():
        return _decimal
    if kind in _LABELLED and column.charset in (None, "binary"):
        return _label
    if kind in _FLOATS:
        return _float
    if kind == "bit":
        return _bit
    return _as_it_is


def _integer(cell: Cell) -> Value:
    return None if cell is None else int(cell)


def _decimal(cell: Cell) -> Value:
    """Remove the zeros that SELECT puts before a ZEROFILL number: ``000007.500``."""
    if not isinstance(cell, str):
        return cell
    whole, point, fraction = cell.partition(".")
    return (whole.lstrip("0") or "0") + point + fraction


def _label(cell: Cell) -> Value:
    """Labels of an ENUM or SET in the character set ``binary`` come as bytes."""
    return cell.decode("latin-1") if isinstance(cell, bytes) else cell


def _float(cell: Cell) -> Value:
    return None if cell is None else float(cell)


def _bit(cell: Cell) -> Value:
    if cell is None:
        return None
    return int.from_bytes(cell.encode("latin-1") if isinstance(cell, str) else cell, "big")


def _as_it_is(cell: Cell) -> Value:
    return cell
