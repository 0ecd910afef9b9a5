"""The state thread: the only place where SQLite is used while the daemon runs.

It takes three kinds of work, in this order: calls from the event loop and the loader (receipts, batches to send,
chunks), groups of transactions from the reader, slices of the render queue. The work of one turn is one durable commit,
and callers get their results only after it.

Each kind of work must get its share, however much work of an earlier kind there is. A busy log never pauses: while a
commit waits for the disk, the next transactions arrive. So every few groups a slice is rendered with the group, and
transactions that only move the position are applied together (``TransactionQueue.is_pressing``).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from cdc.engine.engine import Engine
from cdc.errors import StateError
from cdc.log_events import get_logger
from cdc.model import Transaction
from cdc.settings.config import ApplySettings
from cdc.state.faults import FileFailure, is_of_disk
from cdc.state.store import Store

log = get_logger(__name__)

T = TypeVar("T")

IDLE_WAIT_S = 0.5  # how long the thread sleeps at most; also how fast /live notices that it hangs
HELD_WAIT_S = 0.05  # the same while transactions wait for company, or for an output that is full
TAKEN_AT_ONCE = 50  # the most transactions taken out of the queue together, and about how many bytes of them
TAKEN_BYTES = 1 << 20
RECHECK_S = 1.0  # how often requests that a command left in the state (deadletter retry) are looked for
SHORT_S = 0.2  # how long turns are kept short behind live changes: their messages need a few turns to be sent
GROUPS_PER_SLICE = 4  # groups after which waiting objects get a turn, though the log never pauses


class TransactionQueue:
    """Transactions from the reader, bounded by bytes: a full queue stops the reader, so memory stays flat."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._items: deque[Transaction] = deque()
        self._taken: deque[Transaction] = deque()
        self._changed = threading.Condition()
        self._with_content = 0
        self.bytes = 0
        self.closed = False
        self.wake = threading.Event()
        """Set when there is something new for the thread that drains the queue."""

    def put(self, transaction: Transaction) -> bool:
        """Add a transaction, and wait for room. False when the queue was closed.

        A transaction larger than the bound goes in when the queue is empty.
        """
        with self._changed:
            # A transaction larger than the limit passes when it is alone: refusing it would stop the daemon for
            # good.
            while self._items and self.bytes + transaction.size > self._max_bytes and not self.closed:
                self._changed.wait()
            # ``close`` wakes a waiting reader so that it can end.
            if self.closed:
                return False
            self.bytes += transaction.size
            if transaction.is_only_position:
                last = self._items[-1] if self._items else None
                if last is not None and last.is_only_position and last.end.server == transaction.end.server:
                    self.bytes -= last.size  # the later position says all that the earlier one did
                    self._items[-1] = replace(transaction, count=last.count + transaction.count)
                    return True
            else:
                self._with_content += 1
            self._items.append(transaction)
        self.wake.set()
        return True

    @property
    def is_pressing(self) -> bool:
        """Whether a transaction waits that does more than move the position."""
        return self._with_content > 0

    def drain(self, max_rows: int, seconds: float) -> Generator[Transaction, None, None]:
        """Whole transactions until about ``max_rows`` changes, ``seconds`` or the queue's end are reached."""
        deadline = time.monotonic() + seconds
        rows = 0
        try:
            while rows < max_rows and self._take():
                while self._taken and rows < max_rows:
                    transaction = self._taken.popleft()
                    rows += len(transaction.changes) or 1
                    yield transaction
                    # A group is one commit; receipts and batches wait for it, so it must not take long.
                    if time.monotonic() >= deadline:
                        return
        finally:
            self._put_back()

    def _take(self) -> bool:
        """Take the next transactions out under one lock: taken one by one, each would wake the reader to add one."""
        with self._changed:
            size = 0
            # Large ones are taken one by one, or memory would hold many of them beside a full queue.
            while self._items and len(self._taken) < TAKEN_AT_ONCE and size < TAKEN_BYTES:
                transaction = self._items.popleft()
                self._with_content -= not transaction.is_only_position
                size += transaction.size
                self._taken.append(transaction)
            self.bytes -= size
            # The reader goes on when there is room for many.
            if self.bytes <= self._max_bytes // 2:
                self._changed.notify_all()
        return bool(self._taken)

    def _put_back(self) -> None:
        """The group is full: what it did not get stays first in the queue."""
        with self._changed:
            while self._taken:
                transaction = self._taken.pop()
                self._with_content += not transaction.is_only_position
                self.bytes += transaction.size
                self._items.appendleft(transaction)

    def __len__(self) -> int:
        return len(self._items) + len(self._taken)

    def close(self) -> None:
        """Release a waiting reader."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()


class Watcher(Protocol):
    """Is called with the results of the state thread, in that thread."""

    def on_commit(self, seconds: float, *, has_news: bool) -> None:
        """A commit is on disk. ``has_news``: it has messages or affected objects beyond the callers' own work."""
        ...

    def on_failure(self, error: BaseException) -> None:
        """The thread ends with this error."""
        ...


class StateThread(threading.Thread):
    """Runs the engine. ``paused``: nothing from the queue is applied, but calls are served."""

    def __init__(
        self,
        engine: Engine,
        queue: TransactionQueue,
        settings: ApplySettings,
        watcher: Watcher,
        *,
        is_held: Callable[[], bool] = lambda: False,
    ) -> None:
        """``is_held``: whether nothing is to be applied for now, because the output has enough messages."""
        super().__init__(name="state", daemon=True)
        self.engine = engine
        self.queue = queue
        self._settings = settings
        self._watcher = watcher
        self._calls: deque[tuple[Callable[[Store], Any], Future[Any]]] = deque()
        self._wake = queue.wake
        self._ending = threading.Event()
        self._has_ended = False
        self._look_again = 0.0
        self._more_to_render = True
        self._groups_since_slice = 0
        self._grouped_at = 0.0
        self._short_until = 0.0
        self._is_held = is_held

    # ------------------------------------------------------------------------------------------ from elsewhere

    def submit(self, work: Callable[[Store], T]) -> Future[T]:
        """Run ``work`` in this thread; the future is done when its commit is on disk."""
        future: Future[T] = Future()
        self._calls.append((work, future))
        self._wake.set()
        # The thread may end between the check of a caller and this line; then nobody would answer the call.
        if self._has_ended:
            self._refuse_calls()
        return future

    async def call(self, work: Callable[[Store], T]) -> T:
        """``submit`` for the event loop."""
        return await asyncio.wrap_future(self.submit(work))

    def stop(self) -> None:
        """End after the present turn and the calls already made."""
        self._ending.set()
        self._wake.set()

    # -------------------------------------------------------------------------------------------------- thread

    def run(self) -> None:
        """Run turns until stopped. A failure goes to the watcher."""
        try:
            while not self._ending.is_set() or self._calls:
                self.engine.heartbeat()
                self._wake.clear()
                # Something was done, so there may be more: sleeping would delay it.
                if not self._turn():
                    self._wake.wait(HELD_WAIT_S if len(self.queue) else IDLE_WAIT_S)
        except BaseException as error:  # noqa: BLE001  # the thread's top: whatever it is, the daemon must hear of it
            self._ending.set()
            self.queue.close()
            self._watcher.on_failure(error)
        finally:
            self._has_ended = True  # before refusing: a call made from here on refuses itself
            self._refuse_calls()
            self.engine.close()

    def _turn(self) -> bool:
        calls = [self._calls.popleft() for _ in range(len(self._calls))]
        # from here on a caller can no longer withdraw: setting the result of a withdrawn call would end this thread
        calls = [(work, future) for work, future in calls if future.set_running_or_notify_cancel()]
        now = time.monotonic()
        has_group = self._is_group_due(now)
        is_share = self._groups_since_slice >= GROUPS_PER_SLICE
        slice_due = (not has_group or is_share) and (self._more_to_render or now >= self._look_again)
        # An empty commit would still write to disk.
        if not calls and not has_group and not slice_due:
            return False
        started = time.monotonic()
        enqueued = self.engine.renderer.enqueued
        try:
            with self.engine.store.transaction():
                results = [(future, *self._one_call(work)) for work, future in calls]
                self._more_to_render |= bool(calls)  # the load's end, a receipt: each of them may have left work
                if has_group:
                    self._apply_group(now)
                if slice_due:
                    self._render_slice(now)
        except BaseException as error:
            # The transaction is undone: what callers hear must be an error, never the result of undone work.
            _refuse(calls, error)
            # A failing disk cannot be read either, and the first error says more.
            with contextlib.suppress(FileFailure):
                self.engine.reread()
            raise
        has_news = has_group or self.engine.renderer.enqueued != enqueued
        self._watcher.on_commit(time.monotonic() - started, has_news=has_news)
        # Only now is the commit on disk, so only now may callers act on it.
        _answer(results)
        return bool(calls or has_group or self._more_to_render)

    def _apply_group(self, now: float) -> None:
        limit_s = self._settings.max_delay_ms / 1000
        # A transaction that only moves the position has no messages.
        if self.queue.is_pressing:
            self._short_until = now + SHORT_S
        self.engine.apply_group(self.queue.drain(self._settings.max_rows, limit_s))
        self._more_to_render = True
        self._grouped_at = now
        self._groups_since_slice += 1

    def _render_slice(self, now: float) -> None:
        # In a log that never pauses, slices of few objects would never come to an end.
        is_short = now < self._short_until and self._groups_since_slice < GROUPS_PER_SLICE
        self._more_to_render = self.engine.work(is_short=is_short)
        self._look_again = now + RECHECK_S
        self._groups_since_slice = 0

    def _is_group_due(self, now: float) -> bool:
        """Whether to apply a group now. Transactions that only move the position wait for others: each commit costs a
        sync.
        """
        if not len(self.queue) or self._ending.is_set() or self._is_held():
            return False
        return self.queue.is_pressing or now >= self._grouped_at + self._settings.max_delay_ms / 1000

    def _one_call(self, work: Callable[[Store], Any]) -> tuple[Any, BaseException | None]:
        """Run one call so that its failure undoes only itself."""
        store = self.engine.store
        try:
            with store.savepoint():
                # A savepoint per call: one caller's error must not undo the receipts of others.
                value = work(store)
        except Exception as error:
            # SQLite has undone the whole turn, or is about to: further work would be written without its transaction.
            if isinstance(error, StateError) or is_of_disk(error) or not store.is_in_transaction:
                raise
            self.engine.reread()
            return None, error  # the caller gets it; the other work of this turn goes on
        return value, None

    def _refuse_calls(self) -> None:
        while self._calls:
            _, future = self._calls.popleft()
            future.cancel()


def _answer(results: Iterable[tuple[Future[Any], Any, BaseException | None]]) -> None:
    """Give each caller its value or its failure."""
    for future, value, failure in results:
        if failure is not None:
            future.set_exception(failure)
        else:
            future.set_result(value)


def _refuse(calls: Iterable[tuple[Callable[[Store], Any], Future[Any]]], error: BaseException) -> None:
    """Give every caller the error that undid the turn."""
    for _, future in calls:
        # A caller may have given up meanwhile.
        if not future.cancelled():
            future.set_exception(error)
