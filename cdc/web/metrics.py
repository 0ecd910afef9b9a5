"""The daemon's metrics. Delivery and the state thread feed them at each event; once a second the status feeds the rest.

Any thread may call. Names and meanings are in catalogue.py.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import prometheus_client as prometheus

from cdc.model import Drift, Latency, ObjectType
from cdc.web import catalogue
from cdc.web.samples import Samples, number
from cdc.web.tally import Tally

prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, which nobody reads

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

OTHER: Final = "other"
"""The label for reasons that have no label of their own."""

_TOTALS: Final[Mapping[catalogue.Counter, tuple[str, ...]]] = {
    "transactions_total": ("transactions",),
    "changes_total": ("changes",),
    "rendered_total": ("rendered",),
    "enqueued_total": ("enqueued",),
    "unchanged_total": ("unchanged",),
    "relay_records_total": ("delivery", "records"),
    "relay_transactions_total": ("delivery", "transactions"),
    "log_lines_dropped_total": ("log", "dropped_lines"),
}
_LEVELS: Final[Mapping[catalogue.Gauge, tuple[str, ...]]] = {
    "ready": ("ready",),
    "dead_letters_held": ("dead_letters",),
    "bad_records_held": ("bad_records",),
    "outbox_blocked": ("outbox", "blocked"),
    "outbox_held": ("outbox", "held"),
    "objects_to_render": ("waiting", "objects"),
    "dirty_oldest_seconds": ("oldest_render_s",),
    "invalidations_pending": ("waiting", "bulk_invalidations"),
    "fetches_pending": ("waiting", "fetches"),
    "queue_bytes": ("queue", "bytes"),
    "queue_transactions": ("queue", "transactions"),
    "source_silence_seconds": ("source", "silence_s"),
    "read_lag_seconds": ("source", "read_lag_s"),
    "outbox_age_seconds": ("outbox", "age_s"),
    "state_bytes": ("disk", "state_bytes"),
    "state_wal_bytes": ("disk", "wal_bytes"),
    "state_free_bytes": ("disk", "free_bytes"),
    "load_rows": ("load", "rows"),
    "rows_not_in_log": ("source", "rows_not_in_log"),
    "stale_tables": ("stale", "tables"),
    "relay_waiting_bytes": ("delivery", "waiting_bytes"),
    "relay_waiting_pieces": ("delivery", "waiting_pieces"),
}
_URGENCIES: Final = ("live", "history")
_OF_EACH_MESSAGE: Final[tuple[catalogue.Histogram, ...]] = ("delivery_latency_seconds", "delivery_stage_seconds")


class Metrics:
    """One process's metrics, in a registry of their own, so that two daemons in one process do not mix."""

    def __init__(self, *, is_relay: bool | None = None) -> None:
        """``is_relay``: whether this is a relay, as only a relay has the relay's metrics; None: all metrics."""
        self._registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=self._registry)  # memory, CPU, open files, start time
        self._counters = {
            name: prometheus.Counter(catalogue.PREFIX + name, meaning.text, meaning.labels, registry=self._registry)
            for name, meaning in catalogue.COUNTERS.items()
            if is_relay is not False or not name.startswith("relay_")
        }
        self._gauges = {
            name: prometheus.Gauge(catalogue.PREFIX + name, meaning.text, meaning.labels, registry=self._registry)
            for name, meaning in catalogue.GAUGES.items()
            if is_relay is not False or not name.startswith("relay_")
        }
        self._histograms = {
            name: prometheus.Histogram(
                catalogue.PREFIX + name, meaning.text, meaning.labels, registry=self._registry, buckets=meaning.buckets
            )
            for name, meaning in catalogue.HISTOGRAMS.items()
            if name not in _OF_EACH_MESSAGE
        }
        self._latencies = self._tally("delivery_latency_seconds", [(kind.value,) for kind in ObjectType])
        self._stages = self._tally(
            "delivery_stage_seconds", [(kind.value, stage) for kind in ObjectType for stage in catalogue.STAGES]
        )
        self.samples = Samples()
        """The last hour, for the operator's page."""
        self._reasons: set[str] = set()
        self._seen: dict[tuple[catalogue.Counter, tuple[str, ...]], float] = {}
        self._set("info", 1, version("magento-cdc"))
        self._set("retention_left_seconds", math.inf)
        self._set("last_accepted_timestamp_seconds", math.nan)
        for object_type in ObjectType:  # series that exist from the start: rate() sees the first message, too
            self._counters["accepted_total"].labels(object_type)
            for urgency in _URGENCIES:
                self._set("outbox", 0, object_type.value, urgency)
        for role in catalogue.ROLES:
            self._set("member_role", 0, role)

    def expect(
        self, *, outcomes: Iterable[str] = (), reasons: Iterable[str] = (), families: Iterable[str] = ()
    ) -> None:
        """Create series before anything is counted in them, so that rate() and increase() see the first event.

        ``outcomes`` of requests, ``reasons`` of dead letters, ``families`` of calls that share a quota.
        """
        for outcome in outcomes:
            self._counters["requests_total"].labels(outcome)
        for reason in reasons:
            self._reasons.add(reason)
            self._counters["dead_letters_total"].labels(reason)
        for family in families:
            self._set("daily_quota_limit", math.nan, family)
            self._set("daily_quota_left", math.nan, family)

    def text(self) -> bytes:
        """The page for Prometheus, in its text format (CONTENT_TYPE)."""
        return prometheus.generate_latest(self._registry)

    # ------------------------------------------------------------------------------------ as things happen

    def state_commit(self, seconds: float) -> None:
        """The state thread finished a turn; its commit is on disk."""
        self._histograms["state_commit_seconds"].observe(seconds)

    def accepted(self, object_type: ObjectType, latencies: Sequence[Latency | None]) -> None:
        """The sink accepted messages. ``latencies``: since the source's commit, one for each; None for history."""
        self._counters["accepted_total"].labels(object_type).inc(len(latencies))
        self._set("last_accepted_timestamp_seconds", time.time())
        live = [latency for latency in latencies if latency is not None]
        self.samples.accepted(len(latencies), [latency.total for latency in live])
        self._latencies.observe((object_type.value,), [latency.total for latency in live])
        for stage, column in zip(catalogue.STAGES, zip(*live, strict=True), strict=False):  # no columns: all history
            self._stages.observe((object_type.value, stage), [seconds for seconds in column if seconds is not None])

    def requested(self, status: str, seconds: float) -> None:
        """A request ended after ``seconds``: ``ok`` or the kind of failure."""
        self._counters["requests_total"].labels(status).inc()
        self._histograms["request_seconds"].observe(seconds)

    def batch_sent(self, messages: int) -> None:
        """A batch of so many messages was sent, whatever its outcome."""
        self._histograms["batch_messages"].observe(messages)

    def retried(self, messages: int = 1) -> None:
        """So many messages will be sent again."""
        self._counters["retries_total"].inc(messages)

    def dead_lettered(self, reason: str) -> None:
        """A message became a dead letter. ``reason``: our word or HubSpot's error type.

        The label is one of the expected reasons, or ``other`` for any other error type of the receiver. So no foreign
        text becomes a label, and the number of labels does not grow.
        """
        self._counters["dead_letters_total"].labels(reason if reason in self._reasons else OTHER).inc()

    def events(self, totals: Mapping[str, int]) -> None:
        """The reader's counts since the process started, by event type."""
        for name, total in totals.items():
            self._advance("events_total", total, name)

    # --------------------------------------------------------------------------------------- once a second

    def refresh(self, status: Mapping[str, object]) -> None:
        """Copy the status into the metrics. A part that is missing or not a number leaves its metric unchanged."""
        self.samples.look(status, time.monotonic(), int(time.time() * 1000))
        for counter, key in _TOTALS.items():
            total = number(status, key)
            if total is not None:
                self._advance(counter, total)
        for gauge, path in _LEVELS.items():
            level = number(status, path)
            if level is not None:
                self._set(gauge, level)
        member = status.get("member")
        if isinstance(member, Mapping):
            # An unknown role would make a new time series, and alerts on the old ones would stay quiet.
            role = member.get("role") if member.get("role") in catalogue.ROLES else "none"
            for each in catalogue.ROLES:
                self._set("member_role", 1 if each == role else 0, each)
        load = status.get("load")
        if isinstance(load, Mapping):
            self._set("load_done", 1 if load.get("state") == "done" else 0)
        source = status.get("source")
        if isinstance(source, Mapping):
            self._set("source_connected", 1 if source.get("state") in ("connected", "finished") else 0)
            hours = number(source, ("retention_left_h",))
            self._set("retention_left_seconds", math.inf if hours is None else hours * 3600)
        first_load = status.get("first_load")
        if isinstance(first_load, Mapping):
            self._first_load(first_load)
        self._quota(status)
        self._drifts(status)
        self._position(str(status.get("position") or ""))
        outbox = status.get("outbox")
        if isinstance(outbox, Mapping):
            self._outbox(outbox)

    def _tally(self, name: catalogue.Histogram, series: Iterable[tuple[str, ...]]) -> Tally:
        meaning = catalogue.HISTOGRAMS[name]
        return Tally(
            catalogue.PREFIX + name,
            meaning.text,
            meaning.labels,
            buckets=meaning.buckets,
            series=series,
            registry=self._registry,
        )

    def _quota(self, status: Mapping[str, object]) -> None:
        """Delivery's ``quota``: family → the daily limit in its last answer."""
        delivery = status.get("delivery")
        quota = delivery.get("quota") if isinstance(delivery, Mapping) else None
        for family, said in quota.items() if isinstance(quota, Mapping) else ():
            limit, left = number(said, ("daily_limit",)), number(said, ("daily_remaining",))
            self._set("daily_quota_limit", math.nan if limit is None else limit, str(family))
            self._set("daily_quota_left", math.nan if left is None else left, str(family))

    def _drifts(self, status: Mapping[str, object]) -> None:
        """Counts by class of the newest sample. Without a sample there are no series."""
        tree: object = status
        for key in ("delivery", "verify", "counts"):
            tree = tree.get(key) if isinstance(tree, Mapping) else None
        for drift in Drift if isinstance(tree, Mapping) and tree else ():
            self._set("drift_objects", number(tree, (drift.value,)) or 0, drift.value)

    def _first_load(self, progress: Mapping[str, Any]) -> None:
        """The series of a first load appear when it begins, and end at 0 left."""
        for phase in catalogue.IMPORT_PHASES:
            self._set("import_phase", 1 if progress.get("phase") == phase else 0, phase)
        for table, of_table in progress.get("tables", {}).items():
            self._set("import_rows_expected", of_table["expected"], table)
            self._set("import_rows_done", of_table["done"], table)
        for object_type in ObjectType:
            of_type = progress.get("objects", {}).get(object_type.value, {"expected": 0, "done": 0})
            self._set("import_objects_left", of_type["expected"] - of_type["done"], object_type.value)

    def _position(self, text: str) -> None:
        """``binlog.000123:4567`` as numbers; other positions (none yet) have no numbers."""
        file, _, offset = text.partition(":")
        number = file.rpartition(".")[2]
        if number.isdecimal() and offset.isdecimal():
            self._set("position_file", int(number))
            self._set("position_offset", int(offset))

    def _outbox(self, outbox: Mapping[str, object]) -> None:
        """``pending``: object type → urgency → count; a type that is missing has none waiting."""
        pending = outbox.get("pending")
        for object_type in ObjectType:
            by_urgency = pending.get(object_type.value) if isinstance(pending, Mapping) else None
            for urgency in _URGENCIES:
                count = number(by_urgency, (urgency,)) if isinstance(by_urgency, Mapping) else None
                self._set("outbox", count or 0, object_type.value, urgency)

    def _set(self, name: catalogue.Gauge, value: float, *labels: str) -> None:
        gauge = self._gauges.get(name)
        if gauge is None:  # a relay's, in a run that is none
            return
        (gauge.labels(*labels) if labels else gauge).set(value)

    def _advance(self, name: catalogue.Counter, total: float, *labels: str) -> None:
        """Raise a counter to ``total``. A total that fell was started again at 0 (a new connection, a new thread)."""
        seen = self._seen.get((name, labels), 0.0)
        counter = self._counters.get(name)
        if counter is None:  # a relay's, in a run that is none
            return
        (counter.labels(*labels) if labels else counter).inc(total - seen if total >= seen else total)
        self._seen[(name, labels)] = total
