"""Row images that are not whole (binlog_row_image MINIMAL and NOBLOB): which values they lack, and what the gap means.

What servers leave out, seen with MariaDB 10.11 and MySQL 9.7:

INSERT  MINIMAL: columns that the statement did not name, but for auto-increment ones, those whose default is a function
        or an expression, and stored generated ones, which are always in. MariaDB leaves out virtual generated columns.
        NOBLOB: BLOBs and TEXTs that the statement did not name (on MariaDB JSON, which is TEXT there).
UPDATE  MINIMAL: the before image holds the primary key (all columns where there is none), the after image the columns
        that the statement named, ON UPDATE timestamps, and generated columns that depend on them, on MariaDB not the
        virtual ones. NOBLOB: all but BLOBs, in the after image those named.
DELETE  the before image of an UPDATE.

So a column that an INSERT lacks holds its default (``schema/defaults.py``), and a column that an UPDATE lacks is
unchanged. MariaDB has two exceptions, where only the server knows the value: virtual columns, and REPLACE. MariaDB
writes a REPLACE as an UPDATE, and the log does not show which columns went back to their defaults. The after image has
the key only in such an UPDATE, in an INSERT ... ON DUPLICATE KEY UPDATE, and in any UPDATE with NOBLOB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.binlog.rows.table_map import Field
from cdc.binlog.schema.columns import Column
from cdc.binlog.schema.defaults import default_of
from cdc.binlog.schema.row_layout import RowLayout
from cdc.errors import UnsupportedEventError
from cdc.model import Absent, Change, Image, Op, Value

ADVICE: Final = "SET GLOBAL binlog_row_image = 'FULL' on the server, reconnect the shop, then import afresh"

AgreedColumns = Callable[[], Sequence[Column] | None]
"""Returns the table's schema if the schema fits the log, else None. Raises UnsupportedEventError if there is no schema.
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """The table and schema that a row layout was made from. ``columns`` may ask a server, so it is called only for an
    image that is not whole.
    """

    columns: AgreedColumns
    fields: tuple[Field, ...] = ()
    is_mariadb: bool = False


@dataclass(frozen=True, slots=True)
class Filling:
    """Completes INSERT images that lack the same columns: default cells by index, and the cells that stay unknown."""

    cells: tuple[tuple[int, Value], ...]
    image: Image

    def complete(self, insert: Change) -> Change:
        """The INSERT's cells with the defaults put in."""
        assert insert.after is not None
        cells: list[Value | Absent] = list(insert.after)
        for at, value in self.cells:
            cells[at] = value
        return Change(insert.table, insert.op, None, tuple(cells), insert.cascades, self.image)


def filling(row_layout: RowLayout, origin: Origin, present: tuple[int, ...]) -> Filling:
    """How to complete INSERT images that have only these columns."""
    missing = _missing(row_layout, present)
    columns = origin.columns()
    values = {
        at: default_of(columns[index], origin.fields[index], is_mariadb=origin.is_mariadb)
        for at, index in missing
        if columns is not None
    }
    known = tuple((at, value) for at, value in values.items() if not isinstance(value, Absent))
    # A row without its mapped key cannot be found in the replica.
    if any(at < row_layout.key_width for at, _ in missing):
        raise _without_key(row_layout, Op.INSERT)
    # A default that is not known (an expression) makes the row unread: it is read from the server by key.
    return Filling(known, Image.WHOLE if len(known) == len(missing) else Image.UNKNOWN)


def image_of_update(
    row_layout: RowLayout, origin: Origin, present: tuple[int, ...], present_after: tuple[int, ...]
) -> Image:
    """How complete UPDATEs with these columns are, once the before image has completed the after image."""
    require_key(row_layout, Op.UPDATE, present)
    missing = _missing(row_layout, present_after)
    # Only MariaDB leaves out columns that changed, so only there may "missing" mean "other".
    if missing and origin.is_mariadb and _knows_only_the_server(row_layout, origin, present_after, missing):
        return Image.UNKNOWN
    return Image.PARTIAL if any(index not in present for _, index in missing) else Image.WHOLE


def require_key(row_layout: RowLayout, op: Op, present: Sequence[int]) -> None:
    """Raises UnsupportedEventError if the before image lacks the mapped key: then nothing says which row changed."""
    if any(at < row_layout.key_width for at, _ in _missing(row_layout, present)):
        raise _without_key(row_layout, op)


def _knows_only_the_server(
    row_layout: RowLayout, origin: Origin, present_after: tuple[int, ...], missing: Sequence[tuple[int, int]]
) -> bool:
    """Whether a column that MariaDB's after image lacks may have changed; the
    module's docstring says in which cases.
    """
    # The key in the after image is the mark of REPLACE and ON DUPLICATE KEY UPDATE, which reset columns to
    # defaults.
    if all(index in present_after for index in row_layout.cells[: row_layout.key_width]):
        return True
    columns = origin.columns()
    # A virtual column follows the columns that changed, though no event holds it.
    return columns is None or any("VIRTUAL" in columns[index].extra.upper() for _, index in missing)


def _missing(row_layout: RowLayout, present: Sequence[int]) -> list[tuple[int, int]]:
    """The wanted columns that the table has and the image lacks: (index among the cells, column index in the log)."""
    return [(at, index) for at, index in enumerate(row_layout.cells) if index is not None and index not in present]


def _without_key(row_layout: RowLayout, op: Op) -> UnsupportedEventError:
    return UnsupportedEventError(
        f"{op.name} rows of {row_layout.table} that do not hold its key (binlog_row_image is not FULL, and the primary "
        "key is another)",
        hint=ADVICE,
    )


def _no_schema() -> Sequence[Column] | None:
    raise UnsupportedEventError("rows that are not whole, and no schema to complete them", hint=ADVICE)


NO_ORIGIN: Final = Origin(_no_schema)
