"""Chooses among several rows of a module's table: the row with the highest primary key counts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cdc.model import Row


def newest_row(rows: Iterable[Row], key: Sequence[str]) -> Row | None:
    """The row with the highest key; numeric parts of the key are compared as numbers. None without rows."""

    def age(row: Row) -> tuple[tuple[int, str], ...]:
        parts = (row.get(column) for column in key)
        return tuple((part, "") if isinstance(part, int) else (0, str(part)) for part in parts)

    return max(rows, key=age, default=None)
