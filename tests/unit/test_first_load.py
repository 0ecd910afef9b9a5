"""Progress of a first load is said at its times, with rates and what is left; a bar takes the place of lines."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
from structlog.testing import capture_logs

from cdc import logs
from cdc.engine.load_progress import totals
from cdc.first_load import FirstLoadWatch, ProgressReport, say_sent
from cdc.settings.config import LogSettings, Settings


def progress(phase: str, done: int, expected: int = 1000) -> dict[str, Any]:
    """What /status has while 200 messages of 500 are through."""
    return {
        "phase": phase,
        "tables": {"sales_order": {"done": done, "expected": expected}},
        "objects": {"DEAL": {"rendered": done, "done": done, "expected": expected}},
        "is_sent": False, "started_ms": 1_000, "calls": 7, "seconds": 10.0,
    }  # fmt: skip


def told(*looks: tuple[float, dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines of these looks: (monotonic seconds, progress)."""
    report = ProgressReport(is_bar=False)
    with capture_logs() as lines:
        for now_s, seen in looks:
            report.look(seen, now_s)
    return [dict(line) for line in lines]


def test_a_line_comes_each_ten_seconds_and_later_each_minute() -> None:
    """A load of hours does not fill the log."""
    seconds = [float(second) for second in range(600)]
    lines = told(*((second, progress("load", int(second))) for second in seconds))
    assert len(lines) == 6 + 9


def test_a_line_says_rate_and_time_left() -> None:
    """The rate is that of the phase."""
    lines = told((0.0, progress("load", 0)), (10.0, progress("load", 200)))
    assert lines[1]["per_s"] == 20.0
    assert lines[1]["left"] == "40 s"


def test_a_line_says_why_no_table_is_read() -> None:
    """A load that stands still names the limit that it waits for."""
    report = ProgressReport(is_bar=False)
    with capture_logs() as lines:
        report.look(progress("load", 5), 0.0, "the replica is 99 s behind")
        report.look(progress("load", 5), 10.0)
    assert [line["waits_for"] for line in lines] == ["the replica is 99 s behind", ""]


def test_a_new_phase_is_said_at_once_with_a_rate_of_its_own() -> None:
    """Rows a second say nothing of messages a second."""
    lines = told((0.0, progress("load", 900)), (1.0, progress("send", 10)), (11.0, progress("send", 20)))
    assert [line["phase"] for line in lines] == ["load", "send", "send"]
    assert lines[2]["per_s"] == 1.0


def test_nothing_is_said_where_no_first_load_runs() -> None:
    """A daemon that has been through for years is quiet."""
    assert told((0.0, {"phase": ""}), (100.0, {"phase": ""})) == []


def test_each_phase_counts_its_own_things() -> None:
    """Rows, then objects rendered, then messages accepted."""
    seen = progress("load", 5)
    seen["objects"] = {"DEAL": {"rendered": 30, "done": 20, "expected": 40}}
    assert totals(seen) == (5, 1000)
    assert totals({**seen, "phase": "render"}) == (30, 40)
    assert totals({**seen, "phase": "send"}) == (20, 40)


def test_the_end_says_totals_and_rates() -> None:
    """Rows, messages and calls over all restarts, and how long it took."""
    with capture_logs() as lines:
        say_sent(progress("send", 1000))
    assert lines[0]["event"] == "first_load_sent"
    assert (lines[0]["rows"], lines[0]["calls"], lines[0]["seconds"]) == (1000, 7, 10.0)
    assert lines[0]["messages_per_s"] == 100.0


def test_a_log_line_takes_the_place_of_a_bar() -> None:
    """A line written behind a bar would stand in the same line of the terminal; without a bar nothing is added."""
    stream = io.StringIO()
    logs.configure(LogSettings(format="console"), stream)
    report = ProgressReport(is_bar=True)
    report.look(progress("load", 5), 0.0)
    structlog.get_logger().info("first_load_plan")
    report.close()
    structlog.get_logger().info("first_load_sent")
    structlog.reset_defaults()

    first, second = stream.getvalue().rstrip("\n").split("\n")
    assert first.startswith("\r\x1b[K")
    assert "first_load_plan" in first
    assert not second.startswith("\r")


def test_a_bar_takes_the_place_of_lines_and_goes_at_the_end() -> None:
    """On a terminal the log stays free of progress, and the bar is closed when the load is through."""
    report = ProgressReport(is_bar=True)
    with capture_logs() as lines:
        for second, phase in enumerate(("load", "load", "render", "send")):
            report.look(progress(phase, second), float(second))
        assert report.is_drawn
        report.look({"phase": ""}, 10.0)
    assert not report.is_drawn
    assert lines == []


class Record:
    """A first load whose record is in memory, and a state thread that runs each call at once."""

    def __init__(self) -> None:
        self.seconds, self.calls, self.finished_ms = 0.0, 0, 0
        self.engine = SimpleNamespace(first_load=self)

    async def call(self, work: Callable[[None], None]) -> None:
        """As ``StateThread.call``."""
        work(None)

    def add(self, calls: int, seconds: float) -> None:
        """As ``FirstLoad.add``."""
        self.calls, self.seconds = self.calls + calls, self.seconds + seconds

    def finish(self, now_ms: int) -> None:
        """As ``FirstLoad.finish``."""
        self.finished_ms = now_ms

    def status(self, *, is_sent: bool) -> dict[str, Any]:
        """What /status says."""
        seen = progress("send", 1000) | {"is_sent": is_sent, "calls": self.calls, "seconds": self.seconds}
        return {"first_load": seen, "delivery": {"requests": {"ok": 7}}}


@pytest.mark.parametrize("step_ms", [-86_400_000, 86_400_000])
async def test_a_clock_that_is_set_does_not_change_the_time_of_a_load(
    step_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seconds are those for which the daemons ran, over all restarts; a clock set by a day changes nothing."""
    record = Record()
    now_s, now_ms = 1000.0, 1_800_000_000_000
    with capture_logs() as lines:
        for _ in range(2):  # a restart in between, of which no second counts
            monkeypatch.setattr(time, "monotonic", lambda began=now_s: began)
            watch = FirstLoadWatch(Settings(), cast(Any, record), is_relay=False)
            await watch.look(record.status(is_sent=False), now_s + 30, now_ms)
            now_s, now_ms = now_s + 5000, now_ms + step_ms
            last = watch
        await last.look(record.status(is_sent=True), now_s - 5000 + 40, now_ms)

    sent = [line for line in lines if line["event"] == "first_load_sent"]
    assert [line["seconds"] for line in sent] == [70.0]
