"""The column types without which messages of other tools cannot be read.

A message with a schema holds most of them. A message without a schema has a DATETIME as a number and a DECIMAL as
base64. Then the types of Magento's own columns come from ``core_types.tsv``, and those of modules' columns from
``kafka.values.types``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

CORE_FILE = Path(__file__).with_name("core_types.tsv")

_TYPE = re.compile(
    r"^\s*(?P<base>[a-z]+)\s*(?:\(\s*(?P<first>\d+)\s*(?:,\s*(?P<second>\d+)\s*)?\))?(?P<rest>.*)$", re.I
)
_BASES = {"numeric": "decimal", "dec": "decimal", "fixed": "decimal", "integer": "int", "real": "double"}
_BINARY = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})


class ColumnType(NamedTuple):
    """``base``: the type's bare name in small letters. ``digits``: decimals of a number, or of the seconds."""

    base: str
    digits: int = 0
    is_unsigned: bool = False

    @property
    def is_binary(self) -> bool:
        return self.base in _BINARY


Types = Mapping[str, Mapping[str, ColumnType]]
"""Table (without the store's prefix) → column → type."""


def parse_type(text: str) -> ColumnType:
    """Read ``decimal(20,4)``, ``datetime(3)``, ``bigint unsigned``. ValueError for a text that is not a type."""
    match = _TYPE.match(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not a column type, as in CREATE TABLE: datetime(3), decimal(20,4), bigint unsigned"
        )
    base = match["base"].lower()
    base = _BASES.get(base, base)
    first, second = match["first"], match["second"]
    if base == "decimal":
        digits = int(second or 0)
    else:
        digits = int(first or 0) if base in ("datetime", "timestamp", "time") else 0
    return ColumnType(base, digits, "unsigned" in match["rest"].lower())


@cache
def _core() -> dict[str, dict[str, ColumnType]]:
    found: dict[str, dict[str, ColumnType]] = {}
    for line in CORE_FILE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            table, column, text = line.split("\t")
            found.setdefault(table, {})[column] = parse_type(text)
    return found


def known_types(own: Mapping[str, str]) -> Types:
    """Magento's own columns and the given ones, as ``table.column`` → type.
    ValueError names a text that cannot be read.
    """
    found = {table: dict(columns) for table, columns in _core().items()}
    for name, text in own.items():
        table, dot, column = name.partition(".")
        if not (table and dot and column):
            raise ValueError(f"{name!r} names no column; write table.column")
        found.setdefault(table, {})[column] = parse_type(text)
    return found
