"""Tables of the state with one line per object: how SQL names an object, and how a line is looked up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

from cdc.model import KIND_NAMES, KINDS, ObjectRef

OBJECT: Final = "kind = ? AND id = ?"
"""The SQL condition that finds one object's line; ``pair`` gives its values."""


def pair(ref: ObjectRef) -> tuple[str, int | str]:
    """The values of the columns ``kind`` and ``id`` for the object."""
    return KIND_NAMES[ref.kind], ref.id


def as_refs(rows: Iterable[tuple[str, int | str]]) -> list[ObjectRef]:
    """The objects of lines of (kind, id)."""
    return [ObjectRef(KINDS[kind], object_id) for kind, object_id in rows]


def line(db: sqlite3.Connection, table: str, columns: str, ref: ObjectRef) -> tuple[Any, ...] | None:
    """These columns of the object's line; None if the table has no line of the object."""
    row: tuple[Any, ...] | None = db.execute(f"SELECT {columns} FROM {table} WHERE {OBJECT}", pair(ref)).fetchone()
    return row


def has(db: sqlite3.Connection, table: str, ref: ObjectRef) -> bool:
    """Whether the table has a line of the object."""
    return line(db, table, "1", ref) is not None
