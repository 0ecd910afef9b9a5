"""The histogram of each message counts as the library's does."""

from __future__ import annotations

import prometheus_client as prometheus
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.web.tally import Tally

BOUNDS = (0.005, 0.25, 1.0, 60.0)
SERIES = [("CONTACT", "read"), ("DEAL", "read")]


def tally(registry: prometheus.CollectorRegistry) -> Tally:
    """A histogram of two series."""
    return Tally("wait_seconds", "A wait.", ("type", "stage"), buckets=BOUNDS, series=SERIES, registry=registry)


@given(st.lists(st.lists(st.sampled_from([0.0, 0.005, 0.0051, 0.25, 0.3, 1.0, 59.0, 60.0, 61.0, 1e9]))))
def test_its_page_is_that_of_the_library(calls: list[list[float]]) -> None:
    """Buckets, sum and count are those of the library's histogram, whatever values come, on the bounds too."""
    ours, theirs = prometheus.CollectorRegistry(), prometheus.CollectorRegistry()
    mine = tally(ours)
    library = prometheus.Histogram("wait_seconds", "A wait.", ("type", "stage"), registry=theirs, buckets=BOUNDS)
    for series in SERIES:
        library.labels(*series)

    for values in calls:
        mine.observe(SERIES[1], values)
        for value in values:
            library.labels(*SERIES[1]).observe(value)

    names = {sample: value for family in theirs.collect() for sample, value in _samples(family)}
    found = {sample: value for family in ours.collect() for sample, value in _samples(family)}
    assert found == pytest.approx(names)


def test_unknown_labels_are_refused() -> None:
    """No text from outside becomes a series."""
    with pytest.raises(KeyError):
        tally(prometheus.CollectorRegistry()).observe(("DEAL", "slept"), [1.0])


def _samples(family: prometheus.Metric) -> list[tuple[tuple[str, frozenset[tuple[str, str]]], float]]:
    return [((sample.name, frozenset(sample.labels.items())), sample.value) for sample in family.samples]
