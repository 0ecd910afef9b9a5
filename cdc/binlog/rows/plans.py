"""Generates the code that reads one kind of row image: same table, same columns present, same columns NULL.

With these three fixed, everything but the lengths of strings is known. Fixed-width columns become constant offsets,
NULL or unwanted columns cost nothing or one addition, and only wanted columns are decoded. For

    id INT, qty SMALLINT, note VARCHAR(40), left SMALLINT, of which all but note are wanted, nothing NULL

the plan is

    def plan(b, p):
        x2 = p + 8 + b[p + 7]
        v0, v1 = unpack_0(b, p + 1)
        v3 = unpack_1(b, x2)[0]
        return (v0, v1, v3,), x2 + 2

The two images of an UPDATE are mostly the same bytes. A wide row is cut into stretches. A stretch of the after image
that equals the before image's stretch is not decoded again.

The generated code contains numbers from the log, and never its text. The tests compare each plan with generic.py. Bytes
that are cut short give an IndexError, a struct.error, a ValueError, or an offset beyond the event's end, which the
caller checks.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from cdc.binlog.schema.row_layout import RowLayout
from cdc.binlog.values.decode import INLINE_NAMES, Codec, Memo
from cdc.model import ABSENT, Cells

RowPlan = Callable[[bytes, int], tuple[Cells, int]]
"""(event, offset of the image) → (cells, offset behind it)."""

PairPlan = Callable[[bytes, int], tuple[Cells | None, Cells | None, int]]
"""(event, offset of the before image) → (before, after, offset behind both); None and None: no wanted column changed.

A negative offset -e: the after image begins at e, and its NULL columns are not those of this plan.
"""

STRETCH: Final = 8
"""Variable-length columns in one stretch. In a shorter stretch, decoding is as cheap as comparing."""

_MOST_GAP: Final = 32  # bytes of unwanted columns that one unpack passes over
_LENGTH: Final = {
    1: "b[{0}]",
    2: "length_2(b, {0})[0]",
    3: "from_bytes(b[{0}:{0} + 3], 'little')",
    4: "length_4(b, {0})[0]",
}
_NAMES: Final = {
    "ABSENT": ABSENT,
    "length_2": struct.Struct("<H").unpack_from,
    "length_4": struct.Struct("<I").unpack_from,
    **INLINE_NAMES,
}

Columns = Sequence[tuple[int, bool]]
"""Columns in the order of the image: (column index in the log, whether it is NULL)."""


@dataclass(frozen=True, slots=True)
class _Span:
    """Where one wanted value is: the value, or its length prefix, begins ``offset`` bytes behind the variable ``base``.

    ``width``: of a column without prefix, else 0. ``start`` (of the prefix), ``at`` and ``end`` are expressions.
    """

    base: str
    offset: int
    width: int
    start: str
    at: str
    end: str


_Spans = dict[int, _Span | None]
"""By column index in the log; None for NULL. Columns that the image lacks are missing."""


class _After(NamedTuple):
    """One stretch of the after image.

    ``is_equal``: the variable that says whether it equals the before image's, or "".
    """

    spans: _Spans
    is_equal: str


class PlanMaker:
    """Makes plans for one row layout. All of its plans share the remembered values."""

    def __init__(self, row_layout: RowLayout) -> None:
        self._row_layout = row_layout
        self._names: dict[str, object] = dict(_NAMES)
        self._unpackers: dict[str, str] = {}
        for index, codec in row_layout.codecs.items():
            self._names[f"decode_{index}"] = Memo(codec.decode) if codec.repeats else codec.decode

    def row(self, present: tuple[int, ...], nulls: bytes) -> RowPlan:
        """The plan for single images with these columns present and these NULL bits."""
        lines, spans, end = self._walk(_columns(present, nulls), "p", len(nulls), "x")
        decoded = self._decode(spans, "v")
        lines += [*decoded, f"return {self._tuple({index: _name('v', index, spans) for index in spans})}, {end}"]
        return cast(RowPlan, self._compiled(lines))

    def pair(
        self,
        present: tuple[int, ...],
        nulls: bytes,
        present_after: tuple[int, ...],
        nulls_after: bytes,
        *,
        always: bool = False,
    ) -> PairPlan:
        """The plan for the two images of an UPDATE. ``always``: columns outside the images may have changed too."""
        columns, columns_after = _columns(present, nulls), _columns(present_after, nulls_after)
        # Stretches pair up only if both images have the same columns.
        if present == present_after:
            stretches = [(columns[a:z], columns_after[a:z]) for a, z in self._stretches(columns)]
        else:
            stretches = [(columns, columns_after)]
        return cast(PairPlan, self._compiled(self._pair_lines(stretches, len(nulls), nulls_after, always)))

    def _pair_lines(
        self, stretches: Sequence[tuple[Columns, Columns]], null_bytes: int, nulls_after: bytes, always: bool
    ) -> list[str]:
        """The lines that read both images, stretch by stretch.

        Stretch k of the before image is from s<k> to s<k+1>, of the after image from t<k> to t<k+1>; e<k>: their bytes
        are equal. Variables x and v are offsets and values of the before image, y and w those of the after image.
        """
        lines = [f"s0 = p + {null_bytes}"]
        befores: list[_Spans] = []
        for number, (columns, _) in enumerate(stretches):
            walked, spans, end = self._walk(columns, f"s{number}", 0, "x")
            befores.append(spans)
            lines += [*walked, f"s{number + 1} = {end}"]
        behind = f"s{len(stretches)}"
        # The plan is made for certain NULLs. Other NULLs would shift every offset, so the plan gives up with a
        # negative offset.
        if nulls_after:
            lines += [f"if b[{behind}:{behind} + {len(nulls_after)}] != {nulls_after!r}:"]
            lines += [f"    return None, None, -{behind}"]
        lines.append(f"t0 = {behind} + {len(nulls_after)}")
        afters: list[_After] = []
        for number, (columns, columns_after) in enumerate(stretches):
            walked, spans, end = self._walk(columns_after, f"t{number}", 0, "y")
            walked.append(f"t{number + 1} = {end}")
            # With a single stretch nothing is saved: ``unchanged`` below compares the same bytes.
            is_compared = len(stretches) > 1 and columns == columns_after
            if is_compared:
                # Equal bytes have equal length, so the end needs no walking.
                lines += [
                    f"t{number + 1} = t{number} + s{number + 1} - s{number}",
                    f"e{number} = b[s{number}:s{number + 1}] == b[t{number}:t{number + 1}]",
                    f"if not e{number}:",
                ]
            lines += _indented(walked) if is_compared else walked
            afters.append(_After(spans, f"e{number}" if is_compared else ""))
        end = f"t{len(stretches)}"
        # With ``always`` an equal pair still counts: what the images do not hold may have changed.
        unchanged = None if always else _unchanged(befores, afters)
        if unchanged is not None:
            lines += [f"if {unchanged}:", f"    return None, None, {end}"]
        return [*lines, *self._pair_values(befores, afters, end)]

    def _pair_values(self, befores: Sequence[_Spans], afters: Sequence[_After], end: str) -> Iterator[str]:
        """The lines that decode the values of both images and return them."""
        cells: dict[int, str] = {}
        cells_after: dict[int, str] = {}
        for spans in befores:
            yield from self._decode(spans, "v")
            cells |= {index: _name("v", index, spans) for index in spans}
        for spans, is_equal in afters:
            decoded = self._decode(spans, "w")
            # Equal bytes decode to equal values: they are taken over without decoding.
            if is_equal and decoded:
                yield f"if {is_equal}:"
                yield from (f"    w{index} = v{index}" for index, span in spans.items() if span is not None)
                yield "else:"
                yield from _indented(decoded)
            else:
                yield from decoded
            cells_after |= {index: _name("w", index, spans) for index in spans}
        # what the after image lacks is as it was
        yield f"return {self._tuple(cells)}, {self._tuple(cells | cells_after)}, {end}"

    def _stretches(self, columns: Columns) -> Iterator[tuple[int, int]]:
        """Cut the columns so that no stretch has more than STRETCH variable lengths → (first, behind the last)."""
        first = lengths = 0
        for number, (index, is_null) in enumerate(columns):
            lengths += not is_null and self._row_layout.layouts[index].prefix > 0
            # A stretch ends behind its eighth length prefix.
            if lengths == STRETCH:
                yield first, number + 1
                first, lengths = number + 1, 0
        # The rest; a table of no columns still needs one stretch for the code to be whole.
        if first < len(columns) or not columns:
            yield first, len(columns)

    def _walk(self, columns: Columns, base: str, offset: int, prefix: str) -> tuple[list[str], _Spans, str]:
        """Follow these columns from ``base`` + ``offset`` → (lines, spans, end).

        Each variable is named ``prefix`` and the column's number.
        """
        lines: list[str] = []
        spans: _Spans = {}
        for index, is_null in columns:
            wanted = index in self._row_layout.codecs
            if is_null:
                # Whether NULL or not, an unwanted column only moves the offset.
                if wanted:
                    spans[index] = None
                continue
            layout = self._row_layout.layouts[index]
            held_base, held_offset = base, offset
            start, at = _plus(base, offset), _plus(base, offset + layout.prefix)
            # From here on offsets are relative to the end of this value, as its length is known only at run
            # time.
            if layout.prefix:
                lines.append(f"{prefix}{index} = {at} + {_LENGTH[layout.prefix].format(start)}")
                base, offset = f"{prefix}{index}", 0
            else:
                offset += layout.width
            if wanted:
                spans[index] = _Span(held_base, held_offset, layout.width, start, at, _plus(base, offset))
        return lines, spans, _plus(base, offset)

    # ------------------------------------------------------------------------------------------ values

    def _decode(self, spans: _Spans, prefix: str) -> list[str]:
        """The lines that decode these values into variables named ``prefix`` and the column's number."""
        lines: list[str] = []
        for group in _groups(spans):
            # A lone value is cheaper to slice than to unpack.
            if len(group) == 1:
                index, span = group[0]
                lines.append(f"{prefix}{index} = {self._alone(index, span)}")
                continue
            names = ", ".join(f"{prefix}{index}" for index, _ in group)
            lines.append(f"{names} = {self._unpacker(group)}(b, {group[0][1].start})")
            for index, _ in group:
                codec, name = self._row_layout.codecs[index], f"{prefix}{index}"
                expression = _of_bytes(codec, index, name)
                # Types that struct reads need no second step.
                if not codec.code and expression != name:
                    lines.append(f"{name} = {expression}")
        return lines

    def _alone(self, index: int, span: _Span) -> str:
        codec = self._row_layout.codecs[index]
        # One byte: indexing is faster than any unpacking.
        if codec.code == "B":
            return f"b[{span.at}]"
        if codec.code:
            return f"{self._unpacker([(index, span)])}(b, {span.at})[0]"
        return _of_bytes(codec, index, f"b[{span.at}:{span.end}]")

    def _unpacker(self, group: Sequence[tuple[int, _Span]]) -> str:
        """The name of the function that reads these neighbours in one call. Unwanted columns may lie between them."""
        text = "<"
        at = group[0][1].offset
        for index, span in group:
            # Unwanted bytes between two wanted values become padding, so that one call reads both.
            text += f"{span.offset - at}x" if span.offset > at else ""
            text += self._row_layout.codecs[index].code or f"{span.width}s"
            at = span.offset + span.width
        name = self._unpackers.setdefault(text, f"unpack_{len(self._unpackers)}")
        self._names.setdefault(name, struct.Struct(text).unpack_from)
        return name

    def _tuple(self, names: Mapping[int, str]) -> str:
        cells = ["ABSENT" if index is None else names.get(index, "ABSENT") for index in self._row_layout.cells]
        return f"({', '.join(cells)},)" if cells else "()"

    def _compiled(self, lines: Sequence[str]) -> object:
        scope = dict(self._names)
        text = "\n".join(["def plan(b, p):", *_indented(lines)])
        exec(compile(text, f"<plan of {self._row_layout.table}>", "exec"), scope)  # noqa: S102  # our own text
        return scope["plan"]


def _columns(present: tuple[int, ...], nulls: bytes) -> Columns:
    return [(index, bool(nulls[number >> 3] >> (number & 7) & 1)) for number, index in enumerate(present)]


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _name(prefix: str, index: int, spans: _Spans) -> str:
    return f"{prefix}{index}" if spans[index] is not None else "None"


def _plus(base: str, offset: int) -> str:
    return f"{base} + {offset}" if offset else base


def _of_bytes(codec: Codec, index: int, raw: str) -> str:
    """The value as an expression of its bytes."""
    # An expression saves a call for every value, which is most of the cost.
    if codec.inline:
        return codec.inline.format(raw=raw)
    return f"decode_{index}[{raw}]" if codec.repeats else f"decode_{index}({raw})"


def _groups(spans: _Spans) -> Iterator[list[tuple[int, _Span]]]:
    """The values that are not NULL. Fixed-width values that are close to each other form one group."""
    group: list[tuple[int, _Span]] = []
    for index, span in spans.items():
        if span is None:
            continue
        if group and not _is_near(group[-1][1], span):
            yield group
            group = []
        group.append((index, span))
    if group:
        yield group


# Both lie at offsets that are fixed relative to the same variable, else one struct cannot read both.
def _is_near(one: _Span, other: _Span) -> bool:
    is_fixed = one.width and other.width and one.base == other.base
    return bool(is_fixed) and other.offset - one.offset - one.width <= _MOST_GAP


def _unchanged(befores: Sequence[_Spans], afters: Sequence[_After]) -> str | None:
    """The condition under which an UPDATE changes nothing wanted; None when it always does."""
    conditions: list[str] = []
    for before, (after, is_equal) in zip(befores, afters, strict=True):
        equal = _equality(before, after)
        # A column is new in the after image, or changed between NULL and a value: always a change.
        if equal is None:
            return None
        if equal != "True":
            conditions.append(f"({is_equal} or {equal})" if is_equal else equal)
    return " and ".join(conditions) or "True"


def _equality(before: _Spans, after: _Spans) -> str | None:
    """The condition under which an UPDATE changes nothing wanted; None when it always does.

    Neighbours are compared in one go, length prefixes and all.
    """
    runs: list[tuple[_Span, _Span, str, str]] = []
    for index, span in after.items():
        # The before image lacks the column: nothing to compare with, so the pair counts as a change.
        if index not in before:
            return None
        was = before[index]
        if span is None or was is None:
            # One of both is NULL.
            if span is not was:
                return None
        elif runs and runs[-1][2] == was.start and runs[-1][3] == span.start:
            # It follows directly behind the previous column in both images: one comparison covers both.
            runs[-1] = (runs[-1][0], runs[-1][1], was.end, span.end)
        else:
            runs.append((was, span, was.end, span.end))
    return " and ".join(f"b[{a.start}:{end_a}] == b[{z.start}:{end_z}]" for a, z, end_a, end_z in runs) or "True"
