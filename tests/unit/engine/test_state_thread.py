"""The state thread: calls, groups and slices, each turn one commit; failures reach who waits."""

from __future__ import annotations

import time
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from queue import Queue

import pytest

from cdc.engine.rendering import SHORT_SLICE_OBJECTS, SLICE_OBJECTS
from cdc.engine.state_thread import StateThread, TransactionQueue
from cdc.messages import render_queue
from cdc.model import Kind, ObjectRef, Transaction, Urgency
from cdc.settings.config import ApplySettings
from cdc.state.store import Store
from tests.kit.toy import insert, position, toy_engine, transaction


class Listener:
    """Notes commits and failures."""

    def __init__(self) -> None:
        self.commits: Queue[float] = Queue()
        self.failures: Queue[BaseException] = Queue()

    def on_commit(self, seconds: float, *, has_news: bool) -> None:
        if has_news:
            self.commits.put(seconds)

    def on_failure(self, error: BaseException) -> None:
        self.failures.put(error)


def started(folder: Path, queue: TransactionQueue, listener: Listener) -> StateThread:
    thread = StateThread(toy_engine(folder), queue, ApplySettings(), listener)
    thread.start()
    return thread


def outbox_size(store: Store) -> int:
    count: int = store.db.execute("SELECT count(*) FROM outbox").fetchone()[0]
    return count


def test_a_queued_transaction_ends_in_the_outbox(tmp_path: Path) -> None:
    """What the reader puts into the queue is applied, rendered and committed without a call."""
    queue, listener = TransactionQueue(1 << 20), Listener()
    thread = started(tmp_path, queue, listener)
    queue.put(transaction(100, insert("orders", 1, None, "1.00")))
    listener.commits.get(timeout=5)
    size = thread.submit(outbox_size).result(5)
    thread.stop()
    thread.join(5)

    assert size == 1


def test_a_failing_call_undoes_only_itself(tmp_path: Path) -> None:
    """A call that raises hands its error to its caller; what others wrote in that turn stays."""
    thread = started(tmp_path, TransactionQueue(1 << 20), Listener())

    def spoil(store: Store) -> None:
        store.meta.fed_ms = 5
        raise ValueError("no")

    good = thread.submit(lambda store: setattr(store.meta, "receipts_offset", 1))
    bad = thread.submit(spoil)
    good.result(5)
    with pytest.raises(ValueError, match="no"):
        bad.result(5)
    held = thread.submit(lambda store: (store.meta.receipts_offset, store.meta.fed_ms)).result(5)
    thread.stop()
    thread.join(5)

    assert held == (1, 0)


def test_calls_after_the_end_are_cancelled(tmp_path: Path) -> None:
    """Nobody waits for ever on a thread that has stopped."""
    thread = started(tmp_path, TransactionQueue(1 << 20), Listener())
    thread.stop()
    thread.join(5)

    with pytest.raises(CancelledError):
        thread.submit(outbox_size).result(5)


def test_a_transaction_that_cannot_be_applied_ends_the_thread_and_moves_nothing(tmp_path: Path) -> None:
    """A fault in a group is told to the watcher, and the position stays before it."""
    queue, listener = TransactionQueue(1 << 20), Listener()
    thread = started(tmp_path, queue, listener)
    queue.put(transaction(100, insert("no such table", 1)))
    failure = listener.failures.get(timeout=5)
    thread.join(5)

    assert isinstance(failure, KeyError)
    held = toy_engine(tmp_path).positions.position
    assert held is not None
    assert held.offset == 4


def test_a_full_queue_makes_the_reader_wait() -> None:
    """Room is counted in bytes; a transaction larger than the bound passes when the queue is empty."""
    queue = TransactionQueue(100)
    large = transaction(100)
    object.__setattr__(large, "size", 500)

    assert queue.put(large)
    queue.close()
    assert not queue.put(large)


def test_what_waits_is_rendered_though_the_log_never_pauses(tmp_path: Path) -> None:
    """Every few groups a slice is rendered: on a slow disk the next transaction always arrives during a commit."""
    queue = TransactionQueue(1 << 20)
    thread = StateThread(toy_engine(tmp_path), queue, ApplySettings(max_delay_ms=0), Listener())
    engine = thread.engine
    with engine.store.transaction():
        engine.apply_group([transaction(100 + n, insert("customers", n, f"c{n}@example.com", 1)) for n in range(600)])
        for number in range(600):
            render_queue.mark(engine.store, ObjectRef(Kind.CUSTOMER, number), force=True)
    assert render_queue.oldest_live_s(engine.store) >= 0
    for turn in range(20):
        assert queue.put(transaction(1000 + turn, insert("orders", turn, None, "1.00")))
        assert thread._turn()
    assert len(queue) == 0
    assert render_queue.counts(engine.store)["objects"] == 0
    engine.close()


def test_a_slice_is_small_soon_after_a_live_change_and_full_later(tmp_path: Path) -> None:
    """Its messages need some turns until they are sent, and each of them waits for the turn before."""
    queue = TransactionQueue(1 << 20)
    thread = StateThread(toy_engine(tmp_path), queue, ApplySettings(max_delay_ms=0), Listener())
    store, count = thread.engine.store, 2 * (SLICE_OBJECTS + SHORT_SLICE_OBJECTS)
    with store.transaction():
        for number in range(count):
            render_queue.mark(store, ObjectRef(Kind.CUSTOMER, number), force=True)
    queue.put(transaction(1000, insert("orders", 1, None, "1.00")))
    thread._turn()
    thread._turn()
    left = [render_queue.counts(store)["objects"]]
    thread._short_until = 0.0  # as if time had passed
    thread._turn()
    left.append(render_queue.counts(store)["objects"])
    thread.engine.close()

    assert left == [count - SHORT_SLICE_OBJECTS, count - SHORT_SLICE_OBJECTS - SLICE_OBJECTS]


def test_transactions_that_only_move_the_position_share_a_commit(tmp_path: Path) -> None:
    """A log of other databases costs a commit now and then, not one each; their number and the last place are kept."""
    queue = TransactionQueue(1 << 20)
    thread = StateThread(toy_engine(tmp_path), queue, ApplySettings(max_delay_ms=60_000), Listener())
    thread._grouped_at = time.monotonic()
    for offset in range(100, 1100, 10):
        queue.put(transaction(offset))
        thread._turn()
    assert (len(queue), queue.is_pressing, thread.engine.progress.transactions) == (1, False, 0)
    queue.put(transaction(2000, insert("orders", 1, None, "1.00")))
    thread._turn()
    assert (len(queue), thread.engine.progress.transactions) == (0, 101)
    assert thread.engine.positions.position == position(2000)
    thread.engine.close()


def test_a_position_of_another_server_is_not_merged_into_the_one_before() -> None:
    """A failover is seen by comparing servers: the last position of the old server must be applied by itself."""
    queue = TransactionQueue(1 << 20)
    for server in ("1", "1", "2"):
        queue.put(Transaction((), replace(position(100), server=server), 0))
    assert [(one.end.server, one.count) for one in queue.drain(10, 1.0)] == [("1", 2), ("2", 1)]


def test_age_of_what_waits_begins_when_it_becomes_urgent(tmp_path: Path) -> None:
    """History may wait for hours; an object counts from when a live message began to wait for it."""
    engine = toy_engine(tmp_path)
    ref = ObjectRef(Kind.CUSTOMER, 1)
    with engine.store.transaction():
        render_queue.mark(engine.store, ref, urgency=Urgency.HISTORY)
        engine.store.db.execute("UPDATE render_queue SET since_ms = since_ms - 3600000")
    assert render_queue.oldest_live_s(engine.store) == 0
    with engine.store.transaction():
        render_queue.promote(engine.store, ref)
    assert render_queue.oldest_live_s(engine.store) < 60
    with engine.store.transaction():
        engine.store.db.execute("UPDATE render_queue SET since_ms = since_ms - 3600000, urgency = 1")
        render_queue.mark(engine.store, ref)
    assert render_queue.oldest_live_s(engine.store) < 60
    engine.store.db.execute("UPDATE render_queue SET since_ms = since_ms - 120000")
    assert 60 < render_queue.oldest_live_s(engine.store) < 3600
    engine.close()
