"""The disk that a first load's plan names, against what the state takes when all of the load waits to be sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.snapshot.load_plan import state_bytes
from cdc.state.copies import disk_use
from tests.benchmarks.store import begun, filled

WAL_BYTES = 5_000_000
"""What SQLite's write-ahead log may take beside a small state: it is folded into the file at some 4 MB."""

MOST_TIMES = 3
"""How many times as large as the state the estimate may be: it is to be room enough, and no fright."""


@pytest.mark.parametrize("orders", [100, 600])
def test_the_estimate_is_enough_and_at_most_three_times_too_much(tmp_path: Path, orders: int) -> None:
    """The state with every message in the outbox, its largest size, stays within the estimate."""
    engine = begun(tmp_path)
    rows = filled(engine, orders)
    [(messages,)] = engine.store.db.execute("SELECT count(*) FROM outbox")
    use = disk_use(tmp_path)
    engine.close()

    assert messages > orders
    estimate = state_bytes(rows, messages, messages)
    used = use.state_bytes + use.wal_bytes
    assert used <= estimate + WAL_BYTES, (used, estimate)
    assert estimate <= MOST_TIMES * used, (used, estimate)
