"""The relay: changes a second from decoded rows to committed Kafka transactions, against applying them alone.

State thread and publisher work side by side, as in the relay, on a private broker on the same cores.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from cdc.clock import SystemClock
from cdc.engine.engine import Engine
from cdc.engine.state_thread import StateThread, TransactionQueue
from cdc.model import Position, Transaction
from cdc.relay.local import prepare
from cdc.relay.publisher import Publisher
from cdc.relay.rows import RowsOnly
from cdc.replica.cascades import core_foreign_keys
from cdc.replica.load_state import Phase
from cdc.settings.config import ApplySettings, load
from cdc.settings.mapping import MappingSettings
from mappers.mapping import MagentoMapping
from tests.benchmarks.apply import CUSTOMERS, PRODUCTS, Log, order_log
from tests.benchmarks.row import Row
from tests.kit.broker import Broker

ORDERS = 4000


def _engine(folder: str) -> Engine:
    mapper = RowsOnly(MagentoMapping(MappingSettings()))
    return Engine(Path(folder), mapper, core_foreign_keys(), SystemClock())


def _work(engine: Engine) -> list[Transaction]:
    return list(order_log(Log(engine.tables), 1, ORDERS, customers=CUSTOMERS, products=PRODUCTS))


def _apply_alone() -> float:
    with tempfile.TemporaryDirectory() as folder:
        engine = _engine(folder)
        with engine.store.transaction():
            engine.moves.begin(Position("binlog.000001", 4), Phase.COMPLETE)
        return asyncio.run(_through(engine, _work(engine), None))


class _Watch:
    """Hears of the state thread's commits."""

    def __init__(self, publisher: Publisher | None) -> None:
        self._publisher = publisher
        self._loop = asyncio.get_running_loop()

    def on_commit(self, seconds: float, *, has_news: bool) -> None:
        if self._publisher is not None and has_news:
            self._loop.call_soon_threadsafe(self._publisher.wake)

    def on_failure(self, error: BaseException) -> None:
        raise error


async def _through(engine: Engine, work: Sequence[Transaction], publisher: Publisher | None, name: str = "") -> float:
    """Seconds until all is applied, and published if somebody does."""
    queue = TransactionQueue(1 << 30)
    state = StateThread(engine, queue, ApplySettings(), _Watch(publisher))
    end = engine.positions.lsn(work[-1].end)
    state.start()
    publishing = None
    if publisher is not None:
        publisher.attach(state, name, None)
        publishing = asyncio.create_task(publisher.run())
        await publisher.until_empty()
    started = time.perf_counter()
    for transaction in work:
        queue.put(transaction)
    while await state.call(lambda _: engine.positions.current()) < end:  # noqa: ASYNC110  # the thread has no event
        await asyncio.sleep(0.01)
    if publisher is not None:
        await publisher.until_empty()
    seconds = time.perf_counter() - started
    if publisher is not None and publishing is not None:
        await publisher.drain(time.monotonic() + 10)
        await publishing
        await publisher.close()
    state.stop()
    await asyncio.to_thread(state.join)
    return seconds


async def _relayed(broker: Broker, folder: str) -> tuple[float, int]:
    """Seconds, and records published."""
    settings = load(None, {"kafka": {"brokers": [broker.bootstrap], "prefix": "bench"}})
    publisher = Publisher(settings, SystemClock())
    mark = await publisher.connect()
    engine = _engine(folder)
    name = prepare(engine, mark, ())
    with engine.store.transaction():
        engine.moves.begin(Position("binlog.000001", 4), Phase.COMPLETE)
    before = publisher.records
    seconds = await _through(engine, _work(engine), publisher, name)
    return seconds, publisher.records - before


def rows() -> Iterable[Row]:
    """Both sides in one go."""
    alone = _apply_alone()
    with tempfile.TemporaryDirectory() as folder, Broker() as broker:
        relayed, records = asyncio.run(_relayed(broker, folder))
    with tempfile.TemporaryDirectory() as folder:
        engine = _engine(folder)
        changes = sum(len(transaction.changes) for transaction in _work(engine))
        engine.close()
    note = f"{changes:,} changes"
    yield Row("relay: decoded order rows applied alone", changes / alone, "changes/s", "", note)
    yield Row(
        "relay: the same applied and published",
        changes / relayed,
        "changes/s",
        "",
        f"{records:,} records, {relayed / alone:.1f} times the time, broker on the same cores",
    )
