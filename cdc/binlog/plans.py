"""Generates the code that reads one kind of row image: same table, same columns present, same columns NULL.

With those three fixed, everything but the lengths of strings is known: fixed-width columns become constant offsets,
NULL columns and unwanted ones cost nothing or one addition, and only wanted columns are decoded. For

    id INT, note VARCHAR(40), qty SMALLINT, of which id and qty are wanted, nothing NULL

the plan is

    def plan(b, p):
        x1 = p + 6 + b[p + 5]
        return (read_i(b, p + 1)[0], read_h(b, x1)[0]), x1 + 2

Nothing of the log's text enters the code, only numbers. generic.py is the oracle. Bytes that are cut short give an
IndexError, a struct.error, a ValueError, or a place beyond the event's end, which the caller checks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from cdc.binlog.shape import Shape
from cdc.binlog.values import INLINE_NAMES, Codec, Memo
from cdc.model import ABSENT, Cells

RowPlan = Callable[[bytes, int], tuple[Cells, int]]
"""(event, place of the image) → (cells, place behind it)."""

PairPlan = Callable[[bytes, int], tuple[Cells | None, Cells | None, int]]
"""(event, place of the before image) → (before, after, place behind both); None and None: nothing wanted changed.

A negative place -e: the after image, at e, has other NULL columns than this plan is for.
"""

_LENGTH: Final = {
    1: "b[{0}]",
    2: "read_H(b, {0})[0]",
    3: "from_bytes(b[{0}:{0} + 3], 'little')",
    4: "read_I(b, {0})[0]",
}


@dataclass(frozen=True, slots=True)
class _Span:
    """Where one wanted value lies, as expressions: ``start`` (of its length prefix), ``at``, ``end``."""

    start: str
    at: str
    end: str


@dataclass(frozen=True, slots=True)
class _Image:
    """One image walked. ``spans`` by column in the log, None for NULL; columns not in the image are missing."""

    lines: list[str]
    spans: dict[int, _Span | None]
    end: str


class PlanMaker:
    """Makes plans for one shape; they share its remembered values."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._names: dict[str, object] = dict(INLINE_NAMES)
        self._names["ABSENT"] = ABSENT
        for place, codec in shape.codecs.items():
            self._names[f"decode_{place}"] = Memo(codec.decode) if codec.repeats else codec.decode

    def row(self, present: tuple[int, ...], nulls: bytes) -> RowPlan:
        """The plan for single images with these columns present and these NULL bits."""
        image = _walk(self._shape, present, nulls, "p", "x")
        lines = ["def plan(b, p):", *image.lines, f"    return {self._tuple(image.spans)}, {image.end}"]
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
        """The plan for the two images of an UPDATE. ``always``: what they say is not all that may have changed."""
        before = _walk(self._shape, present, nulls, "p", "x")
        after = _walk(self._shape, present_after, nulls_after, "q", "y")
        lines = ["def plan(b, p):", *before.lines, f"    q = {before.end}"]
        if nulls_after:
            lines += [f"    if b[q:q + {len(nulls_after)}] != {nulls_after!r}:", "        return None, None, -q"]
        lines += after.lines
        equal = None if always else _equality(before, after)
        if equal is not None:
            lines += [f"    if {equal}:", f"        return None, None, {after.end}"]
        whole = before.spans | after.spans  # what the after image lacks is as it was
        lines.append(f"    return {self._tuple(before.spans)}, {self._tuple(whole)}, {after.end}")
        return cast(PairPlan, self._compiled(lines))

    def _tuple(self, spans: Mapping[int, _Span | None]) -> str:
        cells = [self._cell(place, spans) for place in self._shape.cells]
        return f"({', '.join(cells)},)" if cells else "()"

    def _cell(self, place: int | None, spans: Mapping[int, _Span | None]) -> str:
        if place is None or place not in spans:
            return "ABSENT"
        span = spans[place]
        if span is None:
            return "None"
        return _expression(self._shape.codecs[place], place, span)

    def _compiled(self, lines: list[str]) -> object:
        scope = dict(self._names)
        exec(compile("\n".join(lines), f"<plan of {self._shape.table}>", "exec"), scope)  # noqa: S102  # our own text
        return scope["plan"]


def _expression(codec: Codec, place: int, span: _Span) -> str:
    if codec.inline:
        return codec.inline.format(at=span.at, end=span.end)
    if codec.repeats:
        return f"decode_{place}[b[{span.at}:{span.end}]]"
    return f"decode_{place}(b[{span.at}:{span.end}])"


def _walk(shape: Shape, present: tuple[int, ...], nulls: bytes, base: str, prefix: str) -> _Image:
    """Follow one image from its NULL bits at ``base``. Variables are named ``prefix`` and the column's number."""
    lines: list[str] = []
    spans: dict[int, _Span | None] = {}
    offset = (len(present) + 7) // 8
    for number, place in enumerate(present):
        wanted = place in shape.codecs
        if nulls[number >> 3] >> (number & 7) & 1:
            if wanted:
                spans[place] = None
            continue
        layout = shape.layouts[place]
        start = _plus(base, offset)
        at = _plus(base, offset + layout.prefix)
        if layout.prefix:
            lines.append(f"    {prefix}{place} = {at} + {_LENGTH[layout.prefix].format(start)}")
            base, offset = f"{prefix}{place}", 0
        else:
            offset += layout.width
        if wanted:
            spans[place] = _Span(start, at, _plus(base, offset))
    return _Image(lines, spans, _plus(base, offset))


def _plus(base: str, offset: int) -> str:
    return f"{base} + {offset}" if offset else base


def _equality(before: _Image, after: _Image) -> str | None:
    """The condition under which an UPDATE changes nothing wanted; None when it always does.

    Neighbours are compared in one go, length prefixes and all.
    """
    runs: list[tuple[_Span, _Span, str, str]] = []
    for place, span in after.spans.items():
        if place not in before.spans:
            return None
        was = before.spans[place]
        if span is None or was is None:
            if span is not was:
                return None
        elif runs and runs[-1][2] == was.start and runs[-1][3] == span.start:
            runs[-1] = (runs[-1][0], runs[-1][1], was.end, span.end)
        else:
            runs.append((was, span, was.end, span.end))
    return " and ".join(f"b[{a.start}:{end_a}] == b[{z.start}:{end_z}]" for a, z, end_a, end_z in runs) or "True"
