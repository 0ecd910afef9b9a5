"""Objects that wait to be rendered (fan-out, retry, end of a load) while the log goes on: seconds for 2,000 products.

100 small transactions a second go by, of tables that nobody mapped and of mapped ones; the state thread works as in the
daemon, each turn a commit on disk.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from cdc.clock import SystemClock
from cdc.engine.engine import Engine
from cdc.engine.state_thread import StateThread, TransactionQueue
from cdc.messages import render_queue
from cdc.model import Kind, ObjectRef, Position, Transaction
from cdc.replica.cascades import core_foreign_keys
from cdc.replica.load_state import Phase
from cdc.settings.config import ApplySettings
from cdc.settings.mapping import MappingSettings
from cdc.state.store import Store
from mappers.mapping import MagentoMapping
from tests.benchmarks.apply import NOW, Log
from tests.benchmarks.row import Row

OBJECTS = 2000
PER_SECOND = 100
LIMIT_S = 60.0
_LOOK_S = 0.01

MakeTransaction = Callable[[Log, int], Transaction]


def rows() -> Iterable[Row]:
    """A quiet log first, then both kinds of traffic."""
    for what, make in (("no traffic", None), ("unmapped tables", _unmapped), ("mapped tables", _mapped)):
        seconds, passed = asyncio.run(_rendered(make))
        traffic = f"; {passed} transactions went by" if make else ""
        title = f"render {OBJECTS:,} waiting objects, {PER_SECOND} transactions/s of {what}" if make else (
            f"render {OBJECTS:,} waiting objects, {what}"
        )  # fmt: skip
        yield Row(title, OBJECTS / seconds, "objects/s", "within 5 s" if make else "", f"{seconds:.1f} s{traffic}")


def _unmapped(log: Log, number: int) -> Transaction:
    return log.transaction()


def _mapped(log: Log, number: int) -> Transaction:
    """A customer registers."""
    customer = 1000 + number
    return log.transaction(
        log.insert("customer_entity", entity_id=customer, email=f"c{customer}@example.com", website_id=1, group_id=1)
    )


class _Watch:
    """Hears of failures of the state thread."""

    def on_commit(self, seconds: float, *, has_news: bool) -> None:
        """Nothing depends on it here."""

    def on_failure(self, error: BaseException) -> None:
        raise error


async def _rendered(make: MakeTransaction | None) -> tuple[float, int]:
    """Seconds until nothing waits any more, and how many transactions went by. TimeoutError if it starves."""
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(Path(folder), MagentoMapping(MappingSettings()), core_foreign_keys(), SystemClock())
        log = Log(engine.tables)
        _fill(engine, log)
        queue = TransactionQueue(1 << 25)
        state = StateThread(engine, queue, ApplySettings(), _Watch())
        state.start()
        is_over = threading.Event()
        traffic = _Traffic(queue, log, make, is_over)
        traffic.start()
        try:
            await state.call(_ask)
            began = time.monotonic()
            async with asyncio.timeout(LIMIT_S):
                while (await state.call(render_queue.counts))["objects"]:  # noqa: ASYNC110  # the thread has no event
                    await asyncio.sleep(_LOOK_S)
            return time.monotonic() - began, traffic.passed
        finally:
            is_over.set()
            traffic.join()
            state.stop()
            await asyncio.to_thread(state.join)


def _fill(engine: Engine, log: Log) -> None:
    """A shop with products, each rendered once."""
    with engine.store.transaction():
        engine.moves.begin(Position("binlog.000001", 4), Phase.COMPLETE)
        engine.apply_group([
            log.transaction(
                log.insert("store_website", website_id=1, code="base"),
                log.insert("store", store_id=1, code="default", website_id=1),
                log.insert("customer_group", customer_group_id=1, customer_group_code="General"),
            ),
            log.transaction(*(
                log.insert("catalog_product_entity", entity_id=n, sku=f"sku-{n}", type_id="simple", created_at=NOW)
                for n in range(1, OBJECTS + 1)
            )),
        ])  # fmt: skip


def _ask(store: Store) -> None:
    for number in range(1, OBJECTS + 1):
        render_queue.mark(store, ObjectRef(Kind.PRODUCT, number), force=True)


class _Traffic(threading.Thread):
    """Puts transactions into the queue at an even pace. ``make``: None for none."""

    def __init__(
        self, queue: TransactionQueue, log: Log, make: MakeTransaction | None, is_over: threading.Event
    ) -> None:
        super().__init__(name="traffic", daemon=True)
        self._queue, self._log, self._make, self._is_over = queue, log, make, is_over
        self.passed = 0

    def run(self) -> None:
        """Until told that it is over; late transactions are made up for."""
        began = time.monotonic()
        if self._make is None:
            return
        for number in itertools.count():
            if self._is_over.wait(max(0.0, began + number / PER_SECOND - time.monotonic())):
                return
            self._queue.put(replace(self._make(self._log, number), read_ms=int(time.time() * 1000)))
            self.passed = number + 1
