"""Changes as bytes, for transactions that wait on disk.

The form is Python's marshal, version 2, over tuples of plain values. It is several times faster than any other form for
rows, and later Pythons read it. It is used only for our own files, and not for exchange.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable
from typing import Final

from cdc.errors import StateError
from cdc.model import ABSENT, Cells, Change, Image, Op

_VERSION: Final = 2


def pack_changes(changes: Iterable[Change]) -> bytes:
    """The changes as bytes, in order. ``unpack_changes`` returns equal changes."""
    plain = [(c.table, int(c.op), _plain(c.before), _plain(c.after), c.cascades, int(c.image)) for c in changes]
    return marshal.dumps(plain, _VERSION)


def unpack_changes(packed: bytes) -> list[Change]:
    """The changes that ``pack_changes`` was given. StateError for bytes that it did not make."""
    try:
        return [
            Change(table, Op(op), _cells(before), _cells(after), cascades, Image(image))
            for table, op, before, after, cascades, image in marshal.loads(packed)  # noqa: S302  # our own file
        ]
    except (EOFError, ValueError, TypeError) as error:
        raise StateError("changes kept on disk cannot be read back", hint="was the file damaged?") from error


def _plain(cells: Cells | None) -> tuple[object, ...] | None:
    """The value in a form for marshal: ABSENT becomes the Ellipsis, which is not the value of any column."""
    if cells is None or ABSENT not in cells:
        return cells
    return tuple(... if cell is ABSENT else cell for cell in cells)


def _cells(plain: tuple[object, ...] | None) -> Cells | None:
    if plain is None or ... not in plain:
        return plain  # type: ignore[return-value]  # what _plain was given
    return tuple(ABSENT if cell is ... else cell for cell in plain)  # type: ignore[misc]  # the same
