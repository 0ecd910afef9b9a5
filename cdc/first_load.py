"""Reports on the first load for people: its plan before it begins, and lines of progress while it runs.

A line comes every ten seconds in the first minute and every minute later. On a terminal a bar is drawn instead. At the
end ``first_load_sent`` has totals, rates, calls and the time it took.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cdc import logs
from cdc.engine.load_progress import totals
from cdc.engine.state_thread import StateThread
from cdc.errors import CdcError
from cdc.log_events import get_logger
from cdc.replica.cascades import with_between
from cdc.settings.config import Settings
from cdc.snapshot.load_plan import LoadPlan, count_load, duration
from cdc.source.extension_tables import with_primary_keys
from cdc.source.foreign_keys import foreign_keys
from cdc.source.server import connect, mapped_errors
from cdc.stopping import in_thread
from mappers.mapping import MagentoMapping
from mappers.object_counts import statements
from sinks.registry import entry_of

log = get_logger(__name__)

FIRST_LINES_S: Final = 10.0
LATER_LINES_S: Final = 60.0
UNTIL_LATER_S: Final = 60.0
NOTE_S: Final = 1.0
"""How often calls and time are noted in the state: a process that is killed loses what passed since."""


def plan_of(settings: Settings) -> LoadPlan:
    """The plan of a first load with these settings, counted on the server.

    Raises SetupError, SourceDisconnectedError.
    """
    source, entry = settings.source, entry_of(settings)
    traits = entry.traits(settings)
    with mapped_errors(source):
        connection = connect(source)
        try:
            mapping = with_primary_keys(connection, source, settings.mapping)
            keys = foreign_keys(connection, source.database, source.table_prefix)
        finally:
            connection.close()
    by_email = traits.contacts_by_email
    # tables between two mapped ones are read as well, for their keys
    tables = with_between(MagentoMapping(mapping, contacts_by_email=by_email).tables, keys)
    before = settings.history.withheld_before_ms
    every = statements(mapping, source.table_prefix, contacts_by_email=by_email, since_ms=None)
    if before is None:
        sent = every
    elif math.isinf(before):
        sent = None
    else:
        sent = statements(mapping, source.table_prefix, contacts_by_email=by_email, since_ms=before)
    sink = settings.sink
    return count_load(source, tables, every, sent, traits, sink.max_batch, sink.requests_per_10s)


class ProgressReport:
    """Reports the progress of the first load. ``look`` is called about once a second with /status's part on it.

    ``is_bar``: draw a bar on standard error instead of log lines.
    """

    def __init__(self, *, is_bar: bool | None = None) -> None:
        self._is_bar = sys.stderr.isatty() and sys.stdout.isatty() if is_bar is None else is_bar
        self._began_s: float | None = None
        self._said_s = -math.inf
        self._phase = ""
        self._phase_began: tuple[float, int] = (0.0, 0)
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    @property
    def is_drawn(self) -> bool:
        """Whether the terminal shows the bar."""
        return self._bar is not None

    def look(self, progress: Mapping[str, Any], now_s: float, waits_for: str = "") -> None:
        """Report if it is time; nothing while no first load runs. ``waits_for``: why no table is read now."""
        phase = progress.get("phase", "")
        if not phase:
            self.close()
            return
        done, expected = totals(progress)
        if self._began_s is None:
            self._began_s = now_s
        if phase != self._phase:
            self._phase, self._phase_began, self._said_s = phase, (now_s, done), -math.inf
        if self._is_bar:
            self._draw(phase, done, expected, waits_for)
            return
        every_s = FIRST_LINES_S if now_s - self._began_s < UNTIL_LATER_S else LATER_LINES_S
        if now_s - self._said_s < every_s:
            return
        self._said_s = now_s
        per_s, left = self._pace(done, expected, now_s)
        log.info("first_load_progress", phase=phase, done=done, expected=expected, per_s=per_s, left=left,
                 waits_for=waits_for)  # fmt: skip

    def _pace(self, done: int, expected: int, now_s: float) -> tuple[float, str]:
        """The rate since the phase began, and the time left at that rate; 0 and "" if nothing was done yet."""
        began_s, before = self._phase_began
        took_s = now_s - began_s
        if took_s <= 0 or done <= before:
            return 0.0, ""
        rate = (done - before) / took_s
        return round(rate, 1), duration(max(0, expected - done) / rate)

    def _draw(self, phase: str, done: int, expected: int, waits_for: str) -> None:
        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            logs.note_bar(is_drawn=True)
            self._task = self._bar.add_task(phase, total=expected or None)
        assert self._task is not None
        text = f"first load: {phase}" + (f" (waits: {waits_for})" if waits_for else "")
        self._bar.update(self._task, description=text, completed=done, total=expected or None)

    def close(self) -> None:
        """Remove the bar. May be called twice."""
        if self._bar is not None:
            self._bar.stop()
            logs.note_bar(is_drawn=False)
            self._bar = self._task = None


def say_sent(progress: Mapping[str, Any]) -> None:
    """Log the line at the end of a first load."""
    seconds = max(0.001, progress["seconds"])
    rows = sum(one["done"] for one in progress["tables"].values())
    messages = {kind: one["done"] for kind, one in progress["objects"].items()}
    log.info(
        "first_load_sent", rows=rows, objects=sum(one["rendered"] for one in progress["objects"].values()),
        messages=messages, calls=progress["calls"], seconds=round(seconds, 1), rows_per_s=round(rows / seconds, 1),
        messages_per_s=round(sum(messages.values()) / seconds, 1),
    )  # fmt: skip


class FirstLoadWatch:
    """One run's watch over its first load: counts the plan, reports progress, and ends the load once everything is
    sent.

    Use in the event loop. Does nothing if no first load is running.
    """

    def __init__(self, settings: Settings, state: StateThread, *, is_relay: bool) -> None:
        self._settings = settings
        self._state = state
        self._is_relay = is_relay
        self._report = ProgressReport()
        self._calls = 0
        self._noted_s = -math.inf
        # The clock on the wall may be set while a load runs, so the load's time is summed up from a clock that cannot
        # be set. Time between two runs is not counted.
        self._counted_s = time.monotonic()

    async def plan(self, stopping: asyncio.Event) -> None:
        """Count the work on the server and log the plan. A failure is logged, and the load goes on without a plan."""
        first_load = self._state.engine.first_load
        is_counted = self._is_relay or self._settings.source.kind != "binlog" or bool(first_load.record.get("plan"))
        if not first_load.is_open or is_counted:
            return
        try:
            found = await in_thread(stopping, lambda: plan_of(self._settings))
        except CdcError as error:
            log.warning("first_load_plan_failed", reason=error.message)
            return
        if found is None:
            return  # asked to stop
        plan = found.as_dict()
        await self._state.call(lambda _: first_load.keep_plan(plan))
        log.info(
            "first_load_plan", rows=plan["rows"], objects=plan["objects"], messages=plan["messages"],
            calls=plan["calls"], hours=plan["hours"], days_of_quota=plan["days_of_quota"], state_mb=plan["state_mb"],
            estimated=plan["estimated"],
        )  # fmt: skip

    async def look(self, status: Mapping[str, Any], now_s: float, now_ms: int) -> None:
        """Call about once a second, with /status."""
        progress = status.get("first_load") or {}
        self._report.look(progress, now_s, str((status.get("load") or {}).get("waits_for", "")))
        if not progress.get("phase"):
            return
        is_sent = bool(progress["is_sent"])
        made = sum((status.get("delivery") or {}).get("requests", {}).values())
        if is_sent or now_s - self._noted_s >= NOTE_S:
            more, passed_s = made - self._calls, max(0.0, now_s - self._counted_s)
            self._calls, self._noted_s, self._counted_s = made, now_s, now_s
            progress = {**progress, "calls": progress["calls"] + more, "seconds": progress["seconds"] + passed_s}
            await self._state.call(lambda _: self._state.engine.first_load.add(more, passed_s))
        if is_sent:
            await self._state.call(lambda _: self._state.engine.first_load.finish(now_ms))
            self._report.close()
            say_sent(progress)

    def close(self) -> None:
        """Remove the bar."""
        self._report.close()
