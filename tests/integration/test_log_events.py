"""Events that servers write only under certain settings: all end in the same changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from cdc.binlog.gtid import GtidSet
from cdc.errors import UnsupportedEventError
from cdc.model import ABSENT, Change, Op, Start, StartKind, TableSpec, Transaction, XaStep
from cdc.source.files import FilesSource
from tests.kit.servers import ALL_SERVERS, MariaDB, Server

SERVERS = ALL_SERVERS
SOAK_SERVERS = ("mariadb_11",)

THINGS = TableSpec("things", ("id",), ("id", "note", "price"))
_TABLE = "CREATE TABLE things (id INT PRIMARY KEY, note TEXT, price DECIMAL(12,4), big TEXT, other INT DEFAULT 7)"


@contextmanager
def _globals(server: Server, **settings: object) -> Iterator[None]:
    """Global settings for a moment; the server is shared."""
    try:
        for name, value in settings.items():
            server.run(f"SET GLOBAL {name} = {value!r}")
        server.rotate()
        yield
    finally:
        for name in settings:
            server.run(f"SET GLOBAL {name} = DEFAULT")
        server.rotate()


def _run(server: Server, database: str, *statements: str, **settings: object) -> list[Transaction]:
    """Run statements in one session with these settings, autocommit on; the transactions that the log then holds."""
    with _globals(server, binlog_row_metadata="FULL", **settings):
        server.run(_TABLE, *statements, database=database)
        file = server.binlog_files()[-1]
    found = FilesSource([str(file)], [THINGS], database=database).transactions(Start(StartKind.EARLIEST))
    return [one for one in found if one.changes or one.schemas or one.xa]


def _changes(transactions: Sequence[Transaction]) -> list[Change]:
    return [change for transaction in transactions for change in transaction.changes]


_WORK = (
    "INSERT INTO things VALUES (1, REPEAT('a', 3000), 1.5, REPEAT('b', 3000), 1), (2, 'é', NULL, NULL, 2)",
    "UPDATE things SET note = 'changed' WHERE id = 1",
    "UPDATE things SET other = 9",
    "DELETE FROM things WHERE id = 2",
)
_LONG = "a" * 3000
_WANTED = [
    Change("things", Op.INSERT, None, (1, _LONG, "1.5000")),
    Change("things", Op.INSERT, None, (2, "é", None)),
    Change("things", Op.UPDATE, (1, _LONG, "1.5000"), (1, "changed", "1.5000")),
    Change("things", Op.DELETE, (2, "é", None), None),
]


def _wanted(server: Server) -> list[Change]:
    """On MySQL since 9.6 a DELETE says that the server logs what hangs on its rows itself."""
    return [change._replace(cascades=change.op is not Op.DELETE or isinstance(server, MariaDB)) for change in _WANTED]


def test_plain_rows(server: Server, database: str) -> None:
    """Four statements give four changes: the update of a column that is not mapped gives none."""
    assert _changes(_run(server, database, *_WORK)) == _wanted(server)


def test_checksums_off(server: Server, database: str) -> None:
    """binlog_checksum = NONE changes nothing."""
    assert _changes(_run(server, database, *_WORK, binlog_checksum="NONE")) == _wanted(server)


def test_compressed_transactions(mysql: Server) -> None:
    """MySQL's TRANSACTION_PAYLOAD holds the same changes, at the payload's position."""
    with mysql.database() as database:
        found = _run(mysql, database, *_WORK, binlog_transaction_compression="ON")

    assert _changes(found) == _wanted(mysql)
    assert len({t.end for t in found}) == len(found)


def test_compressed_rows_and_statements(mariadb: Server) -> None:
    """MariaDB's log_bin_compress: rows and statements of 10 bytes and more are compressed."""
    note = "x" * 300
    with mariadb.database() as database:
        found = _run(
            mariadb, database, *_WORK, f"ALTER TABLE things COMMENT '{note}'",
            log_bin_compress=1, log_bin_compress_min_len=10,
        )  # fmt: skip

    assert _changes(found) == _WANTED
    assert [[schema.name for schema in t.schemas] for t in found if t.schemas] == [["things"]] * 2


def test_no_foreign_key_checks_are_told(server: Server, database: str) -> None:
    """Rows changed with foreign_key_checks = 0 cascade nothing."""
    found = _changes(_run(server, database, _WORK[0], "SET foreign_key_checks = 0", "DELETE FROM things"))

    assert [change.cascades for change in found] == [True, True, False, False]


def test_savepoints_and_truncate(server: Server, database: str) -> None:
    """What was rolled back to a savepoint is not there; TRUNCATE is a change of its own."""
    found = _changes(_run(
        server, database, "BEGIN", "INSERT INTO things (id) VALUES (1)", "SAVEPOINT a",
        "INSERT INTO things (id) VALUES (2)", "ROLLBACK TO a", "COMMIT", "TRUNCATE TABLE things",
    ))  # fmt: skip

    assert [(change.op, change.after and change.after[0]) for change in found] == [(Op.INSERT, 1), (Op.TRUNCATE, None)]


def test_definitions_are_followed_in_the_log(server: Server, database: str) -> None:
    """Rows before and after an ALTER are each read in the shape of their time."""
    found = _changes(_run(
        server, database, _WORK[0], "ALTER TABLE things ADD COLUMN zero INT FIRST, DROP COLUMN note",
        "UPDATE things SET price = 3 WHERE id = 1",
    ))  # fmt: skip

    assert found[0].after == (1, _LONG, "1.5000")
    assert (found[2].before, found[2].after) == ((1, ABSENT, "1.5000"), (1, ABSENT, "3.0000"))


def test_tables_made_from_a_select(server: Server, database: str) -> None:
    """CREATE TABLE ... SELECT: the definition and its rows are one transaction."""
    found = _run(
        server, database, _WORK[0], "RENAME TABLE things TO old_things",
        "CREATE TABLE things (id INT PRIMARY KEY) SELECT id, note, price FROM old_things",
    )  # fmt: skip

    assert [stale_table.table for stale_table in found[-1].stale] == ["things"]
    assert [change.after for change in found[-1].changes] == [(1, _LONG, "1.5000"), (2, "é", None)]


def test_statements_instead_of_rows_stop(server: Server, database: str) -> None:
    """binlog_format = STATEMENT in a session: a change of a mapped table stops with advice."""
    with pytest.raises(UnsupportedEventError, match="chose that for itself"):
        _run(server, database, "SET SESSION binlog_format = 'STATEMENT'", "INSERT INTO things (id) VALUES (1)")


def test_xa_in_one_phase_is_a_transaction_like_any_other(server: Server, database: str) -> None:
    """XA COMMIT ... ONE PHASE: the changes happen there."""
    one_phase = ("XA START 'a'", "INSERT INTO things (id) VALUES (1)", "XA END 'a'", "XA COMMIT 'a' ONE PHASE")
    found = _run(server, database, *one_phase)

    assert len(_changes(found)) == 1
    assert [one.xa for one in found if one.changes] == [None]


@pytest.mark.parametrize("xid", ["'plain'", "'a ''quoted'' one','branch \xe9',77", "X'00ff'"])
def test_xa_in_two_phases_is_told_step_by_step(server: Server, database: str, xid: str) -> None:
    """PREPARE brings the changes, COMMIT or ROLLBACK the same id, whatever it is made of, and no changes."""

    def work(row: int, end: str) -> tuple[str, ...]:
        insert = f"INSERT INTO things (id) VALUES ({row})"
        return (f"XA START {xid}", insert, f"XA END {xid}", f"XA PREPARE {xid}", f"XA {end} {xid}")

    found = _run(server, database, *work(1, "COMMIT"), *work(2, "ROLLBACK"))
    steps = [(one.xa.step, [c.after and c.after[0] for c in one.changes]) for one in found if one.xa]

    assert steps == [(XaStep.PREPARE, [1]), (XaStep.COMMIT, []), (XaStep.PREPARE, [2]), (XaStep.ROLLBACK, [])]
    assert len({one.xa.xid for one in found if one.xa}) == 1


def test_an_xa_transaction_that_touches_nothing_mapped_is_told_too(server: Server, database: str) -> None:
    """Else its COMMIT could not be told from one whose PREPARE was never read."""
    server.run("CREATE TABLE noise (id INT PRIMARY KEY)", database=database)
    work = ("XA START 'n'", "INSERT INTO noise VALUES (1)", "XA END 'n'", "XA PREPARE 'n'", "XA COMMIT 'n'")
    found = [one for one in _run(server, database, *work) if one.xa]

    assert [(one.xa.step, len(one.changes)) for one in found if one.xa] == [(XaStep.PREPARE, 0), (XaStep.COMMIT, 0)]


def test_tagged_gtids(mysql: Server) -> None:
    """A GTID with a tag is part of the executed set, in the server's own notation."""
    with mysql.database() as database:
        found = _run(mysql, database, "SET gtid_next = 'AUTOMATIC:ledger'", "INSERT INTO things (id) VALUES (1)",
                     "SET gtid_next = 'AUTOMATIC'", "INSERT INTO things (id) VALUES (2)")  # fmt: skip
        executed = GtidSet.parse(str(mysql.run("SELECT @@GLOBAL.gtid_executed")[0][0]))

    assert ":ledger:1" in found[-1].end.gtid
    assert executed.contains(GtidSet.parse(found[-1].end.gtid))
    assert found[-1].commit_ms > 1_600_000_000_000


def test_the_executed_set_is_the_servers(server: Server, database: str) -> None:
    """Read from a file's head on, the last position's GTID text is what the server says it has executed."""
    with _globals(server, binlog_row_metadata="FULL"):
        server.run(_TABLE, *_WORK, database=database)
        question = "@@GLOBAL.gtid_executed" if server.flavor == "mysql" else "@@GLOBAL.gtid_binlog_pos"
        executed = "".join(str(server.run(f"SELECT {question}")[0][0]).split())
        file = str(server.binlog_files()[-1])
    last = list(FilesSource([file], [THINGS], database=database).transactions(Start(StartKind.EARLIEST)))[-1]

    assert last.end.gtid == executed
