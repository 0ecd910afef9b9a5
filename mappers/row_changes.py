"""What a changed row says: the values that a column had before and after, and whether certain columns changed.

Pure. Functions of the type ``Affects`` name the objects that a changed row bears on; each descriptor has its own, one
for each table (``mappers/objects``).

A before-image straight from the log lacks derived columns and may be as new as the row held (a replay): then nothing
can be told from comparing the two, and all that the row bears on is named.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from cdc.model import BulkInvalidation, Kind, ObjectRef, Row, Value
from cdc.protocols import RowReader
from mappers.plan import Plan

AffectedObjects = Iterator[ObjectRef | BulkInvalidation]

Affects = Callable[[Row | None, Row | None, RowReader, Plan], AffectedObjects]
"""(row before, row after, rows after the change, plan) → the objects that the row bears on.

A superset is allowed, a miss is not: what is not named is not rendered again.
"""


def either(column: str, before: Row | None, after: Row | None) -> list[Value]:
    """The column's values before and after: each once, without NULL and 0 (no key of Magento's is 0 but for stores)."""
    found: list[Value] = []
    for row in (before, after):
        value = row.get(column) if row is not None else None
        if value and value not in found:
            found.append(value)
    return found


def refs(kind: Kind, ids: Collection[Value]) -> Iterator[ObjectRef]:
    """The objects of this kind with these ids; a NULL names none."""
    return (ObjectRef(kind, value) for value in ids if isinstance(value, int | str))


def changed(
    before: Row | None, after: Row | None, columns: frozenset[str], derived: str, own: frozenset[str] = frozenset()
) -> bool:
    """Whether one of these columns changed, or may have: the row came, went, or its before-image is no replica row.

    ``derived``: a derived column of the table, which only a replica row has. ``own``: the shop's own columns that the
    settings add.
    """
    if before is None or after is None or derived not in before or before == after:
        return True
    if any(before.get(column) != after.get(column) for column in columns):
        return True
    return any(before.get(column) != after.get(column) for column in own)


def named_in(kind: Kind, column: str) -> Affects:
    """For rows that bear on just the object that they name in this column."""

    def affects(before: Row | None, after: Row | None, rows: RowReader, plan: Plan) -> AffectedObjects:
        return refs(kind, either(column, before, after))

    return affects
