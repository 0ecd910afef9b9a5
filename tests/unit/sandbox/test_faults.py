"""Faults on demand and the quota, by a clock that the test holds."""

from __future__ import annotations

from typing import Any

import pytest

from sinks.sandbox.faults import DAY_MS, Faults, Quota


def test_faults_hit_in_the_order_asked_for_and_then_end() -> None:
    """Each hits as many batches as its count says."""
    faults = Faults()
    for spec in ({"status": 503, "count": 2, "retry_after": 1}, {"hang": 1}, {"cut": "after"}):
        faults.add(spec)
    kinds = [rule.kind if rule else None for rule in (faults.next() for _ in range(5))]
    assert kinds == ["status", "status", "hang", "cut_after", None]


def test_a_rate_hits_some_batches_and_the_same_ones_each_run() -> None:
    """The rest pass, or meet the next fault; it never ends by itself."""
    hits = []
    for _ in range(2):
        faults = Faults()
        faults.add({"status": 503, "rate": 0.25})
        hits.append([faults.next() is not None for _ in range(1000)])

    assert 200 < sum(hits[0]) < 300
    assert hits[0] == hits[1]


def test_a_delay_lasts_until_cleared_or_counted_down() -> None:
    """Without a count every batch waits."""
    faults = Faults()
    faults.add({"delay_ms": 80})
    assert [faults.next_delay_s() for _ in range(3)] == [0.08] * 3
    faults.add({"delay_ms": 50, "count": 1})
    assert [faults.next_delay_s() for _ in range(2)] == [0.05, 0.0]


@pytest.mark.parametrize(
    "spec",
    [
        "x",
        {},
        {"status": 200},
        {"status": 500, "hang": 1},
        {"cut": "middle"},
        {"hang": -1},
        {"status": 500, "rate": 0},
        {"hang": 1, "rate": 0.5},
        {"typo": 1, "status": 500},
        {"refuse_ids": "x"},
        {"quota": 5},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(spec: Any) -> None:
    """A test with a typing error must not pass by accident."""
    with pytest.raises(ValueError, match=r"\w"):
        Faults().add(spec)


def test_the_quota_counts_a_window_and_a_day() -> None:
    """Beyond the window's limit the policy is the rolling one, beyond the day's it is DAILY."""
    quota = Quota(2, 10_000, 3)
    assert [quota.take(1_000_000 + n).policy for n in range(3)] == ["", "", "TEN_SECONDLY_ROLLING"]
    assert quota.take(1_010_000).policy == ""
    limited = quota.take(1_010_001)
    assert limited.policy == "DAILY"
    assert limited.headers["X-HubSpot-RateLimit-Daily-Remaining"] == "0"
    assert quota.take(1_000_000 + DAY_MS).headers["X-HubSpot-RateLimit-Remaining"] == "1"
