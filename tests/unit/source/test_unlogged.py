"""The watch for rows that are missing from the log: when a row counts, and when no more."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from cdc.model import Cells, FetchByKey, Position, TableSpec
from cdc.settings.source import SourceSettings
from cdc.source.unlogged import Sample, SampledRow, UnloggedWatch

ORDER = TableSpec("sales_order", ("entity_id",), ("entity_id", "state"))
ROW = SampledRow("sales_order", 7, (7, "new"))
OTHER = SampledRow("sales_order", 8, (8, "new"))
AT = Position("binlog.000001", 900)


class Watch(UnloggedWatch):
    """Takes the samples that it is given, and hears of each row what it is told."""

    def __init__(self) -> None:
        super().__init__(SourceSettings(), [ORDER], NoReader(), threading.Event())
        self.samples = 0
        self.answer: list[SampledRow] | None = []
        self._compare = lambda sampled, position: self.answer

    def _take(self) -> Sample:
        self.samples += 1
        return Sample([ROW, OTHER], AT)

    def look_and_hear(self, *differing: SampledRow) -> list[int]:
        """The keys that are found behind a look in which these rows differ."""
        self.answer = list(differing)
        self.look()
        return [key for _, key in self.found]


class NoReader:
    """Reads nothing: the samples are given."""

    def read(self, fetches: Sequence[FetchByKey]) -> tuple[Sequence[tuple[str, Sequence[Cells]]], Position]:
        raise AssertionError(fetches)

    def close(self) -> None:
        """Nothing is open."""


def test_a_row_counts_once_it_differed_in_two_looks() -> None:
    """One look may have met a row that was deleted a moment later; the second one is about a new sample."""
    watch = Watch()
    watch.look()

    assert watch.look_and_hear(ROW) == []
    assert watch.warning == ""
    assert watch.look_and_hear(ROW, OTHER) == [7]
    assert "sales_order 7" in watch.warning
    assert watch.look_and_hear(ROW, OTHER) == [7, 8]
    assert watch.look_and_hear(OTHER) == [8]
    assert watch.look_and_hear() == []
    assert watch.look_and_hear(OTHER) == []


def test_a_sample_waits_until_the_log_is_applied_up_to_it() -> None:
    """A reader that is behind has not been told yet: nothing counts, and no other sample is taken."""
    watch = Watch()
    watch.look()
    watch.answer = None
    for _ in range(5):
        watch.look()

    assert watch.samples == 1
    assert watch.found == []
    watch.look_and_hear(ROW)
    assert watch.samples == 2


def test_only_some_of_many_rows_are_named() -> None:
    """The sentence stays short, whatever was found."""
    watch = Watch()
    watch.found = [("sales_order", number) for number in range(50)]

    assert watch.warning.endswith("sales_order 0, sales_order 1, sales_order 2 and 47 more")
