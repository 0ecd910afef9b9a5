"""The history of columns: what definitions do to it and to rows, and when the server is asked."""

from __future__ import annotations

import pytest

from cdc.binlog.schema.columns import Column, Look
from cdc.binlog.schema.history import SchemaHistory
from cdc.binlog.schema.query import read_statement
from cdc.model import Position, TableSpec

NOW = Position("binlog.000009", 900)
SPECS = {
    "m2_t": TableSpec("t", ("id",), ("id", "a", "b"), optional=frozenset({"b"})),
    "m2_u": TableSpec("u", ("id",), ("id",)),
}
CREATE = "CREATE TABLE m2_t (id int primary key, a int, x int, c varchar(9)) DEFAULT CHARSET=utf8mb4"


class Server:
    """A server whose tables look so now."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.asked: list[str] = []

    def columns(self, database: str, table: str) -> tuple[Column, ...] | None:
        found = self.look(database, table)
        return found.columns if found else None

    def forget(self, database: str, table: str) -> None:
        """Nothing is held."""

    def look(self, database: str, table: str) -> Look | None:
        self.asked.append(table)
        if not self.names:
            return None
        made = tuple(Column(name, "int", "int", None, None, True, None, name == "id") for name in self.names)
        return Look(made, "utf8mb4", NOW)


def a_history(server: Server | None = None, *statements: str) -> SchemaHistory:
    history = SchemaHistory(server, database="shop", specs=SPECS)
    for statement in statements:
        define(history, statement)
    return history


def define(history: SchemaHistory, statement: str, *, database: str = "shop") -> list[str]:
    """The tables that are stale after it."""
    stale_tables = history.define(read_statement(database, statement.encode()), is_mariadb=False)
    return [stale_table.table for stale_table in stale_tables]


def names(history: SchemaHistory, table: str = "m2_t") -> list[str]:
    return [column.name for column in history.columns("shop", table) or ()]


@pytest.mark.parametrize(
    "actions",
    [
        "ADD INDEX i (a)", "DROP INDEX i", "ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES o (id)", "ENGINE=InnoDB",
        "COMMENT 'MODIFY a bigint'", "ADD y int", "DROP x", "MODIFY x bigint", "CHANGE x y text", "MODIFY a int FIRST",
        "RENAME COLUMN x TO y", "AUTO_INCREMENT 9", "ADD PARTITION (PARTITION p VALUES LESS THAN (5))",
        "RENAME KEY i TO j",
        "DROP a", "MODIFY a int COMMENT 'x' DEFAULT 4", "DEFAULT CHARSET latin1", "ADD UNIQUE (a), ALGORITHM=INSTANT",
    ],
)  # fmt: skip
def test_what_cannot_change_a_mapped_value_is_harmless(actions: str) -> None:
    """No row is read again for it."""
    assert define(a_history(None, CREATE), f"ALTER TABLE m2_t {actions}") == []


@pytest.mark.parametrize(
    "actions",
    [
        "MODIFY a bigint", "MODIFY a int NOT NULL", "CHANGE a aa int", "CHANGE x b int", "ADD b int DEFAULT 5",
        "RENAME COLUMN x TO b, RENAME COLUMN a TO x", "CONVERT TO CHARACTER SET latin1", "TRUNCATE PARTITION p",
        "DROP PARTITION p", "IMPORT TABLESPACE", "EXCHANGE PARTITION p WITH TABLE m2_u", "SOMETHING NEW",
        "MODIFY z int",
    ],
)  # fmt: skip
def test_what_may_change_a_mapped_value_is_doubtful(actions: str) -> None:
    """Also what is not understood, and what names columns that are not there."""
    assert "t" in define(a_history(None, CREATE), f"ALTER TABLE m2_t {actions}")


def test_a_key_that_drops_rows_is_doubtful() -> None:
    """ALTER IGNORE TABLE takes rows away without a trace."""
    assert define(a_history(None, CREATE), "ALTER IGNORE TABLE m2_t ADD UNIQUE (a)") == ["t"]


def test_a_copy_renamed_into_place_brings_its_columns() -> None:
    """gh-ost and pt-osc: the copy is followed under its own name."""
    history = a_history(None, CREATE, "CREATE TABLE `_g` LIKE m2_t", "ALTER TABLE `_g` ADD b int FIRST, DROP x")

    assert define(history, "RENAME TABLE m2_t TO `_d`, `_g` TO m2_t") == ["t"]
    assert names(history) == ["b", "id", "a", "c"]
    assert names(history, "_d") == ["id", "a", "x", "c"]


def test_other_databases_and_temporary_tables_are_none_of_ours() -> None:
    """Neither changes what is known."""
    history = a_history(None, CREATE)

    assert define(history, "ALTER TABLE m2_t MODIFY a bigint", database="other") == []
    assert define(history, "DROP TEMPORARY TABLE IF EXISTS m2_t") == []
    assert define(history, "CREATE TEMPORARY TABLE m2_t (id int)") == []
    assert define(history, "CREATE TABLE IF NOT EXISTS m2_t (id int)") == []
    assert names(history) == ["id", "a", "x", "c"]


def test_what_is_not_understood_is_asked_for_at_once_and_assumed() -> None:
    """The server's answer is of later than the position read: it says until where it is assumed."""
    server = Server("id", "a", "new")
    history = a_history(server, CREATE)
    history.news.clear()
    define(history, "ALTER TABLE m2_t CONVERT TO CHARACTER SET latin1")

    assert server.asked == ["m2_t"]
    assert (names(history), history.news["m2_t"].until) == (["id", "a", "new"], NOW)


def test_what_was_known_is_known_again() -> None:
    """What the state kept is as good as having read the definitions."""
    first = a_history(None, CREATE, "CREATE TABLE `_g` LIKE m2_t")
    again = SchemaHistory(None, database="shop", specs=SPECS, known=first.news.values())
    define(again, "ALTER TABLE m2_t ADD y int AFTER id")

    assert names(again) == ["id", "y", "a", "x", "c"]
    assert names(again, "_g") == ["id", "a", "x", "c"]


def test_tables_that_are_not_known_yet_are_asked_for_before_reading() -> None:
    """And only those: what is known at the position to read from is older than the server's answer."""
    known = a_history(None, CREATE).news.values()
    server = Server("id")
    told = SchemaHistory(server, database="shop", specs=SPECS, known=known).ask_for_unknown()

    assert (server.asked, [one.name for one in told]) == (["m2_u"], ["m2_u"])


def test_what_is_gone_is_told() -> None:
    """A dropped table, and a mapped column that is not optional."""
    history = a_history(None, CREATE, "ALTER TABLE m2_t DROP a")
    assert (history.news["m2_t"].exists, history.news["m2_t"].lost) == (True, ("a",))
    define(history, "DROP TABLE m2_t")
    assert not history.news["m2_t"].exists
    define(history, CREATE)
    assert (history.news["m2_t"].exists, history.news["m2_t"].lost) == (True, ())


def test_a_table_that_never_was_holds_no_rows_to_doubt() -> None:
    """In files from the shop's first day on, CREATE TABLE is harmless; after DROP, and with a server, it is not."""
    history = a_history(None)
    assert define(history, CREATE) == []
    define(history, "DROP TABLE m2_t")
    assert define(history, CREATE) == ["t"]
    again = SchemaHistory(
        None, database="shop", specs=SPECS, known=a_history(None, CREATE, "DROP TABLE m2_t").news.values()
    )
    assert define(again, CREATE) == ["t"]
    assert define(a_history(Server("id")), CREATE) == ["t"]


def test_tables_of_others_are_followed_within_bounds() -> None:
    """A shop that makes tables all day does not fill the memory."""
    history = a_history(None, *(f"CREATE TABLE tmp{n} (id int)" for n in range(200)))

    assert names(history, "tmp199") == ["id"]
    assert names(history, "tmp0") == []


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("ALTER TABLE m2_t DROP a", ("ALTER TABLE", "", True)),
        ("DROP TABLE m2_t", ("DROP TABLE", "", False)),
        ("DROP DATABASE shop", ("DROP DATABASE", "", False)),
        ("CREATE OR REPLACE TABLE m2_t (id int)", ("CREATE TABLE", "", True)),
        ("RENAME TABLE m2_t TO `_d`", ("RENAME TABLE", "_d", False)),
        ("RENAME TABLE m2_t TO `_d`, `_g` TO m2_t", ("RENAME TABLE", "_g", True)),
        ("ALTER TABLE m2_t RENAME TO `_d`", ("ALTER TABLE", "_d", False)),
    ],
)
def test_the_statement_is_told_by_its_kind(statement: str, told: tuple[str, str, bool]) -> None:
    """What it was, and where a table came from or went to; the next look at the table tells of no statement."""
    history = a_history(None, CREATE, "CREATE TABLE `_g` LIKE m2_t")
    history.news.clear()
    define(history, statement)
    news = history.news["m2_t"]
    history.refresh("m2_t")

    assert (news.change, news.other, news.exists) == told
    assert (history.news["m2_t"].change, history.news["m2_t"].other) == ("", "")
