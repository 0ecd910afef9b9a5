"""LogPositions a server no longer holds, never held, or holds under another name."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from cdc.errors import CdcError, PositionLostError, SetupError
from cdc.model import Position, Start, StartKind, parse_start
from cdc.settings.source import SourceSettings
from cdc.source.binlog import BinlogSource
from tests.integration.test_live_source import (
    NO_GTID,
    NOTE,
    PASSWORD,
    USER,
    end_of_log,
    make_shop,
    settings_for,
    write,
)
from tests.kit.follow import Follower
from tests.kit.servers import ALL_SERVERS, MariaDB, MariaDB11, MySQL, Server

KINDS: dict[str, type[Server]] = {"mariadb": MariaDB, "mariadb_11": MariaDB11, "mysql": MySQL}
SERVERS = ALL_SERVERS
SOAK_SERVERS = ("mariadb_11",)
RESET = {"mariadb": "RESET MASTER", "mysql": "RESET BINARY LOGS AND GTIDS"}


@pytest.fixture(params=[*ALL_SERVERS, "mysql without gtid"])
def own(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that the test may break."""
    request.getfixturevalue(request.param.split()[0])  # skips where there is none
    kind = KINDS[request.param.split()[0]]
    with kind(NO_GTID if "without" in request.param else {}) as server:
        yield server


@pytest.fixture
def shop(server: Server, database: str) -> SourceSettings:
    make_shop(server, database)
    return settings_for(server, database)


def source_of(settings: SourceSettings) -> BinlogSource:
    return BinlogSource(settings, [NOTE], stop=threading.Event())


def reading_fails(settings: SourceSettings, start: Position, kind: type[CdcError] = PositionLostError) -> CdcError:
    """Reading from there ends with this error; what it says."""
    source = source_of(settings)
    try:
        with pytest.raises(kind) as caught:
            next(source.transactions(start))
    finally:
        source.close()
    assert caught.value.hint
    return caught.value


def purge(server: Server) -> None:
    """Begin a new file and drop the others, as soon as the server needs them no more for its own recovery."""
    server.rotate()
    while len(server.binlog_files()) > 1:
        server.run(f"PURGE BINARY LOGS TO '{server.log_position()[0]}'", "DO SLEEP(0.02)")


def test_a_purged_position_is_lost_with_advice(own: Server) -> None:
    """What the server has purged is no position to start from, whether said by file or by GTID set."""
    with own.database() as database:
        make_shop(own, database)
        settings = settings_for(own, database)
        early = end_of_log(settings)
        write(own, database, 1)
        purge(own)
        error = reading_fails(settings, early)
        assert error.exit_code == 3
        assert "retention" in error.hint
        plain = Position(early.file, early.offset, "", early.server)
        assert early.file in reading_fails(settings, plain).message
        with pytest.raises(PositionLostError):
            source_of(settings).resolve(Start(StartKind.FILE_OFFSET, plain))
        if early.gtid:
            with pytest.raises(PositionLostError):
                source_of(settings).resolve(parse_start(f"gtid:{early.gtid}"))


def test_a_log_begun_anew_is_noticed(own: Server) -> None:
    """After the log was reset, a position of the old one is lost, not read from the wrong place."""
    with own.database() as database:
        make_shop(own, database)
        settings = settings_for(own, database)
        write(own, database, 1, 2, 3)
        position = end_of_log(settings)
        own.run(RESET[own.flavor])
        write(own, database, 4)
        assert reading_fails(settings, position).exit_code == 3


def test_a_log_begun_anew_that_has_grown_past_our_position_is_noticed(own: Server) -> None:
    """The same where the new log has the same file with a transaction at just our offset: its file is a younger one."""
    with own.database() as database:
        make_shop(own, database)
        settings = settings_for(own, database)
        own.run(RESET[own.flavor])
        write(own, database, 1, 2, 3)
        with Follower(settings, [NOTE], source_of(settings).resolve(parse_start("earliest"))) as follower:
            follower.wait_for_ids([1, 2, 3])
        position = follower.last
        assert position.born > 0
        assert not source_of(settings).is_other_log(position)
        time.sleep(1.1)  # a file's age is told in seconds
        own.run(RESET[own.flavor])
        write(own, database, 4, 5, 6, 7, 8, 9)
        error = reading_fails(settings, position)
        assert error.exit_code == 3
        assert source_of(settings).is_other_log(position)


def test_an_offset_beyond_the_files_end_is_lost(server: Server, shop: SourceSettings) -> None:
    """A position behind the end of its file is of a log that the server lost: never waited for."""
    end = end_of_log(shop)
    beyond = Position(end.file, end.offset + 1000, "", end.server)
    assert "beyond the end" in reading_fails(shop, beyond).message
    with pytest.raises(PositionLostError, match="beyond the end"):
        source_of(shop).resolve(Start(StartKind.FILE_OFFSET, beyond))


def test_a_place_inside_a_transaction_is_refused(server: Server, shop: SourceSettings) -> None:
    """A start between a table map and its rows would lose rows silently: refused, like one inside an event."""
    begin = end_of_log(shop)
    write(server, shop.database, 1)
    events = server.run(f"SHOW BINLOG EVENTS IN '{begin.file}' FROM {begin.offset}")
    source = source_of(shop)
    assert str(source.resolve(Start(StartKind.FILE_OFFSET, begin))) == str(begin)
    for event in events[1:]:
        with pytest.raises(SetupError, match="inside a transaction"):
            source.resolve(Start(StartKind.FILE_OFFSET, Position(begin.file, int(event[1]))))
    with pytest.raises(SetupError, match="no event begins"):
        source.resolve(Start(StartKind.FILE_OFFSET, Position(begin.file, begin.offset + 3)))


def test_keywords_are_position(server: Server, shop: SourceSettings) -> None:
    """earliest is the first file's first event; latest is the end of the log, with its GTID set."""
    source = source_of(shop)
    earliest = source.resolve(Start(StartKind.EARLIEST))
    assert str(earliest) == f"{server.run('SHOW BINARY LOGS')[0][0]}:4"
    latest = source.resolve(Start(StartKind.LATEST))
    assert (latest.file, latest.offset) == server.log_position()
    assert latest.server == source.identity().server
    assert latest.gtid


def test_words_that_are_no_gtid_set_are_refused(server: Server, shop: SourceSettings) -> None:
    """A malformed set is a fault of what was typed, said with the form expected."""
    for text in ("gtid:nonsense", "gtid:1-2", "gtid:3e11fa47:1-x"):
        with pytest.raises(SetupError, match="GTID"):
            source_of(shop).resolve(parse_start(text))


def test_a_gtid_set_from_elsewhere_is_lost(server: Server, shop: SourceSettings) -> None:
    """A set with transactions that the server never executed is another history."""
    foreign = "7-7-777" if server.flavor == "mariadb" else "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5"
    with pytest.raises(PositionLostError, match="has not executed"):
        source_of(shop).resolve(parse_start(f"gtid:{foreign}"))


def test_another_server_needs_gtids(server: Server, shop: SourceSettings) -> None:
    """File and offset of another server's log mean nothing here: refused when there is no GTID set."""
    end = end_of_log(shop)
    error = reading_fails(shop, Position(end.file, end.offset, "", "another server"))
    assert "another server" in error.message


@pytest.mark.parametrize("name", ALL_SERVERS)
def test_a_failover_goes_on_by_gtid(request: pytest.FixtureRequest, name: str) -> None:
    """On a replica that took over, reading goes on behind the last transaction, under the new server's name."""
    request.getfixturevalue(name)
    kind, flavor = KINDS[name], KINDS[name].flavor
    logs_copies = {"log_slave_updates" if flavor == "mariadb" else "log_replica_updates": True}
    with kind() as old, kind(logs_copies) as new, old.database("moved") as database:
        old.create_user("copier", PASSWORD, ["REPLICATION SLAVE ON *.*"])
        make_shop(old, database)
        settings = settings_for(old, database)
        with Follower(settings, [NOTE], end_of_log(settings)) as log:
            write(old, database, 1, 2)
            log.wait_for_ids([1, 2])
            reached = log.last
        write(old, database, 3)
        copy(old, new)
        end = settings_for(new, database)
        wait_for_copy(new, database, 3)
        with Follower(end, [NOTE], reached) as log:
            log.wait_for_ids([3])
            assert log.last.server == log.source.identity().server != reached.server
            new.run("STOP SLAVE" if flavor == "mariadb" else "STOP REPLICA")
            write(new, database, 4)
            log.wait_for_ids([3, 4])


def copy(old: Server, new: Server) -> None:
    """Make ``new`` a replica of ``old`` by GTID."""
    words = {"HOST": f"'{old.host}'", "PORT": old.port, "USER": "'copier'", "PASSWORD": f"'{PASSWORD}'"}
    if old.flavor == "mariadb":
        options = ", ".join(f"MASTER_{name}={value}" for name, value in words.items())
        new.run(f"CHANGE MASTER TO {options}, MASTER_USE_GTID=slave_pos", "START SLAVE")
    else:
        options = ", ".join(f"SOURCE_{name}={value}" for name, value in words.items())
        more = "SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1"
        new.run(f"CHANGE REPLICATION SOURCE TO {options}, {more}", "START REPLICA")


def wait_for_copy(server: Server, database: str, number: int) -> None:
    """Wait until ``server`` has the row, by a waiting statement of its own."""
    for _ in range(300):
        tables = server.run(f"SHOW TABLES FROM `{database}`") if server.run(f"SHOW DATABASES LIKE '{database}'") else ()
        if tables and server.run(f"SELECT 1 FROM `{database}`.note WHERE id = {number}"):
            return
        server.run("DO SLEEP(0.05)")
    raise AssertionError("the replica does not catch up")


def test_a_second_replica_with_our_id_is_told(server: Server, shop: SourceSettings) -> None:
    """Two daemons with one server_id push each other out; the log line says what to change."""
    with Follower(shop, [NOTE], end_of_log(shop)) as first:
        first.wait_for_state("connected")
        with Follower(shop, [NOTE], end_of_log(shop)) as second:
            second.wait_for_state("connected")
            write(server, shop.database, 1)
            assert "server_id" in str(first.wait_for_state("disconnected")["reason"])


def test_the_user_needs_nothing_beyond_the_grants_named(server: Server, shop: SourceSettings) -> None:
    """The account of these tests has just the documented grants."""
    assert (shop.user, shop.password.get_secret_value()) == (USER, PASSWORD)
    granted = " ".join(str(row[0]) for row in server.run(f"SHOW GRANTS FOR '{USER}'@'%'"))
    assert "SUPER" not in granted
    assert "ALL PRIVILEGES" not in granted
