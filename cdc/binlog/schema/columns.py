"""What the decoder needs to know of a table when the log does not say it: its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from cdc.model import Position


@dataclass(frozen=True, slots=True)
class Column:
    """One column as ``information_schema.columns`` tells it (``is_key``: part of the primary key; ``extra``:
    what it says of generated columns and defaults)."""

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
        """The table's columns in their order; None when there is no such table. ``table`` carries its prefix."""
        ...


@runtime_checkable
class ForgettingLookup(SchemaLookup, Protocol):
    """A look-up that holds what it learnt. The decoder tells it when a table's definition changes in the log."""

    def forget(self, database: str, table: str) -> None:
        """The table changed: ask again when next needed."""
        ...


class Look(NamedTuple):
    """A table as the server has it now, with its default character set. ``position``: where the log ended behind it."""

    columns: tuple[Column, ...]
    charset: str | None
    position: Position


@runtime_checkable
class ViewLookup(Protocol):
    """A look-up that knows views: what is written to one goes into other tables."""

    def is_view(self, database: str, table: str) -> bool:
        """Whether this is a view now."""
        ...


@runtime_checkable
class DatedLookup(ForgettingLookup, Protocol):
    """A look-up that says of when its answers are."""

    def look(self, database: str, table: str) -> Look | None:
        """The table as it is now, asked afresh; None when there is no such table."""
        ...
