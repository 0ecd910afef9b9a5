"""What statements do to mapped tables: read again, emptied, stopped at, or passed over for certain."""

from __future__ import annotations

import pytest

from cdc.errors import UnsupportedEventError
from cdc.model import Op
from tests.unit.binlog.build import MARIADB, Log
from tests.unit.binlog.things import decoder, feed_all


def variables(*, sql_mode: int = 0, collation: int = 45) -> bytes:
    """Status variables as servers write them: flags, sql_mode, catalogue, charset, and one that nobody knows."""
    known = b"\0" + bytes(4) + b"\x01" + sql_mode.to_bytes(8, "little") + b"\x06\x03std"
    return known + b"\x04" + collation.to_bytes(2, "little") + bytes(4) + b"\xf0\x01"


def stale_after(*statements: tuple[str | bytes, dict[str, int]], server: str = MARIADB, **options: object) -> list[str]:
    """The tables that are stale after these statements, each a transaction of its own with its status variables."""
    log = Log(server)
    log.format()
    for number, (statement, settings) in enumerate(statements, 1):
        flags = settings.pop("flags", 0)
        extra = settings.pop("alter", 0)
        log.maria_gtid(number, flags=0x29, extra=extra)
        log.query(statement, variables=variables(**settings), flags=flags)
    return [stale.table for made in feed_all(decoder(**options), log) for stale in made.stale]


@pytest.mark.parametrize(
    ("statement", "settings"),
    [
        ("--\nALTER TABLE things MODIFY note int", {}),
        ("SET STATEMENT lock_wait_timeout = 5 FOR ALTER TABLE things MODIFY note int", {}),
        ("SET STATEMENT sql_mode = 'ANSI_QUOTES' FOR ALTER TABLE things ADD x int", {"sql_mode": 4}),
        ("ALTER TABLE Things MODIFY note int", {}),
        ('ALTER TABLE "things" MODIFY note int', {"sql_mode": 4}),
        ("ALTER TABLE things ADD x int COMMENT 'C:\\', MODIFY note int", {"sql_mode": 1 << 20}),
        (b"ALTER TABLE things ADD x int COMMENT '\x95\\', MODIFY note int AFTER id", {"collation": 28}),
        (b"ALTER TABLE things ADD x int COMMENT 'never closed", {}),
        (b"ALTER TABLE caf\xe9 ADD x int /* things */", {"collation": 8}),
        ("ALTER TABLE things ADD x DATE", {"sql_mode": 1 << 9}),
        ("SOMETHING NEW ABOUT things", {}),
        ("REPAIR TABLE things", {}),
        ("TRUNCATE things", {"flags": 4}),
    ],
)  # fmt: skip
def test_what_is_not_known_to_be_harmless_makes_its_tables_stale(
    statement: str | bytes, settings: dict[str, int]
) -> None:
    """Whatever mode, character set or comment a statement comes in: its tables are read again, or it is understood."""
    assert stale_after((statement, settings)) == ["things"]


@pytest.mark.parametrize(
    ("statement", "settings"),
    [
        ("-- ALTER TABLE things MODIFY note int", {}),
        ('ALTER TABLE other ADD x int COMMENT "things"', {}),
        ("GRANT SELECT ON things TO x", {}),
        ("CREATE DEFINER=`a`@`%` TRIGGER t AFTER INSERT ON other FOR EACH ROW INSERT INTO things VALUES (1, 2)", {}),
        ("CREATE OR REPLACE ALGORITHM=MERGE DEFINER=CURRENT_USER() SQL SECURITY INVOKER VIEW v AS TABLE things", {}),
        (b"CREATE USER x IDENTIFIED BY '\xe9\xff never closed things", {}),
        ("ANALYZE TABLE things", {}), ("OPTIMIZE TABLE things", {}), ("FLUSH TABLES things", {}),
        ("CREATE TEMPORARY TABLE things (id int)", {"flags": 4}),
        ("ALTER TABLE things MODIFY note int", {"alter": 2}),
        ("ALTER TABLE things MODIFY note int", {"alter": 8}),
    ],
)  # fmt: skip
def test_what_is_known_to_be_harmless_costs_nothing(statement: str | bytes, settings: dict[str, int]) -> None:
    """No table is read again for accounts, views, looks, comments, and an ALTER that only begins or is given up."""
    assert stale_after((statement, settings)) == []


def test_names_that_differ_by_case_are_others_where_the_server_says_so() -> None:
    """With lower_case_table_names = 0 ``Things`` is not ``things``; where nobody knows, it may be."""
    statement: tuple[str | bytes, dict[str, int]] = ("ALTER TABLE Things MODIFY note int", {})

    assert stale_after(statement, case_sensitive=True) == []
    assert stale_after(statement, case_sensitive=False) == ["things"]


def test_a_temporary_table_that_was_made_in_the_log_is_known() -> None:
    """Statements about it are none of ours, whatever its name; of others, or of real tables, they are."""
    log = Log(MARIADB)
    log.format()
    for number, (statement, thread, flags) in enumerate(
        [
            ("CREATE TEMPORARY TABLE things (id int)", 5, 4), ("TRUNCATE things", 5, 4),
            ("ALTER TABLE things ADD x int", 5, 4), ("INSERT INTO things VALUES (1, 2)", 5, 4),
            ("ALTER TABLE things RENAME TO tmp", 5, 4), ("RENAME TABLE tmp TO things", 5, 4),
            ("TRUNCATE things", 6, 0), ("DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `things`", 5, 4),
            ("TRUNCATE things", 5, 4),
        ], 1,
    ):  # fmt: skip
        log.maria_gtid(number, flags=0x29)
        log.query(statement, thread=thread, flags=flags)
    made = feed_all(decoder(), log)

    assert [change.op for one in made for change in one.changes] == [Op.TRUNCATE]
    assert [stale.table for one in made for stale in one.stale] == ["things"]
    assert made[-1].stale


@pytest.mark.parametrize(
    ("statement", "stops"),
    [
        ("UPDATE `things` SET note = 'x'", True),
        ("UPDATE things t JOIN other o ON o.id = t.id SET o.x = t.note", False),
        ("UPDATE things t JOIN other o ON o.id = t.id SET o.x = 1, note = 2", True),
        ("REPLACE INTO p.checksums (a, b) SELECT COUNT(*), BIT_XOR(CRC32(CONCAT_WS('#', id))) FROM things", False),
        ("INSERT INTO other SELECT shop.f(id) FROM things", True), ("SELECT recount(5)", True), ("DO SLEEP(1)", False),
        ("DELETE o FROM other o JOIN things t ON t.id = o.id", False), ("DELETE o.* FROM things o", True),
        ("DELETE FROM o USING other AS o, things", False), ("CALL f()", True),
        ("WITH things (a, b) AS (SELECT 1, 2) INSERT INTO other SELECT * FROM things", False),
        ("LOAD DATA LOCAL INFILE 'things' REPLACE INTO TABLE other FIELDS TERMINATED BY ','", False),
        ("LOAD DATA INFILE 'x' INTO TABLE things", True), ("ANALYZE FORMAT=JSON DELETE FROM things", True),
        ("SET STATEMENT max_statement_time = 1 FOR UPDATE things SET note = 1", True),
        ("DELETE FROM things, other USING things, other", True),
        ("INSERT other SET x = (SELECT MAX(id) FROM things)", False),
        ("UPDATE (SELECT * FROM things) d, other SET other.x = d.id", False),
    ],
)  # fmt: skip
def test_a_statement_stops_for_what_it_writes_and_not_for_what_it_reads(statement: str, stops: bool) -> None:
    """In place of rows: only a table that is written counts, or any where a stored function may write."""
    log = Log(MARIADB)
    log.format()
    log.maria_gtid(1)
    log.query(statement)
    log.xid()
    if stops:
        with pytest.raises(UnsupportedEventError, match="in the log instead of the rows"):
            feed_all(decoder(), log)
        return
    assert not any(made.stale or made.changes for made in feed_all(decoder(), log))


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE things ADD SYSTEM VERSIONING", "CREATE TABLE things (id int) WITH SYSTEM VERSIONING",
        "ALTER TABLE things ADD s TIMESTAMP(6) GENERATED ALWAYS AS ROW START, ADD e TIMESTAMP(6) GENERATED ALWAYS AS"
        " ROW END, ADD PERIOD FOR SYSTEM_TIME(s, e), ADD SYSTEM VERSIONING",
    ],
)  # fmt: skip
def test_system_versioning_is_refused(statement: str) -> None:
    """Rows of the past would overwrite those of the present."""
    with pytest.raises(UnsupportedEventError, match="system versioning"):
        stale_after((statement, {}))
