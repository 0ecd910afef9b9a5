"""Generated plans read what the generic decoder reads, for any table and any bytes of the right lengths."""

from __future__ import annotations

import struct
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.binlog.rows.decode import TableReader
from cdc.binlog.rows.generic import indexes_in, read_pair, read_row
from cdc.binlog.rows.plans import PlanMaker
from cdc.binlog.rows.table_map import ColumnType, Field
from cdc.binlog.schema.row_layout import RowLayout
from cdc.binlog.values.decode import Traits, codec_of, layout_of
from cdc.model import ABSENT, Change, Op

_T = ColumnType

_FIELDS = [
    Field(_T.TINY), Field(_T.SHORT), Field(_T.INT24), Field(_T.LONG), Field(_T.LONGLONG), Field(_T.FLOAT, 4),
    Field(_T.DOUBLE, 8), Field(_T.NEWDECIMAL, 12, 4), Field(_T.NEWDECIMAL, 20, 0), Field(_T.DATE), Field(_T.YEAR),
    Field(_T.TIME2, 3), Field(_T.DATETIME2, 0), Field(_T.TIMESTAMP2, 6), Field(_T.BIT, 1, 3), Field(_T.ENUM, 1),
    Field(_T.SET, 1), Field(_T.VARCHAR, 40), Field(_T.VARCHAR, 300), Field(_T.STRING, 10), Field(_T.BLOB, 1),
    Field(_T.BLOB, 2), Field(_T.BLOB, 3), Field(_T.BLOB, 4), Field(_T.VECTOR, 4),
]  # fmt: skip
_CHARSETS = ["utf8mb4", "latin1", None, "ucs2"]


@st.composite
def row_layouts(draw: st.DrawFn) -> tuple[RowLayout, list[Field]]:
    """A table of up to 20 columns, some of them wanted, in any order, and one that it does not have."""
    fields = draw(st.lists(st.sampled_from(_FIELDS), min_size=1, max_size=20))
    cells: list[int | None] = list(draw(st.sets(st.integers(0, len(fields) - 1))))
    cells = draw(st.permutations([*cells, None]))
    labels = tuple(f"l{number}" for number in range(draw(st.sampled_from([8, 255]))))
    codecs = {}
    for index in cells:
        if index is not None:
            charset, unsigned = draw(st.sampled_from(_CHARSETS)), draw(st.booleans())
            codecs[index] = codec_of(fields[index], Traits(unsigned, charset, labels))
    return RowLayout("things", tuple(layout_of(field) for field in fields), tuple(cells), codecs, key_width=0), fields


def _value(draw: st.DrawFn, row_layout: RowLayout, index: int) -> bytes:
    layout = row_layout.layouts[index]
    if not layout.prefix:
        return draw(st.binary(min_size=layout.width, max_size=layout.width))
    held = draw(st.binary(max_size=12))
    return len(held).to_bytes(layout.prefix, "little") + held


@st.composite
def images(draw: st.DrawFn, row_layout: RowLayout) -> tuple[bytes, bytes]:
    """(bitmap of the columns present, the image with its NULL bits)."""
    present = [index for index in range(row_layout.count) if draw(st.integers(0, 9))] or [0]
    bitmap = sum(1 << index for index in present).to_bytes(row_layout.bitmap_bytes, "little")
    nulls = draw(st.integers(0, (1 << len(present)) - 1)) & draw(st.integers(0, (1 << len(present)) - 1))
    body = nulls.to_bytes((len(present) + 7) // 8, "little")
    for number, index in enumerate(present):
        if not nulls >> number & 1:
            body += _value(draw, row_layout, index)
    return bitmap, body


def _outcome(read: Callable[[], object]) -> object:
    """The value, or the kind of error; NaN as text, as it equals nothing."""
    try:
        return repr(read())
    except (ValueError, struct.error):
        return "refused"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_row_plan_reads_what_the_generic_decoder_reads(data: st.DataObject) -> None:
    """For any table, columns present and NULLs, plan and generic decoder give the same cells and the same end."""
    row_layout, _ = data.draw(row_layouts())
    bitmap, body = data.draw(images(row_layout))
    present = indexes_in(bitmap, row_layout.count)
    plan = PlanMaker(row_layout).row(present, body[: (len(present) + 7) // 8])

    assert _outcome(lambda: plan(b"xx" + body, 2)) == _outcome(lambda: read_row(row_layout, b"xx" + body, 2, present))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_pair_plan_reads_what_the_generic_decoder_reads(data: st.DataObject) -> None:
    """The same for the two images of an update, also where they are equal and where they hold other columns."""
    row_layout, _ = data.draw(row_layouts())
    bitmap, before = data.draw(images(row_layout))
    bitmap_after, after = data.draw(st.one_of(st.just((bitmap, before)), images(row_layout)))
    present, present_after = indexes_in(bitmap, row_layout.count), indexes_in(bitmap_after, row_layout.count)
    nulls, nulls_after = before[: (len(present) + 7) // 8], after[: (len(present_after) + 7) // 8]
    always = data.draw(st.booleans())
    plan = PlanMaker(row_layout).pair(present, nulls, present_after, nulls_after, always=always)

    generic = _outcome(lambda: read_pair(row_layout, before + after, 0, present, present_after, always=always))
    assert _outcome(lambda: plan(before + after, 0)) == generic


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_reader_gives_the_same_changes_with_and_without_plans(data: st.DataObject) -> None:
    """A whole UPDATE event reads alike with plans from the first row on, with few plans, and with none."""
    row_layout, _ = data.draw(row_layouts())
    bitmap, first = data.draw(images(row_layout))
    rows = [first]
    for _ in range(data.draw(st.integers(0, 3))):
        rows.append(data.draw(images(row_layout).filter(lambda found: found[0] == bitmap).map(lambda found: found[1]))
        if
                    data.draw(st.booleans()) else first)  # fmt: skip
    body = bytes([row_layout.count]) + bitmap * 2 + b"".join(row + row for row in rows)

    def read(most_plans: int, plan_after: int) -> object:
        out: list[Change] = []
        reader = TableReader(row_layout, most_plans=most_plans, plan_after=plan_after)
        return [reader.read(Op.UPDATE, body, 0, True, out) for _ in range(3)], out

    plain = _outcome(lambda: read(0, 0))
    assert _outcome(lambda: read(512, 0)) == plain
    assert _outcome(lambda: read(1, 0)) == plain


def _two_columns(wanted: tuple[int | None, ...]) -> RowLayout:
    fields = (Field(_T.LONG), Field(_T.VARCHAR, 40))
    codecs = {index: codec_of(fields[index], Traits(False, "utf8mb4")) for index in wanted if index is not None}
    return RowLayout("things", tuple(map(layout_of, fields)), wanted, codecs)


def test_an_update_of_columns_that_are_not_wanted_is_no_change() -> None:
    """When the wanted columns' bytes are equal, an update gives no change at all."""
    out: list[Change] = []
    body = b"\x02\x03\x03" + b"\x00\x01\x00\x00\x00\x01a" + b"\x00\x01\x00\x00\x00\x02bc"

    rows = TableReader(_two_columns((0,)), plan_after=0).read(Op.UPDATE, body, 0, True, out)

    assert (rows, out) == (1, [])


def test_minimal_after_images_are_completed_from_the_before_image() -> None:
    """MINIMAL: before holds the key, after what changed; with both all that the table has is told."""
    out: list[Change] = []
    body = b"\x02\x01\x02" + b"\x00\x07\x00\x00\x00" + b"\x00\x02hi"

    for plan_after in (0, 99):
        TableReader(_two_columns((0, 1, None)), plan_after=plan_after).read(Op.UPDATE, body, 0, False, out)

    change = Change("things", Op.UPDATE, (7, ABSENT, ABSENT), (7, "hi", ABSENT), cascades=False)
    assert out == [change, change]


def test_the_plans_of_a_table_are_bounded() -> None:
    """Past the bound rows still read, through the generic decoder."""
    row_layout = RowLayout(
        "wide", tuple(layout_of(Field(_T.TINY)) for _ in range(8)), (0,), {0: codec_of(_FIELDS[0], Traits())}
    )
    reader = TableReader(row_layout, most_plans=3, plan_after=0)
    out: list[Change] = []
    for nulls in range(200):
        values = bytes([5]) * (8 - nulls.bit_count())
        reader.read(Op.INSERT, b"\x08\xff" + bytes([nulls]) + values, 0, True, out)

    assert reader.plans == 3
    assert [change.after for change in out] == [(None,) if nulls & 1 else (5,) for nulls in range(200)]
