"""Every metric: name, kind, unit and meaning. On /metrics each name begins with ``magento_cdc_``.

A misspelt name fails the type check. Prometheus computes rates (rows a second, requests a second): rate() of a counter.
Labels hold object types, urgencies, roles, outcomes, reasons and quota families only: no ids, no personal data. Times
are in seconds and sizes in bytes, as ``promtool check metrics`` wants it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

PREFIX: Final = "magento_cdc_"

Counter = Literal[
    "transactions_total",
    "changes_total",
    "events_total",
    "rendered_total",
    "enqueued_total",
    "unchanged_total",
    "accepted_total",
    "requests_total",
    "retries_total",
    "dead_letters_total",
    "relay_records_total",
    "relay_transactions_total",
    "log_lines_dropped_total",
]
Gauge = Literal[
    "info",
    "ready",
    "source_connected",
    "source_silence_seconds",
    "member_role",
    "dead_letters_held",
    "bad_records_held",
    "outbox",
    "outbox_blocked",
    "outbox_held",
    "outbox_age_seconds",
    "last_accepted_timestamp_seconds",
    "daily_quota_limit",
    "daily_quota_left",
    "objects_to_render",
    "dirty_oldest_seconds",
    "invalidations_pending",
    "fetches_pending",
    "queue_bytes",
    "queue_transactions",
    "read_lag_seconds",
    "retention_left_seconds",
    "rows_not_in_log",
    "load_rows",
    "load_done",
    "import_rows_expected",
    "import_rows_done",
    "import_objects_left",
    "import_phase",
    "stale_tables",
    "relay_waiting_bytes",
    "relay_waiting_pieces",
    "position_file",
    "position_offset",
    "drift_objects",
    "state_bytes",
    "state_wal_bytes",
    "state_free_bytes",
]
Histogram = Literal[
    "delivery_latency_seconds", "delivery_stage_seconds", "state_commit_seconds", "request_seconds", "batch_messages"
]

ROLES: Final = ("leader", "follower", "none")

IMPORT_PHASES: Final = ("load", "render", "send")

STAGES: Final = ("read", "rendered", "sent", "accepted")
"""The stages of a live message. Each is timed from the end of the stage before, the first from the source's commit."""

_LATENCY_BUCKETS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Meaning:
    """One metric. ``buckets``: upper bounds of a histogram, in its unit."""

    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


COUNTERS: Final[Mapping[Counter, Meaning]] = {
    "transactions_total": Meaning("Source transactions applied."),
    "changes_total": Meaning("Row changes applied to the replica."),
    "events_total": Meaning("Log events by what was done with them; type is the event's name.", ("type",)),
    "rendered_total": Meaning("Objects rendered."),
    "enqueued_total": Meaning("Messages put into the outbox."),
    "unchanged_total": Meaning("Rendered messages that were not sent, because they equal what was last sent."),
    "accepted_total": Meaning("Messages that the sink accepted.", ("object_type",)),
    "requests_total": Meaning("Requests to the sink by outcome: ok, or the kind of failure.", ("status",)),
    "retries_total": Meaning("Messages sent again."),
    "dead_letters_total": Meaning("Messages set aside for good since the start, by reason.", ("reason",)),
    "relay_records_total": Meaning("Relay: records of row changes and tables in committed Kafka transactions."),
    "relay_transactions_total": Meaning("Relay: Kafka transactions committed."),
    "log_lines_dropped_total": Meaning("Log lines dropped, because standard output was not read fast enough."),
}
GAUGES: Final[Mapping[Gauge, Meaning]] = {
    "info": Meaning("Always 1; the label says which version runs.", ("version",)),
    "ready": Meaning("1 when /ready answers 200."),
    "source_connected": Meaning("1 while the source is connected, or read to its end where it is files."),
    "source_silence_seconds": Meaning(
        "Time since the source last gave a sign of life: an event, or the heartbeat that an idle server sends."
    ),
    "member_role": Meaning(
        "1 for this daemon's role among the members of its account: leader, follower, or none (alone, or starting).",
        ("role",),
    ),
    "dead_letters_held": Meaning("Dead letters held now."),
    "bad_records_held": Meaning("Records of topics that could not be read, set aside and not dropped yet."),
    "outbox": Meaning("Messages waiting to be sent.", ("object_type", "urgency")),
    "outbox_blocked": Meaning("Messages of the outbox that wait for an object they refer to."),
    "outbox_held": Meaning("Deletions that the circuit breaker holds."),
    "outbox_age_seconds": Meaning(
        "Age of the change at the head of the outbox, since its commit; 0 while the outbox is empty."
    ),
    "last_accepted_timestamp_seconds": Meaning(
        "When the sink last accepted a message, in epoch seconds; NaN if it has not since the start."
    ),
    "daily_quota_limit": Meaning(
        "Calls a day that the account may make, as HubSpot's last answer said; NaN while that is not known.",
        ("family",),
    ),
    "daily_quota_left": Meaning(
        "Calls that are left today, as HubSpot's last answer said; NaN while that is not known.", ("family",)
    ),
    "objects_to_render": Meaning("Objects waiting to be rendered."),
    "dirty_oldest_seconds": Meaning(
        "How long the live object that waits longest has waited to be rendered; 0 if none waits. History is left out."
    ),
    "invalidations_pending": Meaning("Bulk invalidations being worked off."),
    "fetches_pending": Meaning("Objects waiting for their rows to be read from the server."),
    "queue_bytes": Meaning("Transactions read and not yet applied, in bytes of memory."),
    "queue_transactions": Meaning("Transactions read and not yet applied."),
    "read_lag_seconds": Meaning(
        "How far reading is behind the source: the age of the newest transaction at the moment when it was read,"
        " and, while the source is not connected, also the time since its last sign of life."
    ),
    "retention_left_seconds": Meaning(
        "Time until the server purges the log file that is still needed; +Inf if it is the newest, or none is purged."
    ),
    "rows_not_in_log": Meaning(
        "Rows of the sample of the shop that are missing from its log; more than 0 means that changes are lost."
    ),
    "load_rows": Meaning("Rows that loads of whole tables have read since the start."),
    "load_done": Meaning("1 when the replica is complete."),
    "import_rows_expected": Meaning(
        "First load: rows of the table that are to be read, as counted before.", ("table",)
    ),
    "import_rows_done": Meaning("First load: rows of the table that were read.", ("table",)),
    "import_objects_left": Meaning("First load: objects that the sink has not accepted yet.", ("object_type",)),
    "import_phase": Meaning("First load: 1 for the phase that it is in: load, render or send.", ("phase",)),
    "stale_tables": Meaning("Tables being read again, because rows may have changed without row events."),
    "relay_waiting_bytes": Meaning("Relay: applied and not yet in Kafka, in bytes of records."),
    "relay_waiting_pieces": Meaning("Relay: applied and not yet in Kafka, in pieces of source transactions."),
    "position_file": Meaning("Number of the log file that is applied up to position_offset."),
    "drift_objects": Meaning(
        "Objects of the newest sample that verify.every_h read back, by what was found: equal, missing, differing,"
        " link_missing, merged or extra. No series before the first sample.",
        ("class",),
    ),
    "position_offset": Meaning("Offset in the log file of position_file."),
    "state_bytes": Meaning("Size of the state file."),
    "state_wal_bytes": Meaning("Size of the state file's write-ahead log."),
    "state_free_bytes": Meaning("Space that is free on the disk of state.dir."),
}
HISTOGRAMS: Final[Mapping[Histogram, Meaning]] = {
    "delivery_latency_seconds": Meaning(
        "Of live upserts, from the source's commit to the sink's acceptance; the source writes whole seconds on"
        " MariaDB.",
        ("object_type",),
        _LATENCY_BUCKETS[4:],
    ),
    "delivery_stage_seconds": Meaning(
        "delivery_latency_seconds in parts, each since the stage before: read (from the log, since the commit),"
        " rendered, sent, accepted. What was not rendered from a change just read has no stages read and rendered.",
        ("object_type", "stage"),
        _LATENCY_BUCKETS,
    ),
    "state_commit_seconds": Meaning(
        "One turn of the state thread: apply, render and commit to disk.",
        (),
        (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
    ),
    "request_seconds": Meaning(
        "One request to the sink, from the permit to its end, whatever came of it.",
        (),
        (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
    ),
    "batch_messages": Meaning("Messages of one batch that was sent.", (), (1, 2, 5, 10, 20, 50, 100, 200)),
}
