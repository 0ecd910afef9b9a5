"""What carts cost: a day with 50,000 changes of carts and 1,000 orders, read with carts off and with carts on.

Most of what a shop writes about carts is for nobody: visitors without an address, totals that are collected again. The
rows say which share of the log is passed over, decoded, rendered and sent, and the CPU time of a thousand changes.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from cdc.model import ObjectType, Start, StartKind, Transaction
from cdc.settings.mapping import MappingSettings
from cdc.source.files import FilesSource
from tests.benchmarks.logs import CART_CHANGES, DATABASE, log_of
from tests.benchmarks.row import Row
from tests.kit.replica_harness import ReplicaHarness

ONLY_BY_NAME = True
_GROUP = 200
_HOUR_MS = 3_600_000
_EVENTS = ("WRITE_ROWS", "UPDATE_ROWS", "DELETE_ROWS")


class Day(NamedTuple):
    """The day, read by one mapping. ``deals``: messages about deals of carts; CPU in seconds."""

    counts: Counter[str]
    carts_sent: int
    decoded_s: float
    applied_s: float


def _read(log: Path, mapping: dict[str, Any]) -> Day:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[lambda *_: ""])
    with tempfile.TemporaryDirectory() as folder:
        harness = ReplicaHarness(Path(folder), MappingSettings.model_validate(mapping), contacts_by_email=True)
        source = FilesSource([str(log)], harness.engine.tables, database=DATABASE)
        began = time.process_time()
        transactions = [one for one in source.transactions(Start(StartKind.EARLIEST)) if not one.is_only_position]
        decoded_s = time.process_time() - began
        carts_sent, applied_s = _apply(harness, transactions)
        counts = Counter(source.counters) + harness.counts()
        harness.close()
    return Day(counts, carts_sent, decoded_s, applied_s)


def _apply(harness: ReplicaHarness, transactions: list[Transaction]) -> tuple[int, float]:
    """Apply and render in groups, as the state thread does; taking the messages is not timed."""
    carts_sent, spent_s = 0, 0.0
    for first in range(0, len(transactions), _GROUP):
        group = transactions[first : first + _GROUP]
        began = time.process_time()
        harness.apply(group)
        # A log that is made in a minute has no hour in it: a cart counts as left after the group that changed it last.
        harness.let_pass(group[-1].commit_ms + (_HOUR_MS if first + _GROUP >= len(transactions) else 0))
        spent_s += time.process_time() - began
        sent = harness.sent()
        carts_sent += sum(one.object_type is ObjectType.DEAL and "-cart-" in one.external_id for one in sent)
    return carts_sent, spent_s


def rows() -> Iterator[Row]:
    """Both readings, and what carts add to the first."""
    log = log_of("carts")
    off = _read(log, {})
    on = _read(log, {"carts": {"enabled": True, "restore_url": "https://shop.example.com/?c={quote_id}"}})
    for name, day in (("carts off", off), ("carts on", on)):
        counts = day.counts
        rows_events = sum(count for kind, count in counts.items() if kind.startswith(_EVENTS))
        skipped = counts["rows_events_skipped"]
        share = f"{skipped / rows_events:.0%} of the rows events" if rows_events else ""
        yield Row(f"{name}: rows events skipped", skipped, "", "", share)
        yield Row(
            f"{name}: rows decoded", counts["rows_decoded"], "", "", f"{counts['rows_unchanged']} change nothing mapped"
        )
        yield Row(f"{name}: objects rendered", counts["rendered"], "")
        yield Row(f"{name}: messages sent", counts["sent"], "", "", f"{day.carts_sent} about carts")
        yield Row(
            f"{name}: CPU of the day", day.decoded_s + day.applied_s, "s", "", f"{day.decoded_s:.1f} s of it decoding"
        )
    thousands = CART_CHANGES / 1000
    more_s = on.decoded_s + on.applied_s - off.decoded_s - off.applied_s
    yield Row(
        "CPU of 1,000 changes of carts", more_s / thousands * 1000, "ms", "", f"{CART_CHANGES:,} changes in the log"
    )
