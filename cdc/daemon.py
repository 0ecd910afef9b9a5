"""The daemon: starts threads and tasks, passes failures between them, ends them in order.

Threads: reader (source → queue), state (all SQLite), loader (first load, fetches by key). The event loop runs delivery
and the web server. No other module connects these.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from cdc import logs
from cdc.cart_timer import CartTimer, ShopTime
from cdc.clock import SystemClock
from cdc.components import Components
from cdc.engine.row_check import compare_rows
from cdc.engine.state_thread import StateThread, TransactionQueue
from cdc.errors import CdcError, ConfigError, SourceDisconnectedError, first_of
from cdc.first_load import FirstLoadWatch
from cdc.log_events import get_logger
from cdc.messages import render_queue
from cdc.model import Position, Start
from cdc.narration import Activity, tell_start
from cdc.output import Output, Running
from cdc.settings.config import Settings
from cdc.settings.reload import merge
from cdc.signals import listen_to_signals
from cdc.snapshot.loader import Loader
from cdc.snapshot.replica_lag import replica_of
from cdc.source.retention import RetentionWatch
from cdc.startup import open_parts
from cdc.status import DaemonView, SourceState
from cdc.stopping import in_thread, unless
from cdc.web.metrics import Metrics
from cdc.web.server import WebServer, start_web

log = get_logger(__name__)

T = TypeVar("T")

DRAIN_SHARE = 0.75  # of the grace time for requests in flight; of the rest for the state thread's last commits
JOIN_S = 2.0  # for a thread that waits for the server; it holds nothing that would be lost
REFRESH_S = 1.0
REFRESH_SHARE = 0.02  # of the state thread's time at most: with millions of objects waiting a look takes long
SETTLE_S = 0.05  # how often --until-end looks whether everything is applied
RETRY_START_S = 5.0  # how often a server that is not reachable yet is tried at start


@dataclass
class RunOptions:
    """The options of ``run`` on the command line."""

    start: Start | None = None
    resend: bool = False
    until_end: bool = False
    is_relay: bool = False
    reload: Callable[[], Settings] | None = None
    """Reads the settings again (SIGHUP); ConfigError."""


class Daemon:
    """One run. ``run`` returns the exit code or raises the error that ended it."""

    def __init__(self, settings: Settings, options: RunOptions, output: Output) -> None:
        """``output``: sends or publishes what the state holds."""
        self._settings = settings
        self._options = options
        self._clock = SystemClock()
        self._metrics = Metrics(is_relay=options.is_relay)
        self._shop_time = ShopTime(self._clock, is_live=settings.source.kind == "binlog")
        self._stopping = asyncio.Event()
        self._stop_reading = threading.Event()
        self._failure: BaseException | None = None
        self._end_by: float | None = None
        self._loop = asyncio.get_running_loop()
        self.source = SourceState()
        self._queue = TransactionQueue(settings.source.queue_mb * 1024 * 1024)
        self._parts: Components | None = None
        self._state: StateThread | None = None
        self._loader: Loader | None = None
        self._first_load: FirstLoadWatch | None = None
        self._output = output
        self._reader: threading.Thread | None = None
        self._view = DaemonView(self._queue, self.source, output)
        self._activity = Activity(time.monotonic())

    # ------------------------------------------------------------------------------------------------ running

    async def run(self) -> int:
        """Run until asked to stop, until the end (``--until-end``) or until a failure that does not pass."""
        listen_to_signals(self._loop, stop=self._on_stop_signal, is_stopping=self._stopping.is_set, reload=self._reload)
        web = await start_web(self._view, self._metrics, self._settings.web)
        log.info("web_listening", host=self._settings.web.host, port=web.port)
        stuck: list[str] = []
        try:
            await self._output.open(self._stopping)
            await self._open()
            # A signal may have come while it started.
            if not self._stopping.is_set():
                async with asyncio.TaskGroup() as tasks:
                    stuck = await self._work(tasks)
        except BaseException as error:  # a state's failure may reach a waiting call before it reaches the daemon
            if self._failure is None:
                raise first_of(error) from error
        finally:
            await self._shut_down(web)
        # The first failure is the reason; later ones are its consequences.
        if self._failure is not None:
            raise self._failure
        for line in stuck:
            log.error("not_delivered", cause=line)
        return 1 if stuck else 0

    async def _open(self) -> None:
        """Open state and source; wait for a database server that is not up yet."""
        while not self._stopping.is_set():
            try:
                self._parts = await in_thread(
                    self._stopping,
                    lambda: open_parts(
                        self._settings,
                        output=self._output,
                        start=self._options.start,
                        stop=self._stop_reading,
                        clock=self._clock,
                        on_state=self._on_source_state,
                        loop=self._loop,
                    ),
                )
                return
            except SourceDisconnectedError as error:
                # The database may start later than this daemon; other errors do not pass by waiting.
                log.warning("source_unreachable", reason=str(error), retry_in_s=RETRY_START_S)
                self._on_source_state("unreachable", {"reason": str(error)})
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), RETRY_START_S)

    async def _work(self, tasks: asyncio.TaskGroup) -> list[str]:
        parts = self._parts
        assert parts is not None
        output = self._output
        position = parts.engine.positions.position
        tell_start(
            self._settings,
            position=str(position or ""),
            server=position.server if position else "",
            is_relay=self._options.is_relay,
        )
        self._state = StateThread(parts.engine, self._queue, self._settings.apply, self, is_held=lambda: output.is_full)
        output.attach(Running(self._state, parts, self._clock, self._metrics, self._stop_reading))
        self._state.start()
        # Before anything is read: every object then counts as changed.
        if self._options.resend:
            await self._state.call(lambda _: parts.engine.rendering.resend_everything())
        self._first_load = FirstLoadWatch(self._settings, self._state, is_relay=self._options.is_relay)
        self._start_loader(parts)
        self._view.attach(self._state, self._settings, is_relay=self._options.is_relay)
        self._view.source_reasons = parts.reasons
        self._view.heard_s = parts.heard_s
        self._reader = threading.Thread(target=self._read, name="reader", daemon=True)
        self._reader.start()
        # Only a live server purges its log.
        if self._settings.source.kind == "binlog":
            self._view.retention = RetentionWatch(self._settings.source, self._view.applied_file, self._stop_reading)
            self._view.retention.start()
        if parts.unlogged is not None:
            self._view.unlogged = parts.unlogged
            parts.unlogged.begin(partial(compare_rows, self._state))
        side = [
            tasks.create_task(self._watched(output.run(), "delivery")),
            tasks.create_task(self._watched(self._refresh(), "refresh")),
            tasks.create_task(self._first_load.plan(self._stopping)),
        ]
        # A relay renders nothing, and without carts nothing depends on time.
        if parts.engine.mapper.cart_rules is not None:
            timer = CartTimer(self._state, self._shop_time, parts, self._has_read_to, self._stopping)
            side.append(tasks.create_task(self._watched(timer.run(), "carts")))
        stuck: list[str] = []
        if self._options.until_end:
            stuck = await self._until_end(parts)
            await self._look()  # the last of a first load may be accepted only now, and its end is to be told
            self._stopping.set()
        await self._stopping.wait()
        await self._drain()
        for task in side:
            task.cancel()
        self._first_load.close()
        await asyncio.gather(*side, return_exceptions=True)
        await output.close()
        return stuck

    def _start_loader(self, parts: Components) -> None:
        # Files and topics have nothing to load from.
        if parts.loader is None:
            return
        assert self._state is not None
        self._loader = Loader(
            self._output.paced(parts.loader),
            self._state,
            parts.keys,
            history=self._settings.history,
            on_failure=self.on_failure,
            replica=replica_of(self._settings.source, self._settings.history),
            tables=self._output.paced(parts.tables) if parts.tables is not None else None,
        )
        self._view.loader = self._loader
        self._loader.start()

    def _read(self) -> None:
        """The reader thread: puts transactions into the queue."""
        assert self._parts is not None
        try:
            for transaction in self._parts.read():
                now_ms = self._clock.now_ms()
                # Heartbeats and marks have no commit time.
                if transaction.commit_ms:
                    self._shop_time.note(transaction.commit_ms)
                    self.source.read_lag_s = max(0.0, (now_ms - transaction.commit_ms) / 1000)
                # The queue is closed: the daemon is stopping.
                if not self._queue.put(replace(transaction, read_ms=now_ms)):
                    return
            self.source.is_finished = True
            self._on_source_state("finished", {})  # only files end; a server is followed until the daemon stops
        except BaseException as error:  # noqa: BLE001  # the thread's top: the daemon must hear of it
            # While stopping, the closed connection looks like an error.
            if not self._stop_reading.is_set():
                self.on_failure(error)

    async def _until_end(self, parts: Components) -> list[str]:
        """Wait until everything that is in the log now is applied and delivered. Returns the reasons for what cannot be
        delivered.
        """
        assert self._state is not None
        end = await in_thread(self._stopping, parts.end)
        while not self._stopping.is_set():
            is_open = parts.engine.rendering.review.is_open
            if is_open and (refusal := await self._state.call(lambda _: parts.engine.rendering.review.reason())):
                return [refusal]
            if self._has_read_to(end) and (self._loader is None or self._loader.is_done):
                waiting = await self._state.call(render_queue.counts)
                # Looked at twice: what was read in between may have queued new objects.
                is_asked = await self._state.call(lambda _: parts.engine.is_asked_for_more)
                if is_asked:
                    await asyncio.sleep(SETTLE_S)
                    continue
                if not waiting["objects"] and not waiting["bulk_invalidations"] and self._has_read_to(end):
                    result = await unless(self._stopping, self._output.until_empty())
                    return await self._state.call(self._output.causes) if result == "stuck" else []
            await asyncio.sleep(SETTLE_S)
        return []

    def _has_read_to(self, end: Position | None) -> bool:
        """Whether the log is applied up to ``end``. Ask again after a call: the state thread may answer behind a long
        turn.
        """
        assert self._state is not None
        # What is queued is not applied yet.
        if len(self._queue):
            return False
        # Files have no end that could be asked for; their reader says when it is through.
        if end is None:
            return self.source.is_finished
        positions = self._state.engine.positions
        return positions.current() >= positions.lsn(end)

    async def _refresh(self) -> None:
        """Keep the web pages' data up to date. An error here never stops the daemon."""
        while True:
            await self._look()
            await asyncio.sleep(max(REFRESH_S, self._view.look_s / REFRESH_SHARE))

    async def _look(self) -> None:
        await self._view.refresh(self._metrics)
        if self._first_load is not None:
            await self._first_load.look(self._view.status(), time.monotonic(), self._clock.now_ms())
        if self._parts is not None:
            self._metrics.events(self._parts.counters())
            self._activity.look(self._view.status(), time.monotonic())

    async def _watched(self, work: Coroutine[object, object, None], name: str) -> None:
        """Run a side task. If it ends while the daemon runs, with or without an error, the daemon ends too."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  # a task's top
            self.on_failure(error)
            return
        # A task that ends early leaves a daemon that looks healthy and does nothing.
        if not self._stopping.is_set():
            self.on_failure(CdcError(f"the {name} task ended by itself", hint="this is a fault of magento-cdc"))

    # --------------------------------------------------------------------------- called from threads (Watcher)

    def on_commit(self, seconds: float, *, has_news: bool) -> None:
        """State thread: a commit is on disk."""
        self._metrics.state_commit(seconds)
        # Waking everybody after each receipt would be a busy loop.
        if not has_news:  # a receipt, a read: its caller knows
            return
        if self._loader is not None:
            self._loader.wake()
        self._loop.call_soon_threadsafe(self._output.wake)

    def on_failure(self, error: BaseException) -> None:
        """Any thread: a failure that ends the daemon."""
        self._loop.call_soon_threadsafe(self._fail, error)

    def _fail(self, error: BaseException) -> None:
        # Kept once: consequences of the first failure would hide it.
        if self._failure is None:
            self._failure = error
        self._stopping.set()

    def _on_source_state(self, name: str, details: Mapping[str, object]) -> None:
        self.source.name, self.source.details = name, dict(details)

    # ------------------------------------------------------------------------------------------------ stopping

    async def _reload(self) -> None:
        """SIGHUP: read the settings and the keys again."""
        if self._options.reload is None:
            return
        try:
            asked = await asyncio.to_thread(self._options.reload)
        except ConfigError as error:
            log.error("settings_refused", reason=str(error), action="the settings of before hold")
            return
        settings, changed, need_restart = merge(self._settings, asked)
        self._settings = settings
        if "log.level" in changed or "log.format" in changed:
            logs.reconfigure(settings.log)
        await self._output.reload(settings)
        log.info("settings_reloaded", changed=[*changed])
        if need_restart:
            log.warning("settings_need_restart", settings=[*need_restart])

    def _on_stop_signal(self, name: str) -> None:
        hint = "a second signal ends it at once"
        log.info("stopping", signal=name, grace_s=self._settings.shutdown.grace_s, hint=hint)
        self._view.is_stopping = True
        self._stopping.set()

    async def _drain(self) -> None:
        """Close the source first, then wait for the messages in flight."""
        self._close_source()
        await self._output.drain(time.monotonic() + self._grace_left_s() * DRAIN_SHARE)

    def _grace_left_s(self) -> float:
        """The rest of the grace time, in seconds. The grace time begins with the first call."""
        if self._end_by is None:
            self._end_by = time.monotonic() + self._settings.shutdown.grace_s
        return max(0.0, self._end_by - time.monotonic())

    def _close_source(self) -> None:
        self._stop_reading.set()
        self._queue.close()
        if self._loader is not None:
            self._loader.stop()
        if self._parts is not None:
            self._parts.close_source()

    async def _shut_down(self, web: WebServer) -> None:
        self._close_source()
        await self._output.close()  # also after a start that failed; a second time it does nothing
        # The state thread commits what is left before it ends.
        if self._state is not None:
            self._state.stop()
            await asyncio.to_thread(self._state.join, self._grace_left_s() * DRAIN_SHARE)
        elif self._parts is not None:
            self._parts.engine.close()
        for thread in (self._reader, self._loader):
            if thread is not None:
                await asyncio.to_thread(thread.join, min(JOIN_S, self._grace_left_s() / 2))
        await web.close()
        if self._state is not None:
            self._activity.look(self._view.status(), time.monotonic(), is_last=True)
        log.info("stopped", position=str(self._parts.engine.positions.position) if self._parts else "")
