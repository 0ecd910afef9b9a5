"""Where the log does not name columns: names and signs from a schema, if it fits."""

from __future__ import annotations

import pytest

from cdc.binlog.decoder import LogDecoder
from cdc.binlog.events import EventType
from cdc.binlog.schema.columns import Column, Look, SchemaLookup
from cdc.errors import UnsupportedEventError
from cdc.model import Position, TableSpec, Transaction
from tests.unit.binlog.build import Log, image, table_map_body, thing

THINGS = TableSpec("things", ("id",), ("id", "note"))


def feed_all(schemas: SchemaLookup, log: Log) -> list[Transaction]:
    """What the log holds of ``shop.m2_things``."""
    start = Position("binlog.000001", 4)
    reader = LogDecoder([THINGS], database="shop", prefix="m2_", schemas=schemas, start=start)
    return [made for event in log.events if (made := reader.feed(memoryview(event))) is not None]


class _Schemas:
    """A schema look-up that counts."""

    def __init__(self, *columns: Column) -> None:
        self.held = columns
        self.asked = 0
        self.forgotten: list[str] = []

    def columns(self, database: str, table: str) -> tuple[Column, ...] | None:
        self.asked += 1
        return self.held or None

    def forget(self, database: str, table: str) -> None:
        self.forgotten.append(f"{database}.{table}")


def _column(name: str, column_type: str, charset: str | None = None) -> Column:
    return Column(name, column_type.split("(")[0].split()[0], column_type, charset, None, True, None, False)


def _unnamed_insert() -> Log:
    log = Log()
    log.format()
    bare = table_map_body([(3, b""), (15, b"\x28\x00")], [], table="m2_things")
    for number in (1, 2):
        log.gtid(number)
        log.query("BEGIN")
        log.table_map(9, bare)
        log.rows(EventType.WRITE_ROWS, 9, b"\x02\x03" + thing(-1, "x"))
        log.xid()
    return log


def test_names_and_signs_come_from_the_schema_when_the_log_has_none() -> None:
    """Without row metadata the schema names the columns; it is asked once per shape and told of definitions."""
    log = _unnamed_insert()
    log.gtid(3)
    log.query("ALTER TABLE m2_things ADD x INT")
    schemas = _Schemas(_column("id", "int(10) unsigned"), _column("note", "varchar(10)", "utf8mb4"))

    made = feed_all(schemas, log)

    assert [change.after for t in made for change in t.changes] == [(4294967295, "x")] * 2
    assert (schemas.asked, schemas.forgotten) == (1, ["shop.m2_things"])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ((), "no schema to name them"),
        ((_column("id", "int"),), "2 columns in the log, 1 in the schema"),
        ((_column("id", "bigint"), _column("note", "varchar(10)", "utf8mb4")), "id is LONG in the log and bigint"),
        ((_column("id", "int"), _column("note", "varchar(11)", "utf8mb4")), "note has another size"),
        ((_column("id", "int"), _column("note", "vector(11)")), "note has another size"),
        ((_column("id", "vector(4)"), _column("note", "vector(10)")), "id is LONG in the log and vector"),
    ],
)
def test_a_schema_that_does_not_fit_is_refused(columns: tuple[Column, ...], words: str) -> None:
    """Names are never guessed: no schema, or one that differs from the table map, stops with advice."""
    with pytest.raises(UnsupportedEventError, match=f"{words}.*binlog_row_metadata = 'FULL'"):
        feed_all(_Schemas(*columns), _unnamed_insert())


class _Server(_Schemas):
    """A server that was asked when its log had come to ``position``."""

    def __init__(self, position: Position, *columns: Column) -> None:
        super().__init__(*columns)
        self.position = position

    def look(self, database: str, table: str) -> Look | None:
        self.asked += 1
        return Look(self.held, "utf8mb4", self.position)


def _changed_between_inserts() -> tuple[Log, int]:
    """A row, a new first column of its table, a row; and the offset behind the definition."""
    log = Log()
    log.format()
    old = table_map_body([(3, b""), (15, b"\x28\x00")], [], table="m2_things")
    new = table_map_body([(3, b""), (3, b""), (15, b"\x28\x00")], [], table="m2_things")
    log.gtid(1)
    log.query("BEGIN")
    log.table_map(9, old)
    log.rows(EventType.WRITE_ROWS, 9, b"\x02\x03" + thing(1, "old"))
    log.xid()
    log.gtid(2)
    log.query("ALTER TABLE m2_things ADD COLUMN more INT FIRST")
    behind = log.offset
    log.gtid(3)
    log.query("BEGIN")
    log.table_map(9, new)
    log.rows(EventType.WRITE_ROWS, 9, b"\x03\x07" + image(b"\7\0\0\0", b"\2\0\0\0", b"\3new"))
    log.xid()
    return log, behind


NOW = (_column("more", "int"), _column("id", "int"), _column("note", "varchar(10)", "utf8mb4"))


def test_rows_from_before_a_change_that_the_server_s_answer_has_make_their_table_stale() -> None:
    """A start soon after a definition: the rows before it cannot be read, so their table is; the rows behind it are."""
    log, behind = _changed_between_inserts()

    made = feed_all(_Server(Position("binlog.000001", behind), *NOW), log)

    assert [stale.table for t in made for stale in t.stale if stale.by_rows] == ["things"]
    assert [change.after for t in made for change in t.changes] == [(2, "new")]


def test_rows_behind_the_answer_that_do_not_fit_it_stop_the_reader() -> None:
    """No change of the table is left that could explain it, so reading the table again would go on for ever."""
    log, _ = _changed_between_inserts()

    with pytest.raises(UnsupportedEventError, match="2 columns in the log, 3 in the schema"):
        feed_all(_Server(Position("binlog.000001", 4), *NOW), log)
