"""How long a log file that is still needed is kept: the arithmetic, and what is said of it."""

from __future__ import annotations

import threading

import pytest

from cdc.engine.state_thread import TransactionQueue
from cdc.settings.config import Settings
from cdc.settings.sink import SinkSettings
from cdc.settings.source import SourceSettings
from cdc.sink_output import SinkOutput
from cdc.source.retention import Expiry, RetentionWatch, hours_left
from cdc.status import DaemonView, SourceState

FILES = [("binlog.000007", 1000), ("binlog.000008", 1000), ("binlog.000009", 500)]
NOW_S = 1_700_000_000.0


def left(needed: str, expiry: Expiry, *, closed_h: float = 2.0) -> float | None:
    """Hours left of a file that was closed so many hours ago."""
    return hours_left(FILES, needed, expiry, closed_s=NOW_S - closed_h * 3600, now_s=NOW_S)


def test_a_file_is_kept_for_the_expiry_after_it_was_closed() -> None:
    """Closed two hours ago with an expiry of a day: 22 hours are left."""
    assert left("binlog.000008", Expiry(86_400)) == 22


def test_the_newest_file_is_never_dropped() -> None:
    """Whatever its age or size: the server writes it."""
    assert left("binlog.000009", Expiry(1, total_bytes=1)) is None


def test_without_expiry_nothing_is_dropped() -> None:
    """Neither time nor size: no limit to tell."""
    assert left("binlog.000007", Expiry(0)) is None


def test_what_is_due_or_gone_has_no_hours_left() -> None:
    """A file past its expiry goes with the next rotation; one that is not there is lost already."""
    assert left("binlog.000007", Expiry(3600)) == 0
    assert left("binlog.000001", Expiry(86_400)) == 0


def test_a_limit_by_size_is_reached_at_the_rate_of_what_came_since() -> None:
    """1500 bytes in two hours behind a file of 1000: a limit of 4000 is 1500 bytes, so two hours, away."""
    assert left("binlog.000007", Expiry(0, total_bytes=4000)) == pytest.approx(2)
    assert left("binlog.000007", Expiry(86_400, total_bytes=4000)) == pytest.approx(2)
    assert left("binlog.000007", Expiry(0, total_bytes=2500)) == 0


@pytest.mark.parametrize(("hours", "is_said"), [(None, False), (24.0, False), (23.9, True), (0.0, True)])
def test_ready_says_so_and_stays_ready(hours: float | None, is_said: bool) -> None:
    """Below source.retention_warning_h the hours are among the reasons of /ready; they change nothing else of it."""
    view = DaemonView(
        TransactionQueue(1), SourceState(name="connected"), SinkOutput(Settings(sink=SinkSettings(kind="jsonl")))
    )
    before = view.ready()
    view.retention = RetentionWatch(SourceSettings(), view.applied_file, threading.Event())
    view.retention.hours = hours
    is_ready, reasons = view.ready()

    assert is_ready == before[0]
    assert [reason for reason in reasons if "purged in" in reason] == reasons[len(before[1]) :]
    assert bool(reasons[len(before[1]) :]) == is_said
