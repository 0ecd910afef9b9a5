"""XA transactions between their PREPARE and their COMMIT or ROLLBACK, which may be days and restarts later.

Their changes wait in the state, by id and by the LSN of the PREPARE: ids are used again, and in a replay an old
COMMIT must not take a newer PREPARE's changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from cdc.change_codec import pack_changes, unpack_changes
from cdc.errors import SourceStoppedError
from cdc.log_events import get_logger
from cdc.model import Change, StaleTable, TableSpec, Transaction, XaStep
from cdc.state.store import Store

log = get_logger(__name__)

PART_CHANGES = 5000  # a change of wide text takes kilobytes, and SQLite's values end at 1 GB


class Due(NamedTuple):
    """What to apply. Use all of ``changes`` before you ask for the next transaction's."""

    changes: Iterable[Change]
    stale: Sequence[StaleTable]


def due(store: Store, transaction: Transaction, lsn: int, *, is_replay: bool) -> Due:
    """What to apply with this transaction: its own changes, those of its PREPARE, or none; and the tables to read
    again.

    The tables are all tables for a COMMIT whose changes are not known, if repair is allowed; else SourceStoppedError is
    raised.
    """
    xa = transaction.xa
    if xa is not None and xa.step is XaStep.PREPARE and transaction.stale:
        # It changes rows by statement: what is read before its COMMIT lacks them, so that is to find nothing known.
        # In a replay a newer PREPARE of the same id may be waiting, and must stay.
        if not is_replay:
            _forget(store, xa.xid, lsn)
        store.db.execute("DELETE FROM prepared_change WHERE xid = ? AND lsn = ?", (xa.xid, lsn))
        return Due((), ())
    try:
        return Due(_changes(store, transaction, lsn, is_replay=is_replay), transaction.stale)
    except UnknownChangesError as error:
        # Without GTIDs a read cannot prove that it contains the transaction.
        if xa is None or not xa.may_repair:
            raise
        log.warning("xa_not_known", position=str(transaction.end), action="all tables are read again")
        _forget(store, xa.xid, lsn)
        return Due((), [StaleTable(name, error.message, by_statement=True) for name in store.tables])


class UnknownChangesError(SourceStoppedError):
    """An XA transaction commits, and its changes are not known."""


def _changes(store: Store, transaction: Transaction, lsn: int, *, is_replay: bool) -> Iterable[Change]:
    xa = transaction.xa
    if xa is None:
        return transaction.changes
    if xa.step is XaStep.PREPARE:
        if not is_replay:  # an older one of this id must have ended, wherever that was
            _forget(store, xa.xid, lsn)
        _keep(store, xa.xid, lsn, transaction.changes)
        return ()
    # XA ROLLBACK: the server has undone everything, and nothing was applied here.
    if xa.step is XaStep.ROLLBACK:
        _forget(store, xa.xid, lsn)
        return ()
    (prepared,) = store.db.execute(
        "SELECT max(lsn) FROM prepared_change WHERE xid = ? AND lsn < ?", (xa.xid, lsn)
    ).fetchone()
    if prepared is not None:
        # Cells are stored by column order, so under another mapping they would land in wrong columns.
        if not _fits(store, xa.xid, prepared):
            raise _unknown("it was prepared under another mapping of columns", transaction)
        return _parts(store, xa.xid, prepared, lsn)
    # A replay may begin between PREPARE and COMMIT.
    if is_replay:  # its PREPARE lies before the replay's start; its changes were applied the first time
        log.info("xa_replayed_without_prepare", position=str(transaction.end))
        return ()
    raise _unknown("it was prepared before the position where reading began, or by statements", transaction)


def is_any(store: Store) -> bool:
    """Whether changes of any prepared transaction wait."""
    return store.db.execute("SELECT 1 FROM prepared_change LIMIT 1").fetchone() is not None


def _keep(store: Store, xid: str, lsn: int, changes: Iterable[Change]) -> None:
    """Keep the changes, even if there are none: a COMMIT without any kept entry is one whose PREPARE was never read."""
    store.db.execute("DELETE FROM prepared_change WHERE xid = ? AND lsn = ?", (xid, lsn))
    rest = iter(changes)
    part = 0
    # Also a part without changes is stored: see the docstring.
    while (some := list(islice(rest, PART_CHANGES))) or not part:
        columns = json.dumps({name: _columns(store.tables, name) for name in sorted({c.table for c in some})})
        row = (xid, lsn, part, columns, pack_changes(some))
        store.db.execute("INSERT INTO prepared_change (xid, lsn, part, columns, changes) VALUES (?, ?, ?, ?, ?)", row)
        part += 1


def _unknown(why: str, transaction: Transaction) -> UnknownChangesError:
    return UnknownChangesError(
        f"an XA transaction was committed, and its changes are not known ({why})",
        position=f"the transaction that ends at {transaction.end}",
        hint="remove the state folder to import afresh, or go on behind it, with its changes missing, by `magento-cdc"
        f' position set {transaction.end}`; with GTIDs, source.on_statement = "repair" reads tables again',
    )


def _fits(store: Store, xid: str, prepared: int) -> bool:
    """Whether the kept changes are of the columns that are mapped now."""
    asked = store.db.execute("SELECT columns FROM prepared_change WHERE xid = ? AND lsn = ?", (xid, prepared))
    return all(
        names == _columns(store.tables, table) for (columns,) in asked for table, names in json.loads(columns).items()
    )


def _parts(store: Store, xid: str, prepared: int, lsn: int) -> Iterator[Change]:
    """The kept changes. They are removed from the state at the end."""
    part = 0
    while True:
        held = store.db.execute(
            "SELECT changes FROM prepared_change WHERE xid = ? AND lsn = ? AND part = ?", (xid, prepared, part)
        ).fetchone()
        # Parts are numbered without gaps, so the first missing one is the end.
        if held is None:
            break
        yield from unpack_changes(held[0])
        part += 1
    _forget(store, xid, lsn)


def _forget(store: Store, xid: str, lsn: int) -> None:
    store.db.execute("DELETE FROM prepared_change WHERE xid = ? AND lsn < ?", (xid, lsn))


def _columns(tables: Mapping[str, TableSpec], name: str) -> list[str]:
    return list(tables[name].columns) if name in tables else []
