"""Whole tables from a replica (``history.read_from``): positions that are safe in the primary's log, and refusals.

MariaDB and MySQL, each with a primary and a replica of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from cdc.errors import SetupError
from cdc.model import Position, TableSpec
from cdc.settings.history import HistorySettings
from cdc.settings.source import SourceSettings
from cdc.snapshot.replica_reader import ReplicaReader, ReplicaWaitError, replica_reader
from cdc.source.server import ServerIdentity, connect, read_identity
from tests.integration.test_live_source import GRANTS, NO_GTID, PASSWORD, USER, end_of_log, settings_for
from tests.kit.daemon import wait_until
from tests.kit.replicas import follow, pair, stand_still, wait_until_level
from tests.kit.servers import MariaDB, MySQL, Server

COUNTED = TableSpec("counted", key=("id",), columns=("id", "n"))
MONITOR = {"mariadb": "SLAVE MONITOR ON *.*", "mysql": "REPLICATION CLIENT ON *.*"}
MAKES = pytest.mark.parametrize("make", [MariaDB, MySQL], ids=["mariadb", "mysql"])


class Pair(NamedTuple):
    """The servers, and how the shop's database is read."""

    primary: Server
    replica: Server
    source: SourceSettings

    @property
    def identity(self) -> ServerIdentity:
        """The primary's identity."""
        with contextlib.closing(connect(self.source)) as connection:
            return read_identity(connection)

    def reader(self, place: Server | None = None) -> ReplicaReader:
        """A reader of the replica, or of another server in its place."""
        where = place or self.replica
        history = HistorySettings.model_validate({"read_from": {"host": where.host, "port": where.port}})
        made = replica_reader(self.source, history, [COUNTED], self.identity)
        assert made is not None
        return made

    def count_to(self, n: int) -> str:
        """Write ``n`` on the primary, then begin a new log file. Returns that file's name."""
        self.primary.run(f"UPDATE counted SET n = {n}", "FLUSH BINARY LOGS", database=self.source.database)
        return self.primary.log_position()[0]


@contextlib.contextmanager
def shop(make: type[Server], options: dict[str, str | int | bool] | None = None) -> Iterator[Pair]:
    """A pair with one row in the table that tests read."""
    with pair(make, options) as (primary, replica):
        database = primary.create_database()
        primary.create_user(USER, PASSWORD, [*GRANTS, MONITOR[primary.flavor], f"SELECT ON `{database}`.*"])
        primary.run(
            "CREATE TABLE counted (id INT PRIMARY KEY, n INT NOT NULL)", "INSERT INTO counted VALUES (1, 0)",
            database=database,
        )  # fmt: skip
        yield Pair(primary, replica, settings_for(primary, database))


@pytest.fixture(scope="module", params=[MariaDB, MySQL], ids=["mariadb", "mysql"])
def servers(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """One pair for the tests that leave it as it was."""
    with shop(request.param) as made:
        yield made


@pytest.fixture
def level(servers: Pair) -> Pair:
    """The pair with a replica that follows, and has everything."""
    wait_until_level(servers.primary, servers.replica)
    return servers


def read(reader: ReplicaReader) -> tuple[object, Position]:
    """The number in the replica's row, and the safe position of the read."""
    chunk = reader.chunk("counted", None, 10)
    ((_, n),) = chunk.rows
    return n, chunk.safe


def test_rows_contain_all_changes_before_their_safe_position(level: Pair) -> None:
    """While the replica stands still, the safe position stays before the first change that it lacks; once it follows,
    the position moves on.
    """
    with contextlib.closing(level.reader()) as reader:
        begins_with = {level.count_to(n): n for n in range(1, 6)}
        wait_until_level(level.primary, level.replica)
        n, safe = read(reader)
        assert (n, begins_with[safe.file], safe.offset, safe.server) == (5, 5, 4, level.identity.server)

        stand_still(level.replica)
        begins_with |= {level.count_to(n): n for n in range(6, 9)}
        n, safe = read(reader)
        assert (n, begins_with[safe.file]) == (5, 5)

        follow(level.replica)
        wait_until_level(level.primary, level.replica)
        n, safe = read(reader)
        assert (n, begins_with[safe.file]) == (8, 8)


def test_a_replica_behind_the_beginning_of_the_log_is_waited_for(level: Pair) -> None:
    """Another replica may stand behind the name: what reading of the log began with must be in it."""
    with contextlib.closing(level.reader()) as reader:
        stand_still(level.replica)
        level.primary.run("UPDATE counted SET n = n + 100", database=level.source.database)
        reader.floor = end_of_log(level.source).gtid

        with pytest.raises(ReplicaWaitError, match="when reading began"):
            read(reader)

        follow(level.replica)
        wait_until_level(level.primary, level.replica)
        assert read(reader)


def test_a_server_that_replicates_nothing_is_refused(level: Pair) -> None:
    """The primary itself is no replica: its rows have other positions than this reader would find."""
    with (
        contextlib.closing(level.reader(level.primary)) as reader,
        pytest.raises(SetupError, match=r"history\.read_from: .*is no replica"),
    ):
        reader.safe_point()


def test_a_replica_that_is_away_is_waited_for(level: Pair) -> None:
    """The load is told, and the replica is asked again later."""
    with contextlib.closing(level.reader()) as reader:
        assert read(reader)
        level.replica.stop()
        with pytest.raises(ReplicaWaitError, match="no connection"):
            read(reader)
        level.replica.start()
        follow(level.replica)
        wait_until_level(level.primary, level.replica)
        assert read(reader)


def test_a_log_that_lost_what_the_replica_lacks_is_told(level: Pair) -> None:
    """Without a file that begins within the replica's transactions there is no safe position."""
    with contextlib.closing(level.reader()) as reader:
        stand_still(level.replica)
        file = [level.count_to(n) for n in range(20, 23)][-1]

        def is_purged() -> bool:
            level.primary.run(f"PURGE BINARY LOGS TO '{file}'")
            return level.primary.binlog_files()[0].name == file

        wait_until(is_purged, 30, "the primary no longer serves the replica that stands still")
        with pytest.raises(ReplicaWaitError, match="too far behind"):
            read(reader)


@MAKES
def test_a_replica_that_was_written_to_is_refused(make: type[Server]) -> None:
    """A row that only the replica has is not in the shop, and nobody could tell it apart."""
    with shop(make) as made, contextlib.closing(made.reader()) as reader:
        wait_until_level(made.primary, made.replica)
        made.replica.run("INSERT INTO counted VALUES (2, 2)", database=made.source.database)

        with pytest.raises(SetupError, match=r"transactions that are not in the log|was written to itself"):
            reader.safe_point()


@MAKES
def test_a_replica_of_a_part_is_refused(make: type[Server]) -> None:
    """A filter hides rows, and the replica would not say so."""
    with (
        shop(make, {"replicate_wild_ignore_table": "nowhere.hidden%"}) as made,
        contextlib.closing(made.reader()) as reader,
    ):
        wait_until_level(made.primary, made.replica)
        with pytest.raises(SetupError, match="replicates only a part"):
            reader.safe_point()


def test_servers_without_gtids_are_refused() -> None:
    """MySQL without GTIDs: no position of a replica's row can be found in the primary's log."""
    with MySQL(NO_GTID) as alone:
        database = alone.create_database()
        alone.create_user(USER, PASSWORD, [*GRANTS, f"SELECT ON `{database}`.*"])
        made = Pair(alone, alone, settings_for(alone, database))
        with (
            contextlib.closing(made.reader()) as reader,
            pytest.raises(SetupError, match=r"writes no GTIDs.*gtid_mode = ON"),
        ):
            reader.safe_point()
