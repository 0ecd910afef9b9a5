"""Which of several rows of a module's table counts: the one with the highest primary key. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cdc.model import Row


def newest_row(rows: Iterable[Row], key: Sequence[str]) -> Row | None:
    """The row with the highest key, its parts compared as numbers where they are numbers; None without rows."""

    def age(row: Row) -> tuple[tuple[int, str], ...]:
        parts = (row.get(column) for column in key)
        return tuple((part, "") if isinstance(part, int) else (0, str(part)) for part in parts)

    return max(rows, key=age, default=None)
