"""Statements in all spellings that servers take: the sandbox equals the shop afterwards, or the daemon stops loudly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Rig, a_rig
from tests.kit.daemon import Daemon, wait_until
from tests.kit.proxy import Proxy
from tests.kit.servers import MariaDB, Server
from tests.kit.shop_day import play

pytestmark = pytest.mark.slow
SOAK_SERVERS = ("mysql",)

LASTNAME = "MODIFY COLUMN lastname varchar(255) DEFAULT NULL COMMENT 'Last Name'"


def has_stopped(daemon: Daemon, words: str) -> None:
    """The daemon ended by itself with exit code 1 and a sentence that holds these words."""
    assert daemon.wait(60) == 1
    said = (daemon.folder / "run.log").read_text(encoding="utf-8")
    assert words in said
    assert "Traceback" not in said


def wait_for_load(daemon: Daemon) -> None:
    """Wait until everything is read from the server."""
    wait_until(lambda: daemon.ask("/status")["load"]["state"] == "done", 60, "the first load is done")


def stale_tables(daemon: Daemon) -> int:
    """How often a table was to be read again so far."""
    return sum(len(line["tables"]) for line in daemon.lines() if line["event"] == "tables_stale")


def run(rig: Rig, *statements: str | bytes, charset: str = "utf8mb4") -> None:
    """Statements of one connection, in the bytes of its character set."""
    with rig.server.connect(database=rig.database, charset=charset) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)  # type: ignore[arg-type]  # PyMySQL takes bytes as they are


def test_definitions_are_followed_in_every_spelling(rig: Rig) -> None:
    """Empty comment lines, backslashes that escape nothing, a client's own characters, and MariaDB's SET STATEMENT:
    columns and rows are the shop's after each.
    """
    with rig.daemon() as daemon:
        daemon.start()
        play(rig.shop, seed=51)
        rig.wait_for_equality()
        run(
            rig,
            f"--\nALTER TABLE customer_entity {LASTNAME} AFTER prefix",
            "UPDATE customer_entity SET middlename = 'Q1'",
        )
        run(rig, "--\nTRUNCATE TABLE catalog_product_entity_text")
        run(
            rig,
            "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'",
            "ALTER TABLE customer_entity ADD COLUMN import_path varchar(9) DEFAULT NULL COMMENT 'from C:\\',"
            " MODIFY COLUMN lastname varchar(255) DEFAULT NULL AFTER email",
            "UPDATE customer_entity SET middlename = 'Q2', group_id = 2",
        )
        run(
            rig,
            b"ALTER TABLE customer_entity ADD x int COMMENT '\x95\\', " + LASTNAME.encode() + b" FIRST -- '",
            "UPDATE customer_entity SET middlename = 'Q3'",
            charset="gbk",
        )
        if rig.server.flavor == "mariadb":
            run(
                rig,
                f"SET STATEMENT lock_wait_timeout = 5 FOR ALTER TABLE customer_entity {LASTNAME} AFTER suffix",
                "UPDATE customer_entity SET middlename = 'Q4'",
                "SET STATEMENT max_statement_time = 60 FOR TRUNCATE TABLE catalog_product_entity_decimal",
                "SET SESSION binlog_alter_two_phase = 1",
                f"ALTER TABLE customer_entity {LASTNAME} AFTER dob, ALGORITHM = COPY",
                "UPDATE customer_entity SET middlename = 'Q5'",
            )
        rig.wait_for_equality()
        assert daemon.stop() == 0


def test_what_only_reads_the_shops_tables_stops_nothing(rig: Rig) -> None:
    """pt-table-checksum and temporary tables of a statement-based session change nothing of the shop: it goes on."""
    rig.server.run("DROP DATABASE IF EXISTS percona", "CREATE DATABASE percona")
    with rig.daemon() as daemon:
        daemon.start()
        play(rig.shop, seed=52)
        rig.wait_for_equality()
        before = stale_tables(daemon)
        run(
            rig,
            "CREATE TABLE percona.checksums (db CHAR(64) NOT NULL, tbl CHAR(64) NOT NULL, chunk INT NOT NULL,"
            " this_crc CHAR(40), this_cnt INT, PRIMARY KEY (db, tbl, chunk))",
            "SET SESSION binlog_format = 'STATEMENT'",
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "REPLACE INTO percona.checksums (db, tbl, chunk, this_cnt, this_crc) SELECT 'shop', 'sales_order', 1,"
            f" COUNT(*), BIT_XOR(CRC32(CONCAT_WS('#', entity_id, state))) FROM `{rig.database}`.sales_order",
            "CREATE TEMPORARY TABLE customer_entity (entity_id INT, firstname VARCHAR(9))",
            "INSERT INTO customer_entity VALUES (1, 'x')",
            "ALTER TABLE customer_entity ADD lastname INT FIRST",
            "TRUNCATE TABLE customer_entity",
        )
        run(rig, "UPDATE customer_entity SET firstname = 'After'")
        rig.wait_for_equality()
        assert stale_tables(daemon) == before
        assert daemon.stop() == 0
    rig.server.run("DROP DATABASE percona")


def test_a_statement_in_place_of_rows_stops_in_every_spelling(rig: Rig) -> None:
    """Double quotes that hold a name, a statement behind SET STATEMENT, and a view are no hiding places."""
    rig.server.run("CREATE VIEW people AS SELECT * FROM customer_entity", database=rig.database)
    spellings = [("SET @x = 1", "UPDATE people SET firstname = 'Seen'")]
    spellings += [("SET SESSION sql_mode = 'ANSI_QUOTES'", 'UPDATE "customer_entity" SET "firstname" = \'Ansi\'')]
    if rig.server.flavor == "mariadb":
        spellings.append(
            (
                "SET @x = 1",
                "SET STATEMENT binlog_format = 'STATEMENT' FOR UPDATE customer_entity SET dob = '2001-02-03'",
            )
        )
    play(rig.shop, seed=53)
    for number, (before, statement) in enumerate(spellings):
        folder = rig.folder / str(number)
        folder.mkdir()
        with Daemon(folder, rig.toml) as daemon:
            daemon.start()
            wait_for_load(daemon)
            own = [] if statement.startswith("SET STATEMENT") else ["SET SESSION binlog_format = 'STATEMENT'"]
            run(rig, *own, before, statement)
            has_stopped(daemon, "in the log instead of the rows it changed")
        rig.server.rotate()  # the next daemon begins behind this statement


# ----------------------------------------------------------------------------------- servers of other options


@pytest.fixture(scope="module")
def folding() -> Iterator[Server]:
    """A server that does not tell names of tables by case."""
    with MariaDB({"lower_case_table_names": 1}) as server:
        yield server


def test_names_in_capitals_are_the_same_tables_where_the_server_says_so(folding: Server, tmp_path: Path) -> None:
    """With lower_case_table_names = 1 statements keep their capitals, while rows come under lower-case names."""
    with a_rig(folding, tmp_path) as rig, rig.daemon() as daemon:
        daemon.start()
        play(rig.shop, seed=54)
        rig.wait_for_equality()
        run(
            rig,
            "TRUNCATE TABLE CATALOG_PRODUCT_ENTITY_TEXT",
            f"TRUNCATE TABLE {rig.database.capitalize()}.catalog_product_entity_decimal",
            f"ALTER TABLE Customer_Entity {LASTNAME} AFTER prefix",
            "UPDATE customer_entity SET middlename = 'Q', group_id = 2",
        )
        rig.wait_for_equality()
        assert daemon.stop() == 0


def test_a_database_in_another_spelling_is_refused(folding: Server, tmp_path: Path) -> None:
    """Such a server takes any spelling in a SELECT and writes its own into the log: no change would ever be seen."""
    with a_rig(folding, tmp_path) as rig:
        toml = rig.toml.replace(f'database = "{rig.database}"', f'database = "{rig.database.capitalize()}"')
        with Daemon(tmp_path, toml) as daemon:
            assert daemon.start().wait(60) == 2
        said = (tmp_path / "run.log").read_text(encoding="utf-8")
        assert f"set source.database to '{rig.database}'" in said


@pytest.mark.parametrize("metadata", ["FULL", "NO_LOG"])
def test_system_versioning_is_refused_when_it_comes_and_at_start(
    mariadb: Server, tmp_path: Path, metadata: str
) -> None:
    """Rows of the past are written like those of the present: the daemon stops at the ALTER and starts no more."""
    mariadb.run(f"SET GLOBAL binlog_row_metadata = '{metadata}'")
    try:
        with a_rig(mariadb, tmp_path) as rig, rig.daemon() as daemon:
            daemon.start()
            play(rig.shop, seed=55)
            rig.wait_for_equality()
            run(rig, "ALTER TABLE newsletter_subscriber ADD SYSTEM VERSIONING")
            run(rig, "UPDATE newsletter_subscriber SET subscriber_status = 3")
            has_stopped(daemon, "newsletter_subscriber has system versioning")
            assert daemon.start().wait(60) == 2
            said = (tmp_path / "run.log").read_text(encoding="utf-8")
            assert said.count("DROP SYSTEM VERSIONING on the server") >= 2
    finally:
        mariadb.run("SET GLOBAL binlog_row_metadata = 'NO_LOG'")


def test_a_replica_that_does_not_write_what_it_replicates_is_refused(tmp_path: Path) -> None:
    """MariaDB's default: nothing of the primary's changes stands in the replica's log, so it can be nobody's source."""
    with MariaDB() as primary, MariaDB() as replica:
        primary.create_user("replica", "secret", ["REPLICATION SLAVE ON *.*"])
        file, offset = primary.log_position()
        replica.run(
            f"CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {primary.port}, MASTER_USER = 'replica',"
            f" MASTER_PASSWORD = 'secret', MASTER_LOG_FILE = '{file}', MASTER_LOG_POS = {offset}",
            "START SLAVE",
        )
        wait_until(lambda: _is_replicating(replica), 30, "the replica replicates")
        with a_rig(replica, tmp_path) as rig:
            with rig.daemon() as daemon:
                assert daemon.start().wait(60) == 2
                said = (tmp_path / "run.log").read_text(encoding="utf-8")
            assert "is a replica, and log_slave_updates is OFF" in said
        replica.restart({"log_slave_updates": True})
        wait_until(lambda: _is_replicating(replica), 30, "the replica replicates")
        (tmp_path / "again").mkdir()
        with a_rig(replica, tmp_path / "again") as rig, rig.daemon() as daemon:
            daemon.start()
            rig.shop.register()
            wait_for_load(daemon)
            rig.wait_for_equality()
            assert daemon.stop() == 0


def _is_replicating(replica: Server) -> bool:
    return bool(replica.run("SHOW GLOBAL STATUS LIKE 'Slaves_running'")[0][1] == "1")


def test_limits_that_the_server_sets_for_all_sessions_hold_nothing_back(rig: Rig) -> None:
    """sql_select_limit and a time limit for statements are for web pages: the daemon's own sessions lift both."""
    limits = {"sql_select_limit": 7, "max_join_size": 100}
    limits |= {"max_statement_time": 1} if rig.server.flavor == "mariadb" else {"max_execution_time": 1}
    play(rig.shop, seed=56)
    before = {name: rig.server.run(f"SELECT @@GLOBAL.{name}")[0][0] for name in limits}
    rig.server.run(*(f"SET GLOBAL {name} = {value}" for name, value in limits.items()))
    try:
        with rig.daemon() as daemon:
            daemon.start()
            wait_for_load(daemon)
            rig.server.run(*(f"SET GLOBAL {name} = {value}" for name, value in before.items()))
            rig.wait_for_equality()
            assert daemon.stop() == 0
    finally:
        rig.server.run(*(f"SET GLOBAL {name} = {value}" for name, value in before.items()))


@pytest.mark.parametrize("after_s", [0.01, 0.03, 0.05, 0.1])
def test_a_connection_that_is_lost_during_the_start_is_tried_again(
    mariadb: Server, tmp_path: Path, after_s: float
) -> None:
    """Wherever the start stands: a sentence, no traceback, and a run that works in the end."""
    with a_rig(mariadb, tmp_path) as rig, Proxy(mariadb.port) as proxy:
        toml = rig.toml.replace(f"port = {mariadb.port}", f"port = {proxy.port}")
        with Daemon(tmp_path, toml) as daemon:
            daemon.start()
            wait_until(lambda: bool(proxy.connections), 30, "the daemon connects")
            time.sleep(after_s)
            proxy.reset()
            wait_until(lambda: daemon.ask("/ready")["ready"], 30, "the daemon is ready")
            assert daemon.stop() == 0
        assert "Traceback" not in (tmp_path / "run.log").read_text(encoding="utf-8")


def test_rows_that_the_log_never_told_of_are_noticed(rig: Rig) -> None:
    """sql_log_bin = 0, or whatever else keeps a change out of the log: ``/ready`` says so, and is quiet otherwise."""
    rig.toml = rig.toml.replace("[source]", "[source]\nunlogged_check_s = 0.2", 1)
    with rig.daemon() as daemon:
        daemon.start()
        play(rig.shop, seed=57)
        rig.wait_for_equality()
        time.sleep(3)  # a dozen looks
        assert daemon.ask("/ready")["reasons"] == []
        rig.server.run(
            "SET SESSION sql_log_bin = 0",
            "UPDATE customer_entity SET firstname = 'Unlogged' ORDER BY entity_id DESC LIMIT 1",
            database=rig.database,
        )
        wait_until(lambda: "missing from its log" in str(daemon.ask("/ready")["reasons"]), 30, "the row is noticed")
        assert daemon.ask("/ready")["ready"]
        assert "rows_not_in_log" in [line["event"] for line in daemon.lines()]
        rig.server.run("UPDATE customer_entity SET lastname = 'Logged'", database=rig.database)
        wait_until(lambda: daemon.ask("/ready")["reasons"] == [], 30, "the log has told of the row")
        assert daemon.stop() == 0
