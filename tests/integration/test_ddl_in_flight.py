"""Rows on both sides of definitions: each is read with the columns that held when it was written, however late."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdc.model import ABSENT, Cells, Op, TableSpec
from cdc.settings.source import SourceSettings
from tests.integration.test_live_source import end_of_log, make_shop, settings_for
from tests.integration.test_log_events import _globals
from tests.kit.follow import Follower
from tests.kit.servers import ALL_SERVERS, Server

SERVERS = ALL_SERVERS
SOAK_SERVERS = ("mariadb_11",)

T = TableSpec("t", ("id",), ("id", "a", "b"), optional=frozenset({"a", "b"}))
CREATE = "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, a VARCHAR(20), b VARCHAR(20)) DEFAULT CHARSET=utf8mb4"

STEPS: tuple[tuple[str, Cells | None], ...] = (
    ("INSERT INTO t VALUES (1, 'a1', 'b1')", (1, "a1", "b1")),
    ("ALTER TABLE t ADD x VARCHAR(20) FIRST", None),
    ("INSERT INTO t VALUES ('x', 2, 'a2', 'b2')", (2, "a2", "b2")),
    ("ALTER TABLE t ADD y VARCHAR(20) AFTER a, ADD z VARCHAR(20)", None),
    ("INSERT INTO t VALUES ('x', 3, 'a3', 'y', 'b3', 'z')", (3, "a3", "b3")),
    ("ALTER TABLE t CHANGE a b VARCHAR(20), CHANGE b a VARCHAR(20)", None),
    ("INSERT INTO t VALUES ('x', 4, 'b4', 'y', 'a4', 'z')", (4, "a4", "b4")),
    ("ALTER TABLE t DROP y, DROP x", None),
    ("INSERT INTO t VALUES (5, 'b5', 'a5', 'z')", (5, "a5", "b5")),
    ("ALTER TABLE t MODIFY a VARCHAR(30) CHARACTER SET latin1", None),
    ("INSERT INTO t VALUES (6, 'b6', 'é6', 'z')", (6, "é6", "b6")),
    ("CREATE TABLE _t_gho LIKE t", None),
    ("ALTER TABLE _t_gho ADD w INT AFTER id, DROP z", None),
    ("RENAME TABLE t TO _t_del, _t_gho TO t", None),
    ("INSERT INTO t VALUES (7, 70, 'b7', 'é7')", (7, "é7", "b7")),
    ("ALTER TABLE t ENGINE = InnoDB", None),
    ("CREATE TABLE _t_new (id INT NOT NULL PRIMARY KEY, b VARCHAR(9), a VARCHAR(9)) DEFAULT CHARSET=utf8mb4", None),
    ("RENAME TABLE t TO _t_old, _t_new TO t", None),
    ("DROP TABLE _t_old, _t_del", None),
    ("INSERT INTO t VALUES (8, 'b8', 'a8')", (8, "a8", "b8")),
    ("DROP TABLE t", None),
    ("CREATE TABLE t (a VARCHAR(5) CHARACTER SET latin1, id INT PRIMARY KEY) DEFAULT CHARSET=utf8mb4", None),
    ("INSERT INTO t VALUES ('a9é', 9)", (9, "a9é", ABSENT)),
)  # fmt: skip
ROWS = [cells for _, cells in STEPS if cells is not None]
STALE = ["CHANGE a b", "MODIFY a", "_t_gho TO t", "_t_new TO t", "CREATE TABLE t "]
"""The definitions that may change stored values of what is mapped; all others do not touch it."""


@pytest.fixture(params=["FULL", "MINIMAL", "NO_LOG"])
def shop(request: pytest.FixtureRequest, server: Server, database: str) -> Iterator[SourceSettings]:
    """A shop with the table, on a server that writes so much of its columns into the log."""
    if request.param == "NO_LOG" and server.flavor == "mysql":
        pytest.skip("MySQL always writes signs and charsets")
    make_shop(server, database)
    server.run(CREATE, database=database)
    with _globals(server, binlog_row_metadata=request.param):
        yield settings_for(server, database)


def inserted(log: Follower) -> list[Cells | None]:
    return [c.after for t in log.transactions for c in t.changes if c.op is Op.INSERT]


def steps(server: Server, settings: SourceSettings, log: Follower | None = None) -> None:
    """All of it; with ``log``, each only when that has read the rows before."""
    seen = 0
    for statement, cells in STEPS:
        server.run("SET NAMES utf8mb4", statement, database=settings.database)
        seen += cells is not None
        if log is not None:
            wanted = seen
            log.wait(lambda: len(inserted(log)) >= wanted)  # noqa: B023  # runs now


def test_rows_read_as_they_come(server: Server, shop: SourceSettings) -> None:
    """A reader that keeps up reads every row right, and the stale tables are reported."""
    start = end_of_log(shop)
    log = Follower(shop, [T], start)
    log.source.know(())
    with log:
        steps(server, shop, log)
    assert inserted(log) == ROWS
    assert sum(len(t.stale) for t in log.transactions) == len(STALE)


def test_rows_read_behind_all_definitions_and_again(server: Server, shop: SourceSettings) -> None:
    """A reader that comes late has the columns it knew when it stopped, and one that replays those of that position."""
    start = end_of_log(shop)
    late = Follower(shop, [T], start)
    known = late.source.know(())
    steps(server, shop)
    with late:
        late.wait(lambda: len(inserted(late)) >= len(ROWS))
    assert inserted(late) == ROWS
    middle = next(at for at, t in enumerate(late.transactions) if t.changes and t.changes[0].after == ROWS[3])
    held = {one.name: one for one in known}
    for transaction in late.transactions[: middle + 1]:
        held.update({one.name: one for one in transaction.schemas})
    again = Follower(shop, [T], late.transactions[middle].end)
    again.source.know(held.values())
    with again:
        again.wait(lambda: len(inserted(again)) >= len(ROWS) - 4)
    assert inserted(again) == ROWS[4:]
