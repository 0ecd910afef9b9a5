"""Rows events of one mapped table → changes.

    table id and flags, [v2: 2 length of extra data, with itself, the data,] number of columns,
    bitmap of the columns present, [UPDATE: bitmap of those in the after image,] row images to the end

MariaDB's compressed rows events hold the images as one compressed record (``compressed.py``).
"""

from __future__ import annotations

from typing import Final

from cdc.binlog.rows.generic import indexes_in, read_pair, read_row
from cdc.binlog.rows.headers import lenenc
from cdc.binlog.rows.images import NO_ORIGIN, Filling, Origin, filling, image_of_update, require_key
from cdc.binlog.rows.plans import PairPlan, PlanMaker, RowPlan
from cdc.binlog.schema.row_layout import RowLayout
from cdc.binlog.values.partial_json import read_partial_pair
from cdc.model import Cells, Change, Image, Op

MOST_PLANS: Final = 512
"""Plans kept per table; rows of further kinds go through the generic decoder."""

PLAN_AFTER: Final = 8
"""A plan is made after this many rows of one kind: making a plan costs as much as decoding that many rows without one.
"""

_MOST_CANDIDATES: Final = 8192


class TableReader:
    """Reads the rows of one row layout, and keeps the plans for them."""

    def __init__(
        self,
        row_layout: RowLayout,
        origin: Origin = NO_ORIGIN,
        *,
        most_plans: int = MOST_PLANS,
        plan_after: int = PLAN_AFTER,
    ) -> None:
        self.row_layout = row_layout
        self.origin = origin
        self.plans = 0
        self._most_plans = most_plans
        self._plan_after = plan_after
        self._maker = PlanMaker(row_layout)
        self._seen: dict[object, int] = {}
        self._images: dict[bytes, _Image] = {}
        self._pairs: dict[bytes, _Pair] = {}

    def read(self, op: Op, body: bytes, at: int, cascades: bool, out: list[Change]) -> int:
        """Decode the images behind the fixed fields, from the number of columns on; append the changes to ``out``.

        Returns how many rows were read, also rows that changed no wanted column. IndexError, struct.error or ValueError
        for bytes that do not fit.
        """
        count, at = lenenc(body, at)
        # The table map and the rows disagree: the id was reused, or events are missing.
        if count != self.row_layout.count:
            raise ValueError(f"rows of {count} columns after a table map of {self.row_layout.count}")
        width = self.row_layout.bitmap_bytes
        if op is not Op.UPDATE:
            return self._image(body[at : at + width]).read(op, body, at + width, cascades, out)
        return self._pair(body[at : at + 2 * width]).read(body, at + 2 * width, cascades, out)

    def read_partial(self, body: bytes, at: int, cascades: bool, out: list[Change]) -> int:
        """Like ``read``, for MySQL's PARTIAL_UPDATE_ROWS, whose after images may hold differences of JSON documents."""
        row_layout = self.row_layout
        count, at = lenenc(body, at)
        if count != row_layout.count:
            raise ValueError(f"rows of {count} columns after a table map of {row_layout.count}")
        width, end = row_layout.bitmap_bytes, len(body)
        present, present_after = indexes_in(body[at : at + width], count), indexes_in(body[at + width :], count)
        image = image_of_update(row_layout, self.origin, present, present_after)
        at += 2 * width
        rows = 0
        while at < end:
            before, after, is_known, beyond = read_partial_pair(row_layout, body, at, present, present_after)
            # A row must advance and stay within the event: else the loop would never end, or read the next
            # event's bytes.
            if not at < beyond <= end:
                raise _misfit(at, beyond)
            at = beyond
            rows += 1
            if before is not None:
                out.append(
                    Change(row_layout.table, Op.UPDATE, before, after, cascades, image if is_known else Image.UNKNOWN)
                )
        return rows

    def may_plan(self, kind: object) -> bool:
        """Whether it is time to make a plan for this kind of row, which has no plan."""
        # Each plan is compiled code that stays. A table with wild NULL patterns would fill the memory.
        if self.plans >= self._most_plans:
            return False
        # Counting starts over when the list is full: rare kinds stay rare.
        if len(self._seen) >= _MOST_CANDIDATES:
            self._seen.clear()
        seen = self._seen.get(kind, 0) + 1
        if seen <= self._plan_after:
            self._seen[kind] = seen
            return False
        self._seen.pop(kind, None)
        self.plans += 1
        return True

    def _image(self, bitmap: bytes) -> _Image:
        image = self._images.get(bitmap)
        if image is None:
            image = self._images[bitmap] = _Image(self, self._maker, indexes_in(bitmap, self.row_layout.count))
        return image

    def _pair(self, bitmaps: bytes) -> _Pair:
        pair = self._pairs.get(bitmaps)
        if pair is None:
            width, count = self.row_layout.bitmap_bytes, self.row_layout.count
            present, present_after = indexes_in(bitmaps[:width], count), indexes_in(bitmaps[width:], count)
            pair = self._pairs[bitmaps] = _Pair(self, self._maker, present, present_after)
        return pair


class _Image:
    """Reads the single images of INSERT and DELETE that have the same columns present."""

    def __init__(self, table: TableReader, maker: PlanMaker, present: tuple[int, ...]) -> None:
        self._table = table
        self._maker = maker
        self._present = present
        self._null_bytes = (len(present) + 7) // 8
        self._plans: dict[bytes, RowPlan] = {}
        self._is_whole = all(index is None or index in present for index in table.row_layout.cells)
        self._filling: Filling | None = None

    def read(self, op: Op, body: bytes, at: int, cascades: bool, out: list[Change]) -> int:
        name = self._table.row_layout.table
        width, plans, end = self._null_bytes, self._plans, len(body)
        is_insert = op is Op.INSERT
        # Whole images are the default of servers, and need no look at the schema.
        defaults = None if self._is_whole else self._defaults(op)
        first, append = len(out), out.append
        rows = 0
        while at < end:
            plan = plans.get(body[at : at + width])
            cells, beyond = plan(body, at) if plan is not None else self._without(body, at)
            if not at < beyond <= end:
                raise _misfit(at, beyond)
            at = beyond
            rows += 1
            append(Change(name, op, None, cells, cascades) if is_insert else Change(name, op, cells, None, cascades))
        if defaults is not None:
            out[first:] = map(defaults.complete, out[first:])
        return rows

    def _defaults(self, op: Op) -> Filling | None:
        """The values that INSERT images lack. A DELETE image needs no more than its key, so it is never completed."""
        if op is Op.DELETE:
            require_key(self._table.row_layout, op, self._present)
            return None
        # The schema is asked for once per set of columns, and only when a row needs it.
        if self._filling is None:
            self._filling = filling(self._table.row_layout, self._table.origin, self._present)
        return self._filling

    def _without(self, body: bytes, at: int) -> tuple[Cells, int]:
        nulls = body[at : at + self._null_bytes]
        # A cut bitmap would be kept as a key of its own. The generic reader reports it with its own words.
        if len(nulls) == self._null_bytes and self._table.may_plan((self._present, nulls)):
            plan = self._plans[nulls] = self._maker.row(self._present, nulls)
            return plan(body, at)
        return read_row(self._table.row_layout, body, at, self._present)


class _Pair:
    """Reads the two images of UPDATEs that have the same columns present in each image.

    Plans are kept by the before image's NULL bits, and assume the same NULL bits in the after image: most updates
    change no NULL. Other pairs have plans that are kept by the NULL bits of both images.
    """

    def __init__(
        self, table: TableReader, maker: PlanMaker, present: tuple[int, ...], present_after: tuple[int, ...]
    ) -> None:
        self._table = table
        self._maker = maker
        self._present = present
        self._present_after = present_after
        self._null_bytes = (len(present) + 7) // 8
        self._null_bytes_after = (len(present_after) + 7) // 8
        self._image = image_of_update(table.row_layout, table.origin, present, present_after)
        self._always = self._image is Image.UNKNOWN
        self._guesses: dict[bytes, PairPlan] = {}
        self._exact: dict[tuple[bytes, bytes], PairPlan] = {}

    def read(self, body: bytes, at: int, cascades: bool, out: list[Change]) -> int:
        name, image = self._table.row_layout.table, self._image
        width, guesses, end = self._null_bytes, self._guesses, len(body)
        rows = 0
        while at < end:
            plan = guesses.get(body[at : at + width])
            before, after, beyond = plan(body, at) if plan is not None else self._without(body, at)
            # The plan guessed the after image's NULLs wrong; -beyond is where that image begins.
            if beyond < 0:
                before, after, beyond = self._other(body, at, -beyond)
            if not at < beyond <= end:
                raise _misfit(at, beyond)
            at = beyond
            rows += 1
            # None: the log says that no wanted column changed. Logins and stock updates end here.
            if before is not None:
                out.append(Change(name, Op.UPDATE, before, after, cascades, image))
        return rows

    def _without(self, body: bytes, at: int) -> tuple[Cells | None, Cells | None, int]:
        nulls = body[at : at + self._null_bytes]
        if len(nulls) == self._null_bytes and self._table.may_plan((self._present, self._present_after, nulls)):
            # Guess: what is present in both is NULL in both.
            guess = nulls if self._present == self._present_after else bytes(self._null_bytes_after)
            plan = self._guesses[nulls] = self._plan(nulls, guess)
            before, after, beyond = plan(body, at)
            # A wrong guess costs this one row the generic way, and the plan stays for the next rows.
            if beyond >= 0:
                return before, after, beyond
        return self._generic(body, at)

    def _other(self, body: bytes, at: int, after_at: int) -> tuple[Cells | None, Cells | None, int]:
        nulls = body[at : at + self._null_bytes]
        nulls_after = body[after_at : after_at + self._null_bytes_after]
        key = (nulls, nulls_after)
        plan = self._exact.get(key)
        if plan is None:
            # A cut bitmap must not become a key, and plans are bounded.
            if len(nulls_after) < self._null_bytes_after or not self._table.may_plan((self._present_after, *key)):
                return self._generic(body, at)
            plan = self._exact[key] = self._plan(nulls, nulls_after)
        return plan(body, at)

    def _plan(self, nulls: bytes, nulls_after: bytes) -> PairPlan:
        return self._maker.pair(self._present, nulls, self._present_after, nulls_after, always=self._always)

    def _generic(self, body: bytes, at: int) -> tuple[Cells | None, Cells | None, int]:
        return read_pair(self._table.row_layout, body, at, self._present, self._present_after, always=self._always)


def _misfit(at: int, beyond: int) -> ValueError:
    return ValueError("rows without columns" if beyond == at else "a row that ends beyond its event")
