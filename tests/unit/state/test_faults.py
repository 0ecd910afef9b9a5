"""Failures of the state's disk and file: the whole turn is undone, and the advice fits the cause."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from queue import Queue

import pytest

from cdc.engine.state_thread import StateThread, TransactionQueue
from cdc.errors import SetupError, StateError
from cdc.settings.config import ApplySettings
from cdc.state import store as store_module
from cdc.state.copies import STATE_FILE
from cdc.state.faults import folder_fault, hint_of_system, state_fault
from cdc.state.store import Store
from tests.kit.toy import toy_engine


class Failures:
    """Keeps what ended the thread."""

    def __init__(self) -> None:
        self.failures: Queue[BaseException] = Queue()

    def on_commit(self, seconds: float, *, has_news: bool) -> None:
        """Not looked at."""

    def on_failure(self, error: BaseException) -> None:
        self.failures.put(error)


def failing(code: int) -> sqlite3.OperationalError:
    """An error as SQLite raises it."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    return error


def fill_up(store: Store) -> None:
    """Write what the disk has no room for."""
    (held,) = store.db.execute("PRAGMA page_count").fetchone()
    store.db.execute(f"PRAGMA max_page_count = {held}")
    store.db.execute("INSERT INTO meta (key, value) VALUES ('too long', zeroblob(1000000))")


def test_a_disk_that_fills_up_in_a_call_undoes_the_whole_turn(tmp_path: Path) -> None:
    """SQLite rolls back the whole transaction then, so no later call of the turn may be written outside of one."""
    listener = Failures()
    thread = StateThread(toy_engine(tmp_path), TransactionQueue(1 << 20), ApplySettings(), listener)
    calls = [
        thread.submit(fill_up),
        thread.submit(lambda store: setattr(store.meta, "receipts_offset", 7)),
    ]
    thread.start()
    error = listener.failures.get(timeout=5)
    thread.join(5)

    assert isinstance(error, StateError)
    assert "database or disk is full" in error.message
    assert "free some disk space" in error.hint
    assert all(isinstance(call.exception(0), sqlite3.Error | StateError) for call in calls)
    again = toy_engine(tmp_path)
    assert again.store.meta.receipts_offset != 7
    again.close()


def test_a_disk_that_fails_while_a_turn_is_undone_tells_the_first_error(tmp_path: Path) -> None:
    """The caller of the turn is answered, and the thread ends with the disk's error, not with a later one."""
    listener = Failures()
    engine = toy_engine(tmp_path)

    def fail(store: Store) -> None:
        # Every statement fails from here on, the ROLLBACK too.
        store.db.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
        raise failing(sqlite3.SQLITE_IOERR_FSYNC)

    thread = StateThread(engine, TransactionQueue(1 << 20), ApplySettings(), listener)
    call = thread.submit(fail)
    thread.start()
    error = listener.failures.get(timeout=5)
    thread.join(5)

    assert isinstance(error, StateError)
    assert "disk I/O error" in error.message
    assert call.exception(0) is not None


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (sqlite3.SQLITE_FULL, "free some disk space"),
        (sqlite3.SQLITE_READONLY, "read-only"),
        (sqlite3.SQLITE_IOERR_FSYNC, "kernel's log"),
        (sqlite3.SQLITE_CANTOPEN, "limit of open files"),
        (sqlite3.SQLITE_NOMEM, "memory limit"),
    ],
)
def test_only_a_damaged_file_is_ever_to_be_removed(tmp_path: Path, code: int, advice: str) -> None:
    """The state alone knows what was sent: a full or read-only disk is no reason to lose it."""
    fault = state_fault(tmp_path, failing(code))

    assert advice in fault.hint
    assert "remove" not in fault.hint
    assert fault.exit_code == 1


def test_a_damaged_file_is_put_back_from_a_backup(tmp_path: Path) -> None:
    """The advice names the backup first."""
    (tmp_path / STATE_FILE).write_bytes(b"no database" * 1000)

    with pytest.raises(StateError, match="not a database") as caught:
        Store(tmp_path, ())

    assert caught.value.hint.index("backup") < caught.value.hint.index("remove")


def test_a_folder_that_may_not_be_written_is_a_matter_of_setup(tmp_path: Path) -> None:
    """Missing rights end with exit code 2, a full or read-only disk with 1, as it would while running."""
    assert isinstance(folder_fault(tmp_path, PermissionError(errno.EACCES, "Permission denied")), SetupError)
    for code in (errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.EIO):
        assert folder_fault(tmp_path, OSError(code, "no")).exit_code == 1


def test_too_few_open_files_at_the_start_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state's files cannot be opened: a sentence that names the limit, and the lock is free again."""

    def refuse(path: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files", str(path))

    monkeypatch.setattr(store_module, "make_private", refuse)
    with pytest.raises(StateError, match="Too many open files") as caught:
        Store(tmp_path, ())
    monkeypatch.undo()

    assert "ulimit -n" in caught.value.hint
    Store(tmp_path, ()).close()


def test_a_mark_that_cannot_be_written_names_the_limit_of_open_files() -> None:
    """Room on the disk is no help to a process that may open no more files."""
    assert "ulimit -n" in hint_of_system(OSError(errno.EMFILE, "Too many open files"))
    assert "free some disk space" in hint_of_system(OSError(errno.ENOSPC, "No space left on device"))
