"""The listener for every effective change of rows, in order (the relay's journal)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from cdc.model import Position, TableSchema
from cdc.replica.rows import RowListener


class Reached(NamedTuple):
    """How far the state has come. ``is_settled``: no change waits that only this state knows."""

    position: Position | None
    lsn: int
    is_complete: bool
    is_settled: bool


class Journal(RowListener, Protocol):
    """Is called with source transactions, and with the rows that they or reads from the server change."""

    def begin(self, end: Position, lsn: int, commit_ms: int, row: int = 0) -> None:
        """The next changes are those of the source transaction that ends here.
        ``row`` of them were published before.
        """
        ...

    def step(self, number: int) -> None:
        """The next change is the one with this number in its source transaction."""
        ...

    def truncate(self, table: str) -> None:
        """The source emptied this table."""
        ...

    def define(self, schemas: Iterable[TableSchema]) -> None:
        """From now on, these tables have these columns."""
        ...

    def end(self) -> None:
        """The source transaction, or the rows that were read together, are complete."""
        ...

    def settle(self) -> None:
        """The position of the state is that of the last transaction again."""
        ...

    def loaded(self) -> None:
        """All tables are read."""
        ...

    def clear(self) -> None:
        """The store's transaction was undone."""
        ...
