"""The first load: fills the replica in chunks while the log is followed, and pulls touched objects first.

One thread of its own. Each chunk is durable before the next is read, so a killed load goes on where it was. Objects
that a live change touches do not wait for their chunk: their rows are read by key (``Replica.to_pull``).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from typing import TypeVar

import structlog

from cdc.errors import SourceDisconnectedError
from cdc.history.reader import RowLoader
from cdc.model import DeleteRule, ForeignKey, ObjectRef, Pull, TableSpec
from cdc.replica.replica import Replica
from cdc.replica.thread import StateThread

log = structlog.get_logger(__name__)

T = TypeVar("T")

PULL_BATCH = 50  # objects pulled under one snapshot
PULL_ROUNDS = 5  # an item's order, the order's customer ...: deeper than any object's rows lie
LOOK_EVERY_S = 1.0  # sweeps and commands ask for pulls without a commit that is told
PROGRESS_EVERY_S = 10.0
RETRY_MIN_S, RETRY_MAX_S = 0.5, 30.0


class Loader(threading.Thread):
    """Loads what is missing, then serves pulls for as long as the replica is not complete.

    ``everything`` False (``start = "latest"`` and replays into an empty state): only reference tables are loaded.
    """

    def __init__(
        self,
        reader: RowLoader,
        state: StateThread,
        keys: Sequence[ForeignKey],
        *,
        everything: bool,
        chunk_rows: int,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        super().__init__(name="loader", daemon=True)
        self._reader = reader
        self._state = state
        self._replica: Replica = state.replica
        self._order = load_order(self._replica.tables, keys)
        self._everything = everything
        self._chunk_rows = chunk_rows
        self._on_failure = on_failure
        self._ending = threading.Event()
        self._pull_wanted = threading.Event()
        self._said = 0.0
        self.rows = 0
        self.table = ""
        self.is_done = False

    def wake(self) -> None:
        """Something was committed: perhaps an object waits for its pull."""
        self._pull_wanted.set()

    def stop(self) -> None:
        """End after the read at hand."""
        self._ending.set()
        self._pull_wanted.set()

    def run(self) -> None:
        """Load, retrying lost connections with back-off; anything else is told to the daemon."""
        failures = 0
        while not self._ending.is_set():
            try:
                self._work()
                return
            except SourceDisconnectedError as error:
                failures += 1
                wait_s = random.uniform(0, min(RETRY_MAX_S, RETRY_MIN_S * 2**failures))
                log.warning("load_disconnected", errno=error.errno, failures=failures, retry_in_s=round(wait_s, 1))
                self._ending.wait(wait_s)
            except CancelledError:
                return  # the state thread has stopped
            except BaseException as error:  # noqa: BLE001  # the thread's top: the daemon must hear of it
                self._on_failure(error)
                return
            finally:
                self._reader.close()

    def _work(self) -> None:
        held = self._call(lambda: self._replica.load_state())
        for spec in self._order:
            if spec.reference:
                self._load(spec, *held[spec.name][:2])
        if not self._replica.references_loaded:
            self._call(self._replica.references_done)
        if self._everything:
            for spec in self._order:
                if not spec.reference:
                    self._load(spec, *held[spec.name][:2])
            if self._ending.is_set():
                return
            seen = self._reader.position()
            self._call(lambda: self._replica.load_done(seen))
            log.info("load_done", rows=self.rows)
        self.table, self.is_done = "", True
        while not self._ending.is_set() and not self._replica.complete:
            self._pull_wanted.clear()
            self._serve_pulls()  # first: a killed run may have left some, and then nobody wakes us
            self._pull_wanted.wait(LOOK_EVERY_S)

    def _load(self, spec: TableSpec, cursor: str | None, done: bool) -> None:
        self.table = spec.name
        while not done and not self._ending.is_set():
            self._serve_pulls()
            chunk = self._reader.chunk(spec.name, cursor, self._chunk_rows)
            cursor, done = chunk.cursor, chunk.done
            self._call(
                lambda c=chunk: self._replica.load_chunk(spec.name, c.rows, c.safe, c.cursor, done=c.done)  # type: ignore[misc]
            )
            self.rows += len(chunk.rows)
            if time.monotonic() - self._said > PROGRESS_EVERY_S:
                self._said = time.monotonic()
                log.info("load_progress", table=spec.name, rows=self.rows)

    def _serve_pulls(self) -> None:
        """Read the rows of touched objects until none waits."""
        while not self._ending.is_set():
            refs: list[ObjectRef] = self._call(lambda: self._replica.to_pull(PULL_BATCH))
            if not refs:
                return
            asked: set[Pull] = set()
            for _ in range(PULL_ROUNDS):
                wanted = self._call(lambda: self._replica.pulls_for(refs, frozenset(asked)))  # noqa: B023  # runs now
                if not wanted:
                    break
                read, safe = self._reader.by_key(wanted)
                self._call(lambda: self._replica.pull(read, safe))  # noqa: B023  # runs now
                asked.update(wanted)
            seen = self._reader.position()
            self._call(lambda: self._replica.pulled(refs, seen, frozenset(asked)))  # noqa: B023  # runs now

    def _call(self, work: Callable[[], T]) -> T:
        return self._state.submit(lambda _: work()).result()


def load_order(specs: Sequence[TableSpec], keys: Sequence[ForeignKey]) -> list[TableSpec]:
    """Reference tables first, then parents before their children, so that a deletion's traces are complete."""
    names = {spec.name for spec in specs}
    parents = {
        spec.name: {k.parent for k in keys if k.child == spec.name and k.rule is DeleteRule.CASCADE}
        & names - {spec.name}
        for spec in specs
    }
    ordered: list[TableSpec] = []
    waiting = sorted(specs, key=lambda spec: not spec.reference)
    while waiting:
        placed = {spec.name for spec in ordered}
        free = [spec for spec in waiting if parents[spec.name] <= placed] or waiting[:1]  # a circle: any first
        ordered.append(free[0])
        waiting.remove(free[0])
    return ordered
