"""Decodes row images column by column. The code is slow and plain: plans.py must give the same results.

A row image: NULL bits over the columns that are present (lowest bit first), then the values that are not NULL.
"""

from __future__ import annotations

from cdc.binlog.schema.row_layout import RowLayout
from cdc.model import ABSENT, Absent, Cells, Value

Raw = dict[int, bytes | None]
"""The wanted columns of one image: column in the log → bytes, None for NULL; columns not in the image are missing."""


def indexes_in(bitmap: bytes, count: int) -> tuple[int, ...]:
    """Indexes of the columns whose bits are set."""
    return tuple(index for index in range(count) if bitmap[index >> 3] >> (index & 7) & 1)


def read_raw(row_layout: RowLayout, body: bytes, at: int, present: tuple[int, ...]) -> tuple[Raw, int]:
    """Cut the wanted columns' bytes out of the image at ``at`` → (bytes by column, offset behind the image).

    IndexError if the image is cut short.
    """
    width = (len(present) + 7) // 8
    nulls = int.from_bytes(body[at : at + width], "little")
    at += width
    found: Raw = {}
    for index in present:
        is_null, nulls = nulls & 1, nulls >> 1
        # NULL values take no bytes.
        if is_null:
            if index in row_layout.codecs:
                found[index] = None
            continue
        layout = row_layout.layouts[index]
        length = layout.width
        # Variable width: the length stands before the value.
        if layout.prefix:
            length = int.from_bytes(body[at : at + layout.prefix], "little")
            at += layout.prefix
        # Python slices give fewer bytes silently; the row would end with a short text.
        if at + length > len(body):
            raise IndexError("a row that ends beyond its event")
        if index in row_layout.codecs:
            found[index] = body[at : at + length]
        at += length
    return found, at


def cells_of(row_layout: RowLayout, raw: Raw) -> Cells:
    """Decode an image that ``read_raw`` cut. ValueError for bytes that are not a value of their column."""
    cells: list[Value | Absent] = []
    for index in row_layout.cells:
        # The table does not have this column, or the image does not hold it.
        if index is None or index not in raw:
            cells.append(ABSENT)
            continue
        held = raw[index]
        cells.append(None if held is None else row_layout.codecs[index].decode(held))
    return tuple(cells)


def changes(before: Raw, after: Raw) -> bool:
    """Whether the images of an UPDATE show a change of a wanted column."""
    return any(index not in before or before[index] != held for index, held in after.items())


def read_row(row_layout: RowLayout, body: bytes, at: int, present: tuple[int, ...]) -> tuple[Cells, int]:
    """Read one image → (cells, offset behind it)."""
    raw, at = read_raw(row_layout, body, at, present)
    return cells_of(row_layout, raw), at


def read_pair(
    row_layout: RowLayout,
    body: bytes,
    at: int,
    present: tuple[int, ...],
    present_after: tuple[int, ...],
    *,
    always: bool = False,
) -> tuple[Cells | None, Cells | None, int]:
    """The two images of an UPDATE → (before, after, offset behind them); None and None when no wanted column changed.

    A value that the after image lacks is taken from the before image. ``always``: return the pair also when the images
    are equal, as columns outside the images may have changed.
    """
    before, at = read_raw(row_layout, body, at, present)
    after, at = read_raw(row_layout, body, at, present_after)
    # Compared as bytes, before decoding: most updates of a shop touch no mapped column.
    if not always and not changes(before, after):
        return None, None, at
    return cells_of(row_layout, before), cells_of(row_layout, {**before, **after}), at
