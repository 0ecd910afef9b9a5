"""The benchmarks' own history: each run leaves its lines, and the next one of the same name is held against them."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.history import History
from tests.benchmarks.row import Row


def test_a_run_is_held_against_the_last_one_of_the_same_name(tmp_path: Path) -> None:
    """The ratio to the last run shows a slowdown; other names, and a first run, have none."""
    path = tmp_path / "runs.jsonl"
    first = History(path)
    assert first.ratio(Row("decode", 100.0, "rows/s")) is None
    first.add("decode", [Row("decode", 100.0, "rows/s")])
    History(path).add("decode", [Row("decode", 80.0, "rows/s")])
    second = History(path)
    assert second.ratio(Row("decode", 40.0, "rows/s")) == 0.5
    assert second.ratio(Row("decode", 40.0, "MB/s")) is None
    assert second.ratio(Row("apply", 40.0, "rows/s")) is None
    assert len(path.read_text().splitlines()) == 2


def test_what_was_not_measured_is_no_measure(tmp_path: Path) -> None:
    """A side that was skipped has no value, so the next run is held against the last value that was measured."""
    path = tmp_path / "runs.jsonl"
    History(path).add("peers", [Row("canal", 100.0, "changes/s")])
    History(path).add("peers", [Row("canal", 0, "changes/s")])
    assert History(path).ratio(Row("canal", 50.0, "changes/s")) == 0.5
    assert History(path).ratio(Row("canal", 0, "changes/s")) is None


def test_a_line_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    """A run that was ended while it wrote must not stop the next one."""
    path = tmp_path / "runs.jsonl"
    History(path).add("decode", [Row("decode", 100.0, "rows/s")])
    with path.open("a") as file:
        file.write('{"name": "dec')
    assert History(path).ratio(Row("decode", 50.0, "rows/s")) == 0.5
    History(path).add("decode", [Row("decode", 25.0, "rows/s")])
    assert History(path).ratio(Row("decode", 50.0, "rows/s")) == 2.0
