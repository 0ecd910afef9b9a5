"""A table's columns, for logs that do not describe them, and the look-ups that find them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from cdc.model import Position


@dataclass(frozen=True, slots=True)
class Column:
    """One column as ``information_schema.columns`` describes it.

    ``is_key``: part of the primary key. ``extra``: marks of generated columns and of defaults.
    """

    name: str
    data_type: str
    column_type: str
    charset: str | None
    collation: str | None
    nullable: bool
    default: str | None
    is_key: bool
    extra: str = ""


class SchemaLookup(Protocol):
    """Names, signs, charsets and labels for logs without full row metadata.

    ``columns`` may ask a server, so it may block and raise; the decoder calls it once per distinct row layout.
    """

    def columns(self, database: str, table: str) -> tuple[Column, ...] | None:
        """The table's columns in order; None when there is no such table. ``table`` includes the prefix."""
        ...


@runtime_checkable
class ForgettingLookup(SchemaLookup, Protocol):
    """A look-up that remembers answers. The decoder calls ``forget`` when the log changes a table's definition."""

    def forget(self, database: str, table: str) -> None:
        """The table changed: ask for it again when it is needed."""
        ...


class Look(NamedTuple):
    """A table as the server has it now, with its default character set. ``position``: the end of the log after the
    answer.
    """

    columns: tuple[Column, ...]
    charset: str | None
    position: Position


@runtime_checkable
class ViewLookup(Protocol):
    """A look-up that knows views: a write to a view changes other tables."""

    def is_view(self, database: str, table: str) -> bool:
        """Whether this name is a view now."""
        ...


@runtime_checkable
class DatedLookup(ForgettingLookup, Protocol):
    """A look-up whose answers carry the position at which they were true."""

    def look(self, database: str, table: str) -> Look | None:
        """The table as it is now, always asked of the server; None when there is no such table."""
        ...
