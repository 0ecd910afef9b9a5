"""Decodes row images column by column. Slow and plain: what plans.py generates must agree with this.

A row image: NULL bits over the columns that are present (lowest bit first), then the values that are not NULL.
"""

from __future__ import annotations

from cdc.binlog.schema.row_layout import RowLayout
from cdc.model import ABSENT, Absent, Cells, Value

Raw = dict[int, bytes | None]
"""The wanted columns of one image: column in the log → bytes, None for NULL; columns not in the image are missing."""


def places_in(bitmap: bytes, count: int) -> tuple[int, ...]:
    """The columns whose bits are set."""
    return tuple(place for place in range(count) if bitmap[place >> 3] >> (place & 7) & 1)


def read_raw(shape: RowLayout, body: bytes, at: int, present: tuple[int, ...]) -> tuple[Raw, int]:
    """Cut one image at ``at`` into the wanted columns' bytes → (those, place behind it). IndexError if cut short."""
    width = (len(present) + 7) // 8
    nulls = int.from_bytes(body[at : at + width], "little")
    at += width
    found: Raw = {}
    for place in present:
        is_null, nulls = nulls & 1, nulls >> 1
        if is_null:
            if place in shape.codecs:
                found[place] = None
            continue
        layout = shape.layouts[place]
        length = layout.width
        if layout.prefix:
            length = int.from_bytes(body[at : at + layout.prefix], "little")
            at += layout.prefix
        if at + length > len(body):
            raise IndexError("a row that ends beyond its event")
        if place in shape.codecs:
            found[place] = body[at : at + length]
        at += length
    return found, at


def cells_of(shape: RowLayout, raw: Raw) -> Cells:
    """Decode a cut image. ValueError for bytes that are no value of their column."""
    cells: list[Value | Absent] = []
    for place in shape.cells:
        if place is None or place not in raw:
            cells.append(ABSENT)
            continue
        held = raw[place]
        cells.append(None if held is None else shape.codecs[place].decode(held))
    return tuple(cells)


def changes(before: Raw, after: Raw) -> bool:
    """Whether an UPDATE with these images says that it changes a wanted column."""
    return any(place not in before or before[place] != held for place, held in after.items())


def read_row(shape: RowLayout, body: bytes, at: int, present: tuple[int, ...]) -> tuple[Cells, int]:
    """One image → (cells, place behind it)."""
    raw, at = read_raw(shape, body, at, present)
    return cells_of(shape, raw), at


def read_pair(
    shape: RowLayout,
    body: bytes,
    at: int,
    present: tuple[int, ...],
    present_after: tuple[int, ...],
    *,
    always: bool = False,
) -> tuple[Cells | None, Cells | None, int]:
    """The two images of an UPDATE → (before, after, place behind them); None and None when nothing wanted changed.

    What the after image lacks is taken from the before image. ``always``: more may have changed than the images say.
    """
    before, at = read_raw(shape, body, at, present)
    after, at = read_raw(shape, body, at, present_after)
    if not always and not changes(before, after):
        return None, None, at
    return cells_of(shape, before), cells_of(shape, {**before, **after}), at
