"""The loader's thread: whoever waits for a pull is pulled, also when nothing happens any more."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from cdc.engine.engine import Engine
from cdc.engine.import_job import ALL_TYPES
from cdc.engine.state_thread import StateThread, TransactionQueue
from cdc.errors import SetupError
from cdc.messages import render_queue
from cdc.model import ABSENT, Cells, Change, FetchByKey, Image, Kind, ObjectRef, Op, Position, StaleTable, Value
from cdc.replica.load_state import Phase
from cdc.settings.config import ApplySettings
from cdc.settings.history import HistorySettings
from cdc.snapshot.loader import Loader
from cdc.snapshot.reader import Chunk, RowLoader
from cdc.snapshot.replica_lag import ReplicaLag
from cdc.snapshot.replica_reader import ReplicaReader, ReplicaWaitError
from cdc.snapshot.required_position import Snapshot
from tests.kit.toy import KEYS, contents, insert, position, toy_engine, transaction
from tests.unit.engine.test_state_thread import Listener

HERE = Snapshot(position(4), position(4), exact=True)
ORDER = ObjectRef(Kind.ORDER, 5)


class Rows:
    """A server with one order, as a RowLoader shows it."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.read = threading.Event()

    def chunk(self, table: str, cursor: str | None, limit: int) -> Chunk:
        self.read.set()
        return Chunk([], HERE, None, True)

    def by_key(self, fetches: Sequence[FetchByKey]) -> tuple[list[tuple[str, list[Cells]]], Snapshot]:
        self.asked.set()
        return [(pull.table, [(5, None, "9.00")] if pull.table == "orders" else []) for pull in fetches], HERE

    def has(self, table: str) -> bool:
        return False

    def row(self, table: str, key: Sequence[Value]) -> list[Cells] | None:
        raise ValueError(table)

    def position(self) -> Position:
        return position(4)

    def forget(self, table: str) -> None:
        pass

    def close(self) -> None:
        pass


class Lagging:
    """A replica that lags until ``is_near`` is set, as a ReplicaLag shows it."""

    def __init__(self) -> None:
        self.is_near = threading.Event()
        self.asked = threading.Event()
        self.asked_again = threading.Event()

    def reason_to_wait(self) -> str:
        if self.asked.is_set():
            self.asked_again.set()  # by now the first answer is noted
        self.asked.set()
        return "" if self.is_near.is_set() else "the replica is 99 s behind"

    def close(self) -> None:
        pass


def end(loader: Loader, state: StateThread, *, within_s: float) -> None:
    """End both threads: first the loader, which calls the other."""
    for thread in (loader, state):
        thread.stop()
        thread.join(within_s)


def ask_for_a_pull(engine: Engine) -> None:
    """An object was affected and nothing else happens."""
    render_queue.mark(engine.store, ORDER, fetch=True)


@pytest.mark.parametrize("when", ["before the start", "while it waits"])
def test_a_pull_is_served_though_nobody_wakes_the_loader(tmp_path: Path, when: str) -> None:
    """Fetches left over from a killed run, or asked for by a sweep, do not wait for the next change of the shop."""
    engine = toy_engine(tmp_path, phase=Phase.FETCHING_REFERENCES)
    if when == "before the start":
        with engine.store.transaction():
            ask_for_a_pull(engine)
    state = StateThread(engine, TransactionQueue(1 << 20), ApplySettings(), Listener())
    rows = Rows()
    loader = Loader(
        cast(RowLoader, rows), state, KEYS, history=HistorySettings(chunk_rows=10), on_failure=lambda error: None
    )
    state.start()
    loader.start()
    if when == "while it waits":
        state.submit(lambda _: ask_for_a_pull(engine)).result(5)
    served = rows.asked.wait(5)
    end(loader, state, within_s=5)

    assert served


def test_a_row_of_a_table_that_was_dropped_keeps_what_is_held(tmp_path: Path) -> None:
    """Told in part and then dropped: nothing can be read any more, and nothing says that the row was deleted."""
    engine = toy_engine(tmp_path)
    part = Change("orders", Op.UPDATE, (5, ABSENT, ABSENT), (5, ABSENT, ABSENT), image=Image.UNKNOWN)
    with engine.store.transaction():
        engine.apply_group([transaction(100, insert("orders", 5, None, "1.00")), transaction(200, part)])
    assert engine.unread.any
    state = StateThread(engine, TransactionQueue(1 << 20), ApplySettings(), Listener())
    loader = Loader(
        cast(RowLoader, Rows()), state, KEYS, history=HistorySettings(chunk_rows=10), on_failure=lambda error: None
    )
    state.start()
    loader.start()
    while engine.unread.any:
        state.submit(lambda _: None).result(5)
    held = state.submit(lambda _: contents(engine)["orders"]).result(5)
    end(loader, state, within_s=5)

    assert held == [(5, None, "1.00")]


class Orders(Rows):
    """A server with five orders, which one chunk holds."""

    def chunk(self, table: str, cursor: str | None, limit: int) -> Chunk:
        rows: list[Cells] = [(number, None, "9.00") for number in range(1, 6)] if table == "orders" else []
        return Chunk(rows, HERE, "[5]" if rows else cursor, True)


def test_a_live_change_waits_for_a_piece_of_a_chunk_and_not_for_the_chunk(tmp_path: Path) -> None:
    """The state takes a chunk in pieces, each with its own cursor, and rows by key are read between two of them."""
    engine = toy_engine(tmp_path, phase=Phase.LOADING_REFERENCES)
    state = StateThread(engine, TransactionQueue(1 << 20), ApplySettings(), Listener())
    rows, told = Orders(), list[tuple[str | None, bool, bool]]()
    take = engine.ingest.load_chunk

    def noted(table: str, piece: Sequence[Cells], safe: Position, cursor: str | None, **more: Any) -> bool:
        if table == "orders":
            told.append((cursor, more["done"], rows.asked.is_set()))
            if len(told) == 1:
                ask_for_a_pull(engine)
        return take(table, piece, safe, cursor, **more)

    engine.ingest.load_chunk = noted  # type: ignore[method-assign,assignment]
    loader = Loader(
        cast(RowLoader, rows), state, KEYS, history=HistorySettings(), on_failure=lambda error: None, piece_rows=2
    )
    state.start()
    loader.start()
    while not state.submit(lambda _: engine.load.is_complete).result(5):
        pass
    held = state.submit(lambda _: contents(engine)["orders"]).result(5)
    end(loader, state, within_s=5)

    assert told == [("[2]", False, False), ("[4]", False, True), ("[5]", True, True)]
    assert [row[0] for row in held] == [1, 2, 3, 4, 5]


def test_a_repair_that_a_command_asks_for_is_begun_in_a_quiet_shop(tmp_path: Path) -> None:
    """``import --repair`` reads all tables again within a second or two, though no transaction wakes the loader."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group([transaction(100, insert("orders", 5, None, "1.00"))])
    state = StateThread(engine, TransactionQueue(1 << 20), ApplySettings(), Listener())
    rows = Rows()
    loader = Loader(
        cast(RowLoader, rows), state, KEYS, history=HistorySettings(chunk_rows=10), on_failure=lambda error: None
    )
    state.start()
    loader.start()

    def ask_for_a_repair() -> None:
        engine.store.meta.repair_types = ALL_TYPES

    state.submit(lambda _: ask_for_a_repair()).result(5)
    begun = rows.read.wait(5)
    end(loader, state, within_s=5)

    assert begun


def test_no_table_is_read_while_the_replica_lags_but_changed_objects_are(tmp_path: Path) -> None:
    """The load says why it waits, and goes on when the lag is gone. Rows of changed objects are read all the same."""
    engine = toy_engine(tmp_path, phase=Phase.LOADING)
    with engine.store.transaction():
        ask_for_a_pull(engine)
    state = StateThread(engine, TransactionQueue(1 << 20), ApplySettings(), Listener())
    rows, replica = Rows(), Lagging()
    loader = Loader(
        cast(RowLoader, rows), state, KEYS, history=HistorySettings(chunk_rows=10), on_failure=lambda error: None,
        replica=cast(ReplicaLag, replica),
    )  # fmt: skip
    state.start()
    loader.start()
    was_fetched = rows.asked.wait(20) and replica.asked.wait(20)
    loader.wake()
    was_asked_again = replica.asked_again.wait(20)
    was_read = rows.read.is_set()
    said = loader.waits_for
    replica.is_near.set()
    is_read = rows.read.wait(20)
    end(loader, state, within_s=20)

    assert was_fetched
    assert was_asked_again
    assert not was_read
    assert is_read
    assert said == "the replica is 99 s behind"
    assert loader.waits_for == ""


class Away(Rows):
    """A replica that cannot be read until ``is_there`` is set, as a ReplicaReader shows it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_there = threading.Event()
        self.tried = threading.Event()

    def chunk(self, table: str, cursor: str | None, limit: int) -> Chunk:
        if not self.is_there.is_set():
            self.tried.set()
            raise ReplicaWaitError("no connection to replica:3306")
        return super().chunk(table, cursor, limit)

    def threads_running(self) -> int:
        if not self.is_there.is_set():
            self.tried.set()
            raise SetupError("history.read_from: replica:3306 refused the user")
        return 1


@pytest.mark.parametrize("max_threads", [0, 50])
def test_a_replica_that_cannot_be_read_makes_tables_wait_and_nothing_else(tmp_path: Path, max_threads: int) -> None:
    """The load says why it waits, rows of changed objects come from the primary, and no table is read there. Once the
    replica is back, tables are read from it.
    """
    engine = toy_engine(tmp_path, phase=Phase.LOADING)
    with engine.store.transaction():
        ask_for_a_pull(engine)
    state = StateThread(engine, TransactionQueue(1 << 20), ApplySettings(), Listener())
    rows, replica = Rows(), Away()
    failures: list[BaseException] = []
    history = HistorySettings(chunk_rows=10, max_threads_running=max_threads)
    loader = Loader(
        cast(RowLoader, rows), state, KEYS, history=history, on_failure=failures.append,
        tables=cast(ReplicaReader, replica),
    )  # fmt: skip
    state.start()
    loader.start()
    was_tried = replica.tried.wait(20) and rows.asked.wait(20)
    while not loader.waits_for and not failures:
        state.submit(lambda _: None).result(5)
    said = loader.waits_for
    replica.is_there.set()
    is_read = replica.read.wait(20)
    end(loader, state, within_s=20)

    assert was_tried
    assert "replica:3306" in said
    assert is_read
    assert not rows.read.is_set()
    assert failures == []


def test_a_table_that_is_read_again_is_read_from_the_primary(tmp_path: Path) -> None:
    """A repair looks for changes that the log does not tell, and a replica knows no more than the log."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group([transaction(100, insert("orders", 5, None, "1.00"))])
        engine.stale_tables.read_again([StaleTable("orders", "asked for")], position(100))
    state = StateThread(engine, TransactionQueue(1 << 20), ApplySettings(), Listener())
    rows, replica = Rows(), Rows()
    loader = Loader(
        cast(RowLoader, rows), state, KEYS, history=HistorySettings(chunk_rows=10), on_failure=lambda error: None,
        tables=cast(ReplicaReader, replica),
    )  # fmt: skip
    state.start()
    loader.start()
    is_read = rows.read.wait(20)
    end(loader, state, within_s=20)

    assert is_read
    assert not replica.read.is_set()
