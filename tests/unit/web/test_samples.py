"""The last hour for the page's charts."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.web.samples import EVERY_S, KEPT, MOST_LATENCIES, LoadPace, Samples


def status(changes: int = 0, lag_s: float = 0.0, outbox: int = 0) -> dict[str, Any]:
    """What /status says, as far as the samples look at it."""
    return {"changes": changes, "source": {"read_lag_s": lag_s}, "outbox": {"total": outbox}}


def test_a_sample_holds_what_came_since_the_sample_before() -> None:
    """Rates over the time that really passed, the median and the slow end of the latencies, and levels as they are."""
    samples = Samples()
    samples.look(status(changes=100), 0.0, 0)
    samples.accepted(19, [0.2] * 18)
    samples.accepted(2, [1.0, 5.0])
    samples.look(status(changes=150), 5.0, 5_000)
    samples.look(status(changes=300, lag_s=1.5, outbox=7), 20.0, 20_000)
    samples.look(status(changes=300), 30.0, 30_000)

    assert samples.as_dict()["samples"] == {
        "at_ms": [20_000, 30_000], "read_lag_s": [1.5, 0.0], "accepted_per_s": [1.05, 0.0], "outbox": [7, 0],
        "changes_per_s": [10.0, 0.0], "latency_s": [0.2, None], "slow_s": [5.0, None],
    }  # fmt: skip


def test_an_hour_is_kept_and_no_more() -> None:
    """Memory stays flat however long the daemon runs and however much it sends."""
    samples = Samples()
    for number in range(2 * KEPT):
        for _ in range(3 * MOST_LATENCIES if number == 0 else 1):
            samples.accepted(1, [0.5])
        samples.look(status(), number * EVERY_S, number)
    held = samples.as_dict()["samples"]

    assert [len(values) for values in held.values()] == [KEPT] * len(held)
    assert held["at_ms"][-1] == 2 * KEPT - 1


def test_a_counter_that_began_anew_is_no_negative_rate() -> None:
    """A new thread counts from 0 again."""
    samples = Samples()
    samples.look(status(changes=1000), 0.0, 0)
    samples.look(status(changes=3), 10.0, 10_000)

    assert samples.as_dict()["samples"]["changes_per_s"] == [0.0]


def load(phase: str, done: int, expected: int) -> dict[str, Any]:
    """What /status says of a first load."""
    return {"first_load": {"phase": phase, "done": done, "expected": expected}}


@pytest.mark.parametrize(
    ("looks", "per_s", "left_s"),
    [
        pytest.param([("load", 0, 1000)], 0.0, None, id="no pace is known at the first look"),
        pytest.param([("load", 0, 1000), ("load", 100, 1000)], 10.0, 90, id="the rest at the pace so far"),
        pytest.param([("load", 0, 1000), ("send", 500, 900)], 0.0, None, id="a new phase counts something else"),
        pytest.param([("load", 0, 0), ("load", 100, 0)], 10.0, None, id="nobody knows how much is to come"),
        pytest.param([("send", 0, 50), ("send", 60, 50)], 6.0, 0, id="more than was expected"),
    ],
)
def test_the_time_left_of_a_first_load(looks: list[tuple[str, int, int]], per_s: float, left_s: int | None) -> None:
    """Of the phase that it is in, and nothing where it is not known."""
    pace = LoadPace()
    for number, look in enumerate(looks):
        pace.look(load(*look), number * 10.0)
    found = pace.as_dict()

    assert (found["per_s"], found["left_s"]) == (per_s, left_s)
