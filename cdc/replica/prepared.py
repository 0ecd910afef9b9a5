"""XA transactions between their PREPARE and their COMMIT or ROLLBACK, which may be days and restarts later.

Their changes wait in the state, by id and by the stamp of the PREPARE: ids are used again, and in a replay an old
COMMIT must not take a newer PREPARE's changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import structlog

from cdc.change_codec import pack_changes, unpack_changes
from cdc.errors import SourceStoppedError
from cdc.model import Change, Doubt, TableSpec, Transaction, XaStep
from cdc.replica.store import Store

log = structlog.get_logger(__name__)

PART_CHANGES = 5000  # a change of wide text takes kilobytes, and SQLite's values end at 1 GB


class Due(NamedTuple):
    """``changes`` are to be used up before the next transaction's are asked for."""

    changes: Iterable[Change]
    doubtful: Sequence[Doubt]


def due(store: Store, transaction: Transaction, stamp: int, *, is_replay: bool) -> Due:
    """What happens with this transaction: its own changes, those of its PREPARE, or none; and the tables to read again.

    Those are all for a COMMIT whose changes are not known, if it may be repaired; else raises SourceStoppedError.
    """
    xa = transaction.xa
    if xa is not None and xa.step is XaStep.PREPARE and transaction.doubtful:
        # It changes rows by statement: what is read before its COMMIT lacks them, so that is to find nothing known.
        if not is_replay:
            _forget(store, xa.xid, stamp)
        store.db.execute("DELETE FROM prepared WHERE xid = ? AND stamp = ?", (xa.xid, stamp))
        return Due((), ())
    try:
        return Due(_changes(store, transaction, stamp, is_replay=is_replay), transaction.doubtful)
    except UnknownChangesError as error:
        if xa is None or not xa.may_repair:
            raise
        log.warning("xa_not_known", position=str(transaction.end), action="all tables are read again")
        _forget(store, xa.xid, stamp)
        return Due((), [Doubt(name, error.message, by_statement=True) for name in store.tables])


class UnknownChangesError(SourceStoppedError):
    """An XA transaction commits, and what it changed is not known."""


def _changes(store: Store, transaction: Transaction, stamp: int, *, is_replay: bool) -> Iterable[Change]:
    xa = transaction.xa
    if xa is None:
        return transaction.changes
    if xa.step is XaStep.PREPARE:
        if not is_replay:  # an older one of this id must have ended, wherever that was
            _forget(store, xa.xid, stamp)
        _keep(store, xa.xid, stamp, transaction.changes)
        return ()
    if xa.step is XaStep.ROLLBACK:
        _forget(store, xa.xid, stamp)
        return ()
    (prepared,) = store.db.execute(
        "SELECT max(stamp) FROM prepared WHERE xid = ? AND stamp < ?", (xa.xid, stamp)
    ).fetchone()
    if prepared is not None:
        if not _fits(store, xa.xid, prepared):
            raise _unknown("it was prepared under another mapping of columns", transaction)
        return _parts(store, xa.xid, prepared, stamp)
    if is_replay:  # its PREPARE lies before the place that is replayed from; applied it was the first time
        log.info("xa_replayed_without_prepare", position=str(transaction.end))
        return ()
    raise _unknown("it was prepared before the place where reading began, or by statements", transaction)


def _keep(store: Store, xid: str, stamp: int, changes: Iterable[Change]) -> None:
    """Also without changes: a COMMIT that finds nothing at all is one whose PREPARE was never read."""
    store.db.execute("DELETE FROM prepared WHERE xid = ? AND stamp = ?", (xid, stamp))
    rest = iter(changes)
    part = 0
    while (some := list(islice(rest, PART_CHANGES))) or not part:
        columns = json.dumps({name: _columns(store.tables, name) for name in sorted({c.table for c in some})})
        row = (xid, stamp, part, columns, pack_changes(some))
        store.db.execute("INSERT INTO prepared (xid, stamp, part, columns, changes) VALUES (?, ?, ?, ?, ?)", row)
        part += 1


def _unknown(why: str, transaction: Transaction) -> UnknownChangesError:
    return UnknownChangesError(
        f"an XA transaction commits, and what it changed is not known ({why})",
        place=f"the transaction that ends at {transaction.end}",
        hint="remove the state folder to import afresh, or go on behind it, with its changes missing, by `magento-cdc"
        f' position set {transaction.end}`; with GTIDs, source.on_statement = "repair" reads tables again',
    )


def _fits(store: Store, xid: str, prepared: int) -> bool:
    """Whether the changes held are those of the columns mapped now."""
    asked = store.db.execute("SELECT columns FROM prepared WHERE xid = ? AND stamp = ?", (xid, prepared))
    return all(
        names == _columns(store.tables, table)
        for (columns,) in asked.fetchall()
        for table, names in json.loads(columns).items()
    )


def _parts(store: Store, xid: str, prepared: int, stamp: int) -> Iterator[Change]:
    """The changes held; at the end they are out of the state."""
    part = 0
    while True:
        held = store.db.execute(
            "SELECT changes FROM prepared WHERE xid = ? AND stamp = ? AND part = ?", (xid, prepared, part)
        ).fetchone()
        if held is None:
            break
        yield from unpack_changes(held[0])
        part += 1
    _forget(store, xid, stamp)


def _forget(store: Store, xid: str, stamp: int) -> None:
    store.db.execute("DELETE FROM prepared WHERE xid = ? AND stamp < ?", (xid, stamp))


def _columns(tables: Mapping[str, TableSpec], name: str) -> list[str]:
    return list(tables[name].columns) if name in tables else []
