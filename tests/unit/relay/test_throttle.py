"""History is read no faster than asked, and not while too much waits for brokers."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from cdc.relay.output import Throttled


class Waits(threading.Event):
    """Notes how long it was to be waited, and waits for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.asked.append(timeout or 0.0)
        return self.is_set()


class Output:
    """Full for so many looks."""

    def __init__(self, looks: int = 0) -> None:
        self.looks = looks

    @property
    def is_full(self) -> bool:
        self.looks -= 1
        return self.looks >= 0


class Rows:
    """A loader whose chunks have fifty rows."""

    name = "rows"

    def __init__(self) -> None:
        self.rows = [()] * 50
        self.chunks = 0

    def chunk(self, *arguments: Any, **named: Any) -> Rows:
        self.chunks += 1
        return self


def throttled(looks: int, rate: int) -> tuple[Any, Rows, Waits]:
    loader, stop = Rows(), Waits()
    return Throttled(loader, Output(looks), rate, stop), loader, stop  # type: ignore[arg-type]  # what it uses of them


@pytest.mark.parametrize(("rate", "least", "most"), [(1, 40, 50), (10, 4, 5), (0, 0, 0)])
def test_a_chunk_waits_for_the_rows_before_it(rate: int, least: float, most: float) -> None:
    """Fifty rows at so many a second; 0 means no bound, and the first chunk never waits."""
    loader, _, stop = throttled(0, rate)
    loader.chunk("sales_order")
    loader.chunk("sales_order")

    assert stop.asked[0] == 0
    assert least <= stop.asked[-1] <= most


def test_nothing_is_read_while_too_much_waits() -> None:
    """It looks again until brokers have taken some."""
    loader, rows, stop = throttled(3, 0)
    loader.chunk("sales_order")

    assert stop.asked[:3] == [0.1] * 3
    assert rows.chunks == 1
    assert loader.name == "rows"  # all else is the loader's own


def test_a_relay_that_ends_does_not_wait() -> None:
    """However full it is."""
    loader, rows, stop = throttled(1 << 30, 1)
    stop.set()
    loader.chunk("sales_order")

    assert (stop.asked, rows.chunks) == ([0.1, 0.0], 1)
