"""Reading the bridge's list of errors while it grows, shrinks or lies: nothing is passed over, and nothing ends it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.bridge.error_pages import (
    FUTURE_MS,
    OVERLAP_MS,
    PAGE,
    Descent,
    Record,
    after_page,
    dump,
    parse,
)

NOW = 1_800_000_000_000


class List:
    """A list of errors as the bridge pages it: the newest first, by number of record."""

    def __init__(self, count: int, newest_ms: int = NOW) -> None:
        self.records = [Record(newest_ms - number * 400, True, str(number)) for number in range(count)]
        self.made = count

    def add(self, count: int, at_ms: int) -> None:
        """So many more errors at the head."""
        new = [Record(at_ms, True, str(self.made + number)) for number in range(count)]
        self.made += count
        self.records = new + self.records

    def page(self, offset: int) -> list[Record]:
        """What a call answers."""
        return self.records[offset : offset + PAGE]


def read(
    errors: List, descent: Descent, *, between: Callable[[int], object] = lambda _: None, most: int = 500
) -> tuple[set[str], Descent, int]:
    """Read until the descent is finished, ``between`` after each page: what was read, the descent, the pages."""
    got: set[str] = set()
    for number in range(most):
        records = errors.page(descent.page)
        got |= {record.identity for record in records}
        following = descent.page + PAGE if len(records) >= PAGE else None
        descent, is_last = after_page(descent, records, following, NOW + 10_000_000, are_offsets=True)
        descent = parse(dump(descent))  # as between two runs
        if is_last:
            return got, descent, number + 1
        between(number)
    return got, descent, most


@pytest.mark.parametrize("arriving", [0, 1, 50, 199, 200, 201, 700])
def test_nothing_shifts_out_of_sight_while_the_list_grows(arriving: int) -> None:
    """However many errors arrive between two pages, each error that was there is read, within a bounded time."""
    errors = List(3000)

    def grow(number: int) -> None:
        if number < 60:
            errors.add(arriving, NOW + number)

    got, descent, pages = read(errors, Descent(), between=grow)
    assert {str(number) for number in range(3000)} <= got
    assert pages < 120
    more, _, _ = read(errors, descent)
    assert got | more >= {record.identity for record in errors.records}


@given(seed=st.integers(0, 10_000))
def test_whatever_moves_each_error_is_read_in_the_end(seed: int) -> None:
    """Errors come and old errors are taken out at any place, between any two pages."""
    random = Random(seed)
    errors = List(random.randrange(1500))

    def move(number: int) -> None:
        if number < 30:
            errors.add(random.choice((0, 0, 3, 200, 500)), NOW + number)
            for _ in range(random.choice((0, 0, 5, 300))):
                if errors.records:
                    del errors.records[random.randrange(len(errors.records))]

    got, descent, _ = read(errors, Descent(), between=move)
    more, _, _ = read(errors, descent)
    assert got | more >= {record.identity for record in errors.records}


def test_an_unfinished_descent_goes_on_where_it_was() -> None:
    """After a fault at page 8 the pages before it are not read again; the next descent reads what came meanwhile."""
    errors = List(3000)
    got, descent, _ = read(errors, Descent(), most=8)
    assert descent.done_ms == 0
    errors.add(10, NOW + 1)
    rest, descent, pages = read(errors, descent)
    assert pages <= 3000 / (PAGE - 10) - 8 + 2
    assert {str(number) for number in range(3000)} <= got | rest
    assert descent.done_ms == NOW
    newest, _, pages = read(errors, descent)
    assert {str(3000 + number) for number in range(10)} <= newest
    assert pages <= 2


def test_a_poll_without_news_is_one_page() -> None:
    """What was read is read again only as far back as a receipt may have been late."""
    errors = List(3000)
    _, descent, _ = read(errors, Descent())
    got, _, pages = read(errors, descent)
    assert pages == 1
    assert len(got) == PAGE > OVERLAP_MS / 400


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_date_in_the_future_blinds_nobody(is_ours: bool) -> None:
    """An error dated years ahead, ours or not, does not hide what comes before that date."""
    future = Record(NOW + 10**12, is_ours, "future")
    descent, is_last = after_page(Descent(), [future, Record(NOW, True, "a")], None, NOW, are_offsets=True)
    assert is_last
    assert descent.done_ms == NOW


def test_the_clocks_may_differ_by_a_minute_and_no_more() -> None:
    """An error of ours a little ahead of our clock counts; somebody else's has to be old before it does."""
    for errored_at, is_ours, done_ms in (
        (NOW + FUTURE_MS, True, NOW + FUTURE_MS),
        (NOW + FUTURE_MS + 1, True, 0),
        (NOW, False, 0),
        (NOW - 600_000, False, NOW - 600_000),
    ):
        descent, _ = after_page(Descent(), [Record(errored_at, is_ours, "a")], None, NOW, are_offsets=True)
        assert descent.done_ms == done_ms


def test_a_service_that_ignores_page_numbers_ends_the_descent() -> None:
    """The same full page again and again is given up after a few calls."""
    records = List(PAGE).records
    descent, pages, is_last = Descent(), 0, False
    while not is_last:
        descent, is_last = after_page(descent, records, descent.page + PAGE, NOW, are_offsets=True)
        pages += 1
    assert pages < 12


def test_a_list_that_is_not_sorted_is_read_to_its_end() -> None:
    """Without the order from new to old no page tells that the rest is old."""
    records = list(reversed(List(PAGE).records))
    done = Descent(done_ms=NOW + 10**9)
    _, is_last = after_page(done, records, PAGE, NOW, are_offsets=False)
    assert not is_last
    assert after_page(done, records, None, NOW, are_offsets=False)[1]


@pytest.mark.parametrize("text", ["", "0", "[]", "{}", '{"done_ms": "x"}', '{"done_ms": 1}', "<html>"])
def test_progress_that_is_not_understood_reads_everything_again(text: str) -> None:
    """A verdict may come twice, and is never passed over."""
    assert parse(text) == Descent()


def test_progress_is_small() -> None:
    """It is written with every page."""
    descent = Descent(NOW, NOW, 10**6, PAGE, NOW, tuple("f" * 16 for _ in range(PAGE)))
    assert len(dump(descent)) < 8192
    assert orjson.loads(dump(descent))["page"] == 10**6
