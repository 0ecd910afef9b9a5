"""What the engine tells a listener that wants every effective change of rows in order (the relay's journal)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from cdc.model import Position, TableSchema
from cdc.replica.rows import RowListener


class Reached(NamedTuple):
    """Where the state stands at this moment. ``is_settled``: nothing is held that only this state knows."""

    position: Position | None
    lsn: int
    is_complete: bool
    is_settled: bool


class Journal(RowListener, Protocol):
    """Hears of source transactions and of the rows that they, or reads from the server, change."""

    def begin(self, end: Position, lsn: int, commit_ms: int, row: int = 0) -> None:
        """Changes from here on are those of the source transaction that ends here; ``row`` were published before."""
        ...

    def step(self, number: int) -> None:
        """The source transaction's change of this number comes next."""
        ...

    def truncate(self, table: str) -> None:
        """The source emptied this table."""
        ...

    def define(self, schemas: Iterable[TableSchema]) -> None:
        """Tables have these columns from here on."""
        ...

    def end(self) -> None:
        """The source transaction, or what was read at once, is through."""
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
