"""Reads a changed row: a column's values before and after, and whether certain columns changed.

Pure. Functions of the type ``Affects`` name the objects that a changed row affects; each descriptor has its own
functions, one for each table (``mappers/objects``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from cdc.model import BulkInvalidation, Kind, ObjectRef, Row, Value
from cdc.protocols import RowReader
from mappers.plan import Plan

T = TypeVar("T")


class RowChange:
    """One row before and after; None where there was or is no row.

    A before image from the log lacks derived columns, and may be as new as the replica's row (a replay). Then comparing
    the two shows nothing, and every column counts as changed.
    """

    __slots__ = ("_changed", "_read", "after", "before")

    def __init__(self, before: Row | None, after: Row | None) -> None:
        self.before = before
        self.after = after
        self._changed: set[str] | None = None
        self._read: dict[object, Any] = {}

    def rows(self) -> Iterator[Row]:
        """The row before and the row after, as far as they exist."""
        if self.before is not None:
            yield self.before
        if self.after is not None:
            yield self.after

    def now(self) -> Row:
        """The row after, else the row before."""
        return self.after or self.before or {}

    def values(self, column: str) -> list[Value]:
        """The column's values before and after: each once, without NULL and 0 (only the keys of stores may be 0 in
        Magento).
        """
        found: list[Value] = []
        for row in (self.before, self.after):
            value = row.get(column) if row is not None else None
            # 0 stands for "none" in Magento's keys.
            if value and value not in found:
                found.append(value)
        return found

    def once(
        self, read: Callable[[RowChange, RowReader, Plan], Sequence[T]], rows: RowReader, plan: Plan
    ) -> Sequence[T]:
        """Read rows that several kinds of objects need beside the changed row, once per change."""
        # Several kinds ask for the same rows of one change.
        if read not in self._read:
            self._read[read] = read(self, rows, plan)
        found: Sequence[T] = self._read[read]
        return found

    def concerns(self, derived: str, *columns: frozenset[str]) -> bool:
        """Whether one of these columns changed, or may have. It is called several times a row, and compares the rows
        once.

        ``derived``: a derived column of the table. A before image without it is not a replica row.
        """
        before, after = self.before, self.after
        # Without both images, or with an image from the log, nothing can be compared.
        if before is None or after is None or derived not in before:
            return True
        # Compared once, and asked by several kinds.
        if self._changed is None:
            self._changed = {column for column, value in after.items() if before.get(column) != value}
        # without a difference the row held was as the change left it, and what the change did cannot be seen any more
        return not self._changed or not all(map(self._changed.isdisjoint, columns))


AffectedObjects = Iterable[ObjectRef | BulkInvalidation]

Affects = Callable[[RowChange, RowReader, Plan], AffectedObjects]
"""(change, rows after the change, plan) → the objects that the changed row affects.

The result may have too many objects, never too few: an object that is missing is not rendered again.
"""


def refs(kind: Kind, ids: Iterable[Value]) -> list[ObjectRef]:
    """The objects of this kind with these ids; NULL gives no object."""
    return [ObjectRef(kind, value) for value in ids if isinstance(value, int | str)]


def named_in(kind: Kind, column: str) -> Affects:
    """A function for rows that affect only the object whose id is in this column."""

    def affects(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
        return refs(kind, change.values(column))

    return affects
