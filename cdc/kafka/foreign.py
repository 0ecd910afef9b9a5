"""What the readers of other tools' messages share: what a message says, and when it says nothing usable. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from cdc.model import ABSENT, LSN_FILE_BITS, LSN_OFFSET_BITS, Absent, Cells, Change, Position, TableSpec, Value


class BadRecordError(Exception):
    """A record that cannot be understood. The text names fields and columns, never values."""


class SourceChange(NamedTuple):
    """One row's change as another tool tells it.

    ``position``: where the source's log has it; None where the message does not tell. ``commit_ms``: epoch
    milliseconds, 0 if unknown. ``is_snapshot``: the row was read by a snapshot that was taken at ``position``.
    """

    change: Change
    position: Position | None
    commit_ms: int
    is_snapshot: bool = False


Reader = Callable[[Any], "Value | Absent"]
"""One column's JSON value → its value. Raises ValueError, TypeError or a kind of these for what does not fit."""


MOST_DIGITS: Final = 16
MOST_MS: Final = 1 << 52
"""Beyond the year 140,000: no clock says so, and SQLite holds it."""

OnLack = Callable[[str, Sequence[str]], None]
"""Called with a table and the mapped columns that a row of it was told without."""


@dataclass(frozen=True)
class Tables:
    """The mapped tables, by the names that messages use."""

    database: str
    prefix: str
    specs: Mapping[str, TableSpec]
    on_lack: OnLack | None = None
    _unlooked: dict[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, specs: Sequence[TableSpec], database: str, prefix: str, on_lack: OnLack | None = None) -> Tables:
        """``specs``: all mapped tables; names in messages carry the store's prefix. ``on_lack``: once per table."""
        needed = {spec.name: frozenset(spec.columns) - spec.optional for spec in specs}
        return cls(database, prefix, {prefix + spec.name: spec for spec in specs}, on_lack, needed if on_lack else {})

    def look(self, spec: TableSpec, row: Mapping[str, Any]) -> None:
        """Whether a whole row has all mapped columns: its tool may be set up to leave some out."""
        needed = self._unlooked.get(spec.name)
        if needed is not None and self.on_lack is not None and not row.keys() >= needed:
            del self._unlooked[spec.name]
            self.on_lack(spec.name, [column for column in spec.columns if column in needed and column not in row])

    def find(self, database: str | None, table: str) -> TableSpec | None:
        """The table, None if it is not mapped or another database's."""
        if database is not None and database != self.database:
            return None
        return self.specs.get(table)


def parse_json(text: bytes | str, what: str) -> Any:
    """The JSON. Raises BadRecordError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRecordError(f"its {what} is not JSON") from error


def cells_of(spec: TableSpec, row: Mapping[str, Any], readers: Callable[[str], Reader]) -> Cells:
    """The row's mapped columns, ABSENT where the message has none. Raises BadRecordError that names the column."""
    cells: list[Value | Absent] = []
    for column in spec.columns:
        if column not in row:
            cells.append(ABSENT)
            continue
        value = row[column]
        try:
            cells.append(None if value is None else readers(column)(value))
        except (ValueError, TypeError, ArithmeticError, LookupError) as error:
            kind = type(value).__name__
            raise BadRecordError(f"{spec.name}.{column} holds a {kind} that does not fit its type") from error
    return tuple(cells)


def must_have_key(spec: TableSpec, cells: Cells) -> Cells:
    """The cells, if the primary key is among them."""
    if any(cell is None or cell is ABSENT for cell in cells[: len(spec.key)]):
        raise BadRecordError(f"it lacks the primary key of {spec.name} ({', '.join(spec.key)})")
    return cells


def position_of(file: object, offset: object, server: object, gtid: object = "") -> Position | None:
    """The source's place, None without one. Raises BadRecordError for a place that no server's log has."""
    if not isinstance(file, str) or not isinstance(offset, int) or not file.rpartition(".")[2].isdecimal():
        return None
    number = file.rpartition(".")[2]
    if len(number) > MOST_DIGITS or int(number) >= 1 << LSN_FILE_BITS or not 0 <= offset < 1 << LSN_OFFSET_BITS:
        raise BadRecordError("its source's file or position is beyond any log")
    return Position(file, offset, gtid if isinstance(gtid, str) else "", str(server) if server is not None else "")


def milliseconds(value: object, *, per_s: int = 1000) -> int:
    """A commit time as epoch milliseconds, 0 for none. Raises BadRecordError for what is no time.

    ``per_s``: how many of the value's units are a second.
    """
    if value is None:
        return 0
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= MOST_DIGITS:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_MS:
        raise BadRecordError("its commit time is no time")
    return value * 1000 // per_s
