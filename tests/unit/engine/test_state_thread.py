"""The state thread: calls, groups and slices, each turn one commit; failures reach who waits."""

from __future__ import annotations

from concurrent.futures import CancelledError
from pathlib import Path
from queue import Queue

import pytest

from cdc.engine.state_thread import StateThread, TransactionQueue
from cdc.settings.config import ApplySettings
from cdc.state.store import Store
from tests.kit.toy import insert, toy_engine, transaction


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
