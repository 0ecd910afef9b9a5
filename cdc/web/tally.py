"""A histogram for counts that come thousands of times a second: it does in one step what a client library does in six.

The library takes a lock for each bucket and each sum, and looks its labels up each time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

_WITHOUT_END: Final = "+Inf"


class Tally(Collector):
    """Counts of values by label values, in buckets. One thread counts; any thread may read.

    ``buckets``: upper bounds, ascending. ``series``: the label values that exist from the start, so that ``rate()``
    sees the first value; no other label values are counted.
    """

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        *,
        buckets: Sequence[float],
        series: Iterable[tuple[str, ...]],
        registry: CollectorRegistry,
    ) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._bounds = tuple(buckets)
        self._counts = {values: [0] * (len(self._bounds) + 1) for values in series}
        self._sums = dict.fromkeys(self._counts, 0.0)
        registry.register(self)

    def observe(self, labels: tuple[str, ...], values: Sequence[float]) -> None:
        """Count values. KeyError: label values that are not among the series."""
        counts, bounds = self._counts[labels], self._bounds
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        self._sums[labels] += sum(values)

    def collect(self) -> Iterator[Metric]:
        """The family with its cumulative buckets, as Prometheus reads it."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        names = [*map(floatToGoString, self._bounds), _WITHOUT_END]
        for values, counts in self._counts.items():
            total, buckets = 0, []
            for name, count in zip(names, counts, strict=True):
                total += count
                buckets.append((name, total))
            family.add_metric(values, buckets, self._sums[values])
        yield family
