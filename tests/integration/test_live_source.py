"""Reading a real server's log, and going on after every way a connection can end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from cdc.model import Position, Start, StartKind, TableSpec, parse_start
from cdc.settings.source import SourceSettings
from cdc.source.binlog import BinlogSource
from cdc.source.server import connect, current_position
from tests.kit.follow import Follower
from tests.kit.servers import MariaDB, MySQL, Server

NOTE = TableSpec("note", key=("id",), columns=("id",))
USER, PASSWORD = "reader", "a password"
GRANTS = ("REPLICATION SLAVE ON *.*", "REPLICATION CLIENT ON *.*")
NO_GTID = {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}


def settings_for(server: Server, database: str, **more: object) -> SourceSettings:
    values = {"host": server.host, "port": server.port, "user": USER, "password": PASSWORD, "database": database}
    values |= {"server_id": 90_000 + server.port % 1000}
    return SourceSettings(**(values | more))


def make_shop(server: Server, database: str) -> None:
    server.create_user(USER, PASSWORD, [*GRANTS, f"SELECT ON `{database}`.*"])
    server.run("CREATE TABLE note (id INT NOT NULL PRIMARY KEY)", database=database)


def write(server: Server, database: str, *ids: int) -> None:
    server.run(*(f"INSERT INTO note VALUES ({number})" for number in ids), database=database)


def end_of_log(settings: SourceSettings) -> Position:
    connection = connect(settings)
    try:
        return current_position(connection)
    finally:
        connection.close()


def end_dumps(server: Server) -> int:
    """Kill the server's side of every dump; how many there were."""
    dumps = [row[0] for row in server.run("SHOW PROCESSLIST") if "Binlog Dump" in str(row[4])]
    for number in dumps:
        server.run(f"KILL {number}")
    return len(dumps)


@pytest.fixture
def shop(server: Server, database: str) -> SourceSettings:
    make_shop(server, database)
    return settings_for(server, database)


@pytest.fixture(params=["mariadb", "mysql", "mysql without gtid"])
def own(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that the test may break."""
    request.getfixturevalue(request.param.split()[0])  # skips where there is none
    kind = MariaDB if request.param == "mariadb" else MySQL
    with kind(NO_GTID if "without" in request.param else {}) as server:
        yield server


def test_rows_arrive_in_commit_order_with_their_position(server: Server, shop: SourceSettings) -> None:
    """Every committed row comes once, in order, and each transaction's end is the position behind it."""
    start = end_of_log(shop)
    with Follower(shop, [NOTE], start) as log:
        write(server, shop.database, 1, 2, 3)
        log.wait_for_ids([1, 2, 3])
        assert str(log.last) == "{}:{}".format(*server.log_position())
        ends = [read.end.offset for read in log.transactions]
        assert ends == sorted(ends)
        assert log.last.server == log.source.identity().server
        assert log.source.counters


def test_a_start_at_a_position_brings_what_lies_behind_it(server: Server, shop: SourceSettings) -> None:
    """A position read from one run resumes another at the next transaction, by file and offset alone too."""
    start = end_of_log(shop)
    write(server, shop.database, 1, 2)
    with Follower(shop, [NOTE], start) as log:
        log.wait_for_ids([1, 2])
        first = next(read.end for read in log.transactions if read.changes)
    for position in (first, Position(first.file, first.offset, "", first.server)):
        with Follower(shop, [NOTE], position) as log:
            log.wait_for_ids([2])


def test_gtid_start_brings_what_is_not_in_the_set(server: Server, shop: SourceSettings) -> None:
    """``gtid:<set>`` begins behind the set, wherever that is in the files."""
    write(server, shop.database, 1)
    gtid = end_of_log(shop).gtid
    server.rotate()
    write(server, shop.database, 2)
    server.rotate()
    write(server, shop.database, 3)
    source = BinlogSource(shop, [NOTE], stop=Follower(shop, [NOTE], Position("", 0)).stop)
    position = source.resolve(parse_start(f"gtid:{gtid}"))
    assert position.gtid == gtid
    with Follower(shop, [NOTE], position) as log:
        log.wait_for_ids([2, 3])


def test_the_set_grows_to_the_servers_own(server: Server, shop: SourceSettings) -> None:
    """After reading to the end, the position's GTID set equals what the server has executed."""
    source = Follower(shop, [NOTE], Position("", 0)).source
    with Follower(shop, [NOTE], source.resolve(Start(StartKind.EARLIEST))) as log:
        write(server, shop.database, 7)
        log.wait(lambda: 7 in log.ids)
        assert log.last.gtid == end_of_log(shop).gtid


def test_a_killed_dump_goes_on_without_loss_or_repeat(own: Server) -> None:
    """KILL of the dump thread costs no transaction and brings none twice; the error is told."""
    with own.database() as database:
        make_shop(own, database)
        settings = settings_for(own, database)
        with Follower(settings, [NOTE], end_of_log(settings)) as log:
            for turn in range(2):
                log.wait_for_state("connected", turn + 1)
                write(own, database, 2 * turn)
                log.wait_for_ids(range(2 * turn + 1))
                assert end_dumps(own) == 1
                write(own, database, 2 * turn + 1)
                log.wait_for_ids(range(2 * turn + 2))
            assert log.wait_for_state("disconnected", 2)["reason"]


def test_a_server_that_died_is_read_on(own: Server) -> None:
    """A server that died goes on from the last transaction when it is back."""
    comes_back(own, own.kill)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [MariaDB, MySQL])
def test_a_server_that_was_restarted_is_read_on(request: pytest.FixtureRequest, kind: type[Server]) -> None:
    """The log's stop event and its new file change nothing. (MySQL waits eight seconds for its dumps to end.)"""
    request.getfixturevalue(kind.flavor)
    with kind() as own:
        comes_back(own, own.stop)


def comes_back(own: Server, end: Callable[[], None]) -> None:
    with own.database() as database:
        make_shop(own, database)
        settings = settings_for(own, database)
        with Follower(settings, [NOTE], end_of_log(settings)) as log:
            write(own, database, 1)
            log.wait_for_ids([1])
            end()
            log.wait_for_state("disconnected")
            own.start()
            write(own, database, 2)
            log.wait_for_ids([1, 2])


def test_close_from_another_thread_ends_a_blocked_read(server: Server, shop: SourceSettings) -> None:
    """``close`` wakes a reader that waits for the network, at once and without an error."""
    with Follower(shop, [NOTE], end_of_log(shop)) as log:
        log.wait_for_state("connected")
        log.source.close()
        log.thread.join(5)
        assert not log.thread.is_alive()
        assert log.failure is None


def test_stop_ends_a_wait_for_a_server_that_is_gone(own: Server) -> None:
    """While the source waits to try again, ``stop`` ends it at once."""
    with own.database() as database:
        make_shop(own, database)
        settings = settings_for(own, database)
        with Follower(settings, [NOTE], end_of_log(settings)) as log:
            log.wait_for_state("connected")
            own.kill()
            log.wait_for_state("disconnected", 2)
            log.stop.set()
            log.thread.join(5)
            assert not log.thread.is_alive()
            assert log.failure is None
        own.start()


def test_heartbeats_keep_an_idle_connection(server: Server, shop: SourceSettings) -> None:
    """An idle server shows that it lives, so silence ends the connection and idleness does not."""
    settings = shop.model_copy(update={"heartbeat_s": 0.2})
    with Follower(settings, [NOTE], end_of_log(settings)) as log:
        log.wait_for_state("connected")
        log.thread.join(1.5)  # three times the silence that ends a connection
        assert [name for name, _ in log.states] == ["connected"]
        write(server, shop.database, 1)
        log.wait_for_ids([1])


def test_a_silent_server_is_left_and_found_again(mariadb: Server) -> None:
    """No heartbeat within its time ends the connection: a path that swallows packets is not waited for for ever."""
    with MariaDB() as own, own.database() as database:
        make_shop(own, database)
        settings = settings_for(own, database, heartbeat_s=0.2, connect_timeout_s=0.5)
        with Follower(settings, [NOTE], end_of_log(settings)) as log:
            log.wait_for_state("connected")
            assert own.pid is not None
            os.kill(own.pid, signal.SIGSTOP)
            try:
                assert "heartbeat" in str(log.wait_for_state("disconnected")["reason"])
                log.wait_for_state("disconnected", 2)
            finally:
                os.kill(own.pid, signal.SIGCONT)
            write(own, database, 1)
            log.wait_for_ids([1])


def test_a_rotation_moves_the_position(server: Server, shop: SourceSettings) -> None:
    """A new log file moves the position though nothing else happens, so old files may be purged."""
    start = end_of_log(shop)
    with Follower(shop, [NOTE], start) as log:
        log.wait_for_state("connected")
        server.rotate()
        log.wait(lambda: log.last.file_number > start.file_number)
        write(server, shop.database, 1)
        log.wait_for_ids([1])


def test_what_is_not_mapped_moves_the_position_only(server: Server, shop: SourceSettings) -> None:
    """Rows of other tables, and of a table of that name elsewhere, bring no change; the position goes on over them."""
    server.run("CREATE TABLE noise (id INT PRIMARY KEY)", database=shop.database)
    with server.database("other") as other, Follower(shop, [NOTE], end_of_log(shop)) as log:
        log.wait_for_state("connected")
        server.run("CREATE TABLE note (id INT PRIMARY KEY)", "INSERT INTO note VALUES (1)", database=other)
        server.run("INSERT INTO noise VALUES (1)", database=shop.database)
        end = server.log_position()
        log.wait(lambda: (log.last.file, log.last.offset) >= end)
        assert log.ids == []


def test_large_transactions_arrive_whole(server: Server, shop: SourceSettings) -> None:
    """Events and transactions larger than the buffer come through."""
    count = 400_000
    digits = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))
    number = "a.d + 10*b.d + 100*c.d + 1000*e.d + 10000*f.d + 100000*g.d"
    tables = ", ".join(f"({digits}) {name}" for name in "abcefg")
    with Follower(shop, [NOTE], end_of_log(shop)) as log:
        statement = f"INSERT INTO note SELECT {number} FROM {tables} WHERE {number} < {count}"
        server.run("SET SESSION sort_buffer_size = 262144", statement, database=shop.database)
        large = log.wait(lambda: next((read for read in log.transactions if read.changes), None))
        assert len(large.changes) == count
        assert {change.after[0] for change in large.changes if change.after} == set(range(count))
