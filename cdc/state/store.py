"""The state file: one SQLite connection, its lock, its transactions and its single values (``meta``).

All use is from the state thread (or from one command while no daemon runs); commits are on disk when they return.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from cdc.errors import SetupError, StateError
from cdc.model import TableSpec
from cdc.state import migrations, running_totals, schema
from cdc.state.copies import STATE_FILE, make_private, remove_abandoned_copies
from cdc.state.faults import code_of, folder_fault, state_fault
from cdc.state.meta import Meta

LOCK_FILE = "lock"
BUSY_MS = 10_000
"""How long a command that has to write waits for the end of a daemon's transaction."""


def probe_folder(folder: Path) -> None:
    """Create the folder if it is missing, and write into it. Raises SetupError or StateError if that fails."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # a folder of the operator's own keeps its mode
        probe = folder / f".write-test-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise folder_fault(folder, error) from None


def is_in_use(folder: Path) -> bool:
    """Whether another process has the folder's lock, so a daemon is running."""
    try:
        lock = os.open(folder / LOCK_FILE, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who only look are no daemon to each other
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _nothing() -> None:
    """Nothing is gathered: the file has every row."""


class HeldColumns(NamedTuple):
    """A mapped table's columns in the state file, and its primary key's columns in order."""

    names: tuple[str, ...]
    key: tuple[str, ...]


class Store:
    """The open state file.

    ``exclusive`` takes the folder's lock, so that two daemons never share a state. Commands that only read or that
    leave a request (``deadletter retry``) open the file without the lock, and with ``create`` False: only the daemon,
    which knows the server's foreign keys, may create tables. ``only_looks``: nothing is written, so the caller never
    waits; it sees the last commit, however long a daemon's present transaction takes. Raises SetupError if the folder
    cannot be written or is locked, StateError if the file is damaged or the disk fails.
    """

    def __init__(
        self,
        folder: Path,
        tables: Sequence[TableSpec],
        *,
        indexes: dict[str, set[tuple[str, ...]]] | None = None,
        exclusive: bool = True,
        create: bool = True,
        only_looks: bool = False,
    ) -> None:
        self.folder = folder
        self._only_looks = only_looks
        self.tables = {spec.name: spec for spec in tables}
        self._indexes = indexes or {}
        self._lock: int | None = None
        self._when_undone: list[Callable[[], None]] = []
        self.write_gathered: Callable[[], None] = _nothing
        """Writes the replica's rows that are only in memory. Call it before a statement that reads ``r_`` tables
        outside ``cdc/replica/rows.py``.
        """
        if not only_looks:
            probe_folder(folder)
        if exclusive:
            self._take_lock()
            remove_abandoned_copies(folder)
        path = folder / STATE_FILE
        try:
            if not only_looks:
                make_private(path)
            self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
            self.meta = Meta(self.db)
            self._set_up(create=create)
        except sqlite3.Error as error:
            self.close()
            raise state_fault(folder, error) from error
        except OSError as error:
            self.close()
            raise folder_fault(folder, error) from error

    def _take_lock(self) -> None:
        try:
            self._lock = os.open(self.folder / LOCK_FILE, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise folder_fault(self.folder, error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Two daemons on one state would send everything twice and corrupt the ledger.
            self.close()
            raise SetupError(
                f"state folder {self.folder} is in use by another magento-cdc",
                hint="stop the other magento-cdc first, or give this magento-cdc its own state.dir",
            ) from None

    def _set_up(self, *, create: bool) -> None:
        self.db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")  # a group is on disk before anything in it is sent
        self.db.execute("PRAGMA cache_size = -32000")  # 32 MB: the memory target is 150 MB for everything
        self.db.execute("PRAGMA temp_store = MEMORY")
        self.db.execute(
            "PRAGMA secure_delete = ON"
        )  # what was deleted people's is overwritten, as not every SQLite does
        self.db.execute("PRAGMA wal_autocheckpoint = 2000")
        self.db.execute("PRAGMA journal_size_limit = 67108864")  # after a giant commit the WAL gives its disk back
        self.db.execute("PRAGMA recursive_triggers = ON")  # a row that is replaced leaves the running totals
        if self._only_looks:
            self.db.execute("PRAGMA query_only = ON")
        with self.transaction():
            migrations.migrate(self.db, self.folder, may_write=create)
            if create:
                schema.create(self.db, self.tables.values(), self._indexes)
                running_totals.set_up(self.db, self.tables.values())

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One atomic change of the state: on disk when the block ends, undone when the block raises."""
        try:
            self.db.execute("BEGIN" if self._only_looks else "BEGIN IMMEDIATE")
            yield
            self.db.execute("COMMIT")
        except BaseException as error:
            self._tell_undone()
            # COMMIT itself may have failed, with the transaction over already.
            if self.db.in_transaction:
                # On a failing disk this fails too. The first error says more, and nothing was committed.
                with suppress(sqlite3.Error):
                    self.db.execute("ROLLBACK")
            # The disk is full or gone. The operator must hear of the folder, not of SQL.
            if isinstance(error, sqlite3.Error):
                if code_of(error) == sqlite3.SQLITE_BUSY:
                    raise StateError(
                        f"state folder {self.folder}: a running daemon has been writing one transaction for over"
                        f" {BUSY_MS // 1000} s",
                        hint="try again when that is through; `magento-cdc status` shows the position",
                    ) from error
                raise state_fault(self.folder, error) from error
            raise

    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is open. A full disk may have ended it inside ``transaction``."""
        return self.db.in_transaction

    def held_columns(self, table: str) -> HeldColumns:
        """The columns of a mapped table in the file; empty if the table is not in it."""
        held = self.db.execute(f"PRAGMA table_info({schema.table_name(table)})").fetchall()
        keys = sorted((number, name) for _, name, _, _, _, number in held if number)
        return HeldColumns(tuple(column[1] for column in held), tuple(name for _, name in keys))

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of a transaction that is undone alone when it raises. Raises StateError if undoing it fails."""
        self.db.execute("SAVEPOINT call")
        try:
            yield
        except BaseException as error:
            self._tell_undone()
            # A full disk has undone the whole transaction, savepoints included: there is nothing left to undo.
            if self.db.in_transaction:
                try:
                    self.db.execute("ROLLBACK TO call")
                    self.db.execute("RELEASE call")
                except sqlite3.Error as later:
                    # What could not be undone must not be committed: this error ends the transaction.
                    first = error if isinstance(error, sqlite3.Error) else later
                    raise state_fault(self.folder, first) from error
            raise
        self.db.execute("RELEASE call")

    def start_over(self) -> None:
        """Remove all data, inside the caller's transaction: all tables are created again, as in a fresh folder."""
        names = self.db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        for (name,) in names.fetchall():
            self.db.execute(f"DROP TABLE {schema.quoted(name)}")
        schema.create(self.db, self.tables.values(), self._indexes)
        running_totals.set_up(self.db, self.tables.values())
        self._tell_undone()

    def when_undone(self, forget: Callable[[], None]) -> None:
        """Call ``forget`` whenever something written is undone: what memory holds of it is void."""
        self._when_undone.append(forget)

    def _tell_undone(self) -> None:
        for forget in self._when_undone:
            forget()

    def close(self) -> None:
        """Close the file and release the lock. May be called twice."""
        if hasattr(self, "db"):
            self.db.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
