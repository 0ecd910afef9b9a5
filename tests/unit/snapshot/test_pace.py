"""The size of chunks follows the time that the server takes."""

from __future__ import annotations

from cdc.snapshot.pace import LEAST, MOST, ChunkSizes


def after(seconds_per_row: float, chunks: int = 30, first: int = 2000) -> int:
    """The size that chunks of one table come to on such a server."""
    sizes = ChunkSizes(first, 0.5)
    for _ in range(chunks):
        rows = sizes.of("t")
        sizes.took("t", rows, rows * seconds_per_row)
    return sizes.of("t")


def test_a_chunk_comes_to_take_half_a_second() -> None:
    """From any first size, and on slow and fast servers."""
    assert 1900 <= after(0.00026) <= 2000
    assert 490 <= after(0.001) <= 500
    assert 490 <= after(0.001, first=100_000) <= 500


def test_the_size_is_bounded() -> None:
    """Neither single rows nor the whole table at once."""
    assert after(1.0) == LEAST
    assert after(0.0) == after(0.0, first=100) == MOST
    assert after(0.0, first=10_000) == 10_000


def test_one_slow_chunk_halves_the_size_at_most() -> None:
    """A checkpoint of the server is no reason to crawl."""
    sizes = ChunkSizes(2000, 0.5)
    sizes.took("t", 2000, 60.0)
    assert sizes.of("t") == 1000


def test_a_last_chunk_says_nothing() -> None:
    """It is short because the table ends."""
    sizes = ChunkSizes(2000, 0.5)
    sizes.took("t", 3, 0.001)
    assert sizes.of("t") == 2000


def test_a_chunk_that_timed_out_is_asked_for_in_quarters() -> None:
    """The same SELECT would time out again."""
    sizes = ChunkSizes(2000, 0.5)
    sizes.timed_out("t")
    assert sizes.of("t") == 500
    assert sizes.of("other") == 2000


def test_without_a_target_the_size_stays() -> None:
    """``history.chunk_s = 0``."""
    sizes = ChunkSizes(2000, 0.0)
    sizes.took("t", 2000, 60.0)
    assert sizes.of("t") == 2000
