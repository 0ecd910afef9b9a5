"""Changes as bytes, for transactions that wait on disk or come from the decoding process.

The form is Python's marshal, version 2, over tuples of plain values. It is several times faster than any other form for
rows, and later Pythons read it. It is used only for our own files and our own processes, and not for exchange.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable
from typing import Any, Final

from cdc.errors import StateError
from cdc.model import ABSENT, Cells, Change, Image, Op

_VERSION: Final = 2
_OPS: Final = {op.value: op for op in Op}
_IMAGES: Final = {image.value: image for image in Image}

PlainChange = tuple[str, int, Any, Any, bool, int, bool]
"""A change in a form for marshal. The last value: whether a cell is ABSENT."""


def pack_changes(changes: Iterable[Change]) -> bytes:
    """The changes as bytes, in order. ``unpack_changes`` returns equal changes."""
    return pack(plain_changes(changes))


def unpack_changes(packed: bytes) -> list[Change]:
    """The changes that ``pack_changes`` was given. StateError for bytes that it did not make."""
    try:
        return changes_of(unpack(packed))
    except (EOFError, ValueError, TypeError, KeyError) as error:
        raise StateError("changes kept on disk cannot be read back", hint="was the file damaged?") from error


def pack(plain: Any) -> bytes:
    """Tuples, lists, texts, numbers, bytes and None as bytes."""
    return marshal.dumps(plain, _VERSION)


def unpack(packed: bytes) -> Any:
    """What ``pack`` was given. EOFError, ValueError or TypeError for bytes that it did not make."""
    return marshal.loads(packed)  # noqa: S302  # our own file, or our own process


def plain_changes(changes: Iterable[Change]) -> list[PlainChange]:
    """The changes in a form for ``pack``."""
    return [_plain_change(change) for change in changes]


def _plain_change(change: Change) -> PlainChange:
    table, op, before, after, cascades, image = change
    if (before is not None and ABSENT in before) or (after is not None and ABSENT in after):
        return table, op.value, _plain(before), _plain(after), cascades, image.value, True
    return table, op.value, before, after, cascades, image.value, False


def changes_of(plain: Iterable[PlainChange]) -> list[Change]:
    """The changes that ``plain_changes`` was given."""
    return [
        # nearly no row lacks a cell, and looking for one costs more than all the rest
        Change(table, _OPS[op], _cells(before), _cells(after), cascades, _IMAGES[image])
        if has_absent
        else Change(table, _OPS[op], before, after, cascades, _IMAGES[image])
        for table, op, before, after, cascades, image, has_absent in plain
    ]


def _plain(cells: Cells | None) -> tuple[object, ...] | None:
    """The value in a form for marshal: ABSENT becomes the Ellipsis, which is not the value of any column."""
    return None if cells is None else tuple(... if cell is ABSENT else cell for cell in cells)


def _cells(plain: tuple[object, ...] | None) -> Cells | None:
    return None if plain is None else tuple(ABSENT if cell is ... else cell for cell in plain)  # type: ignore[misc]  # what _plain was given
