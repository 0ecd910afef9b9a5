"""The shop's own columns as properties (``[mapping.deal.properties]`` and its like).

Pure. A value that does not fit its type, or is not JSON, leaves its property empty with a warning: a module's odd
column must never stop an order. Each object's descriptor names its groups of such columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import orjson

from cdc.model import Kind, Row, Value
from cdc.protocols import RowReader
from cdc.settings.json_path import Path, follow, parse_path
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_columns import ColumnProperty, Lookup
from mappers.formats import FORMATS
from mappers.lookups import label


@dataclass(frozen=True, slots=True, eq=False)
class ColumnGroup:
    """One group of the merchant's own properties: all of them are made from columns of one table.

    ``id_column``: the table's column with the object's id. ``asked``: property → column, from the settings.
    """

    kind: Kind
    table: str
    id_column: str
    asked: Callable[[MappingSettings], Mapping[str, ColumnProperty]]


class _Custom(NamedTuple):
    name: str
    column: str
    path: Path
    form: str
    convert: Callable[[Value, str], str]
    lookup: Lookup | None


class CustomProperties:
    """One object's properties made from columns of one table. ``columns``: these columns under the replica's names."""

    def __init__(self, table: str, properties: Mapping[str, ColumnProperty], known: Iterable[str] = ()) -> None:
        """``known``: columns that are in the table's allow-list already. Their spelling is used, as the server ignores
        case.
        """
        spelled = {column.casefold(): column for column in known}
        self._table = table
        self._all = tuple(
            _Custom(
                name,
                spelled.setdefault(made.column.casefold(), made.column),
                parse_path(made.json_path) if made.json_path else (),
                made.format,
                FORMATS[made.type],
                made.lookup,
            )
            for name, made in properties.items()
        )
        self.columns: Final = frozenset(custom.column for custom in self._all)
        self.names: Final = tuple(properties)

    def of(self, row: Row, rows: RowReader) -> tuple[dict[str, str], tuple[str, ...]]:
        """The properties of this row, and a warning for each value that could not be read."""
        properties: dict[str, str] = {}
        warnings: list[str] = []
        trees: dict[str, object] = {}
        for name, column, path, form, convert, lookup in self._all:
            # An empty value would clear what HubSpot has, because of a definition in the shop.
            if column not in row:  # the table lost it; what HubSpot has stays
                continue
            try:
                value = member(row[column], path, column, trees) if path else row[column]
                properties[name] = convert(value, form) if lookup is None else label(lookup, value, rows)
            except ValueError as error:
                properties[name] = ""
                warnings.append(f"property {name} is left empty: {self._table}.{column} {_where(path)}{error}")
        return properties, tuple(warnings)

    def empty(self) -> dict[str, str]:
        """Every property, without a value."""
        return dict.fromkeys(self.names, "")


def member(held: Value, path: Path, column: str, trees: dict[str, object]) -> Value:
    """The value at ``path`` of a column's JSON. ``trees`` keeps the parsed columns of this row. ValueError
    for other text.
    """
    # Several properties may come from one JSON column, which is parsed once.
    if column not in trees:
        trees[column] = _parsed(held)
    found = follow(trees[column], path)
    # JSON's true must not become 1.
    if isinstance(found, bool):
        return "true" if found else "false"
    # A whole branch of JSON goes as JSON.
    if isinstance(found, dict | list):
        return orjson.dumps(found).decode()
    assert found is None or isinstance(found, int | float | str), "all that JSON has"
    return found


def _parsed(held: Value) -> object:
    # An empty column is no JSON, and no fault.
    if held is None or held == "" or held == b"":
        return None
    try:
        return orjson.loads(held) if isinstance(held, str | bytes) else None
    except ValueError:  # its text could show the value
        raise ValueError("is not valid JSON") from None


def _where(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path) + " " if path else ""
