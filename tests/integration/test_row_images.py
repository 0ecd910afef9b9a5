"""binlog_row_image and binlog_row_value_options: what the log leaves out is completed, or said to be unknown."""

from __future__ import annotations

from collections.abc import Iterator

import pymysql
import pytest

from cdc.errors import UnsupportedEventError
from cdc.model import ABSENT, Absent, Cells, Change, Image, Op, Start, StartKind, TableSpec, Value
from cdc.source.files import FilesSource
from cdc.source.schemas import read_columns
from tests.kit.grid import SESSION, GridColumn, ServerSchema, create_table, grid, inserts, selected
from tests.kit.servers import Server

IMAGES = ["FULL", "NOBLOB", "MINIMAL"]

Cursor = pymysql.cursors.Cursor


@pytest.fixture
def log(server: Server, database: str) -> Iterator[Log]:
    """The log of this test's database."""
    found = Log(server, database)
    yield found
    found.close()


class Log:
    """A session whose row images can be chosen, and the changes it left in the log."""

    def __init__(self, server: Server, database: str) -> None:
        self.server, self.database = server, database
        self.connection = server.connect(database=database)
        self._cursor = self.connection.cursor()
        self._cursor.execute(SESSION)
        self._first = server.binlog_files()[-1].name

    def run(self, *statements: str, image: str = "FULL") -> None:
        self._cursor.execute(f"SET binlog_row_image = '{image}'")
        for statement in statements:
            self._cursor.execute(statement)

    def begin_here(self) -> None:
        """What was written so far is in log files that are gone."""
        self.server.rotate()
        self._first = self.server.binlog_files()[-1].name

    def changes(self, table: str, *, with_schema: bool = True, key: str = "id") -> list[Change]:
        """All changes of the table since this session began, or since ``begin_here``."""
        self.server.rotate()
        info = read_columns(self.connection, self.database, table)
        spec = TableSpec(table, (key,), (key, *(c.name for c in info if c.name != key)))
        files = [str(path) for path in self.server.binlog_files() if path.name >= self._first]
        schema = ServerSchema(self.connection) if with_schema else None
        source = FilesSource(files, [spec], database=self.database, schemas=schema)
        return [change for found in source.transactions(Start(StartKind.EARLIEST)) for change in found.changes]

    def select(self, table: str, columns: list[GridColumn]) -> dict[Value, Cells]:
        info = read_columns(self.connection, self.database, table)
        return {row[0]: tuple(row) for row in selected(self.server, self.database, columns, info, table)}

    def close(self) -> None:
        self.connection.close()


def _folded(changes: list[Change]) -> dict[Value, Cells]:
    """The rows that a reader of the log ends with."""
    held: dict[Value, Cells] = {}
    for change in changes:
        row: Cells | None = None
        if change.before is not None:
            row = held.pop(change.before[0])  # type: ignore[arg-type]  # the key is in every before image
        if change.after is not None:
            cells = change.after
            if row is not None:
                cells = tuple(was if isinstance(now, Absent) else now for was, now in zip(row, cells, strict=True))
            held[cells[0]] = cells  # type: ignore[index]  # and a key is a value
    return held


@pytest.mark.parametrize("image", IMAGES)
def test_rows_of_every_type_end_as_select_shows_them(log: Log, image: str) -> None:
    """INSERTs with and without values, UPDATEs of few columns, a moved key and a DELETE fold to the server's rows."""
    columns = grid(log.server.flavor)
    log.run(create_table(columns), *inserts(columns), image=image)
    for part in range(3):
        few = columns[part::3]
        values = ", ".join(f"`{column.name}` = {column.values[-1]}" for column in few)
        log.run(f"UPDATE grid SET {values} WHERE id IN (2, 4)", image=image)
        log.run(f"UPDATE grid SET `{few[0].name}` = NULL WHERE id = 3", image=image)
    log.run("UPDATE grid SET id = 99 WHERE id = 5", image=image)
    log.run("DELETE FROM grid WHERE id = 8", "INSERT INTO grid (id) VALUES (200)", image=image)

    changes = log.changes("grid")

    assert _folded(changes) == log.select("grid", columns)
    *updates, moved = [change.image for change in changes if change.op is Op.UPDATE]
    partial = Image.UNKNOWN if log.server.flavor == "mariadb" else Image.PARTIAL
    assert moved == (Image.WHOLE if image == "FULL" else partial)
    assert set(updates) == {{"FULL": Image.WHOLE, "MINIMAL": Image.PARTIAL, "NOBLOB": partial}[image]}


_DEFAULTS = [
    GridColumn("a", "int NOT NULL", ()),
    GridColumn("big", "bigint unsigned DEFAULT 18446744073709551615", ()),
    GridColumn("neg", "int DEFAULT -5", ()),
    GridColumn("v", "varchar(20) NOT NULL DEFAULT 'it''s \\\\ \\n é'", ()),
    GridColumn("v_null", "varchar(20) DEFAULT 'NULL'", ()),
    GridColumn("v_bare", "varchar(20) NOT NULL", ()),
    GridColumn("v_none", "varchar(20)", ()),
    GridColumn("v_number", "varchar(20) DEFAULT '007'", ()),
    GridColumn("ch", "char(5) DEFAULT 'a '", ()),
    GridColumn("ucs", "varchar(9) CHARACTER SET ucs2 DEFAULT 'é'", ()),
    GridColumn("latin", "varchar(9) CHARACTER SET latin1 DEFAULT 'é€'", ()),
    GridColumn("d", "decimal(12,4) NOT NULL DEFAULT 0", ()),
    GridColumn("d2", "decimal(12,4) DEFAULT -59.9", ()),
    GridColumn("d_bare", "decimal(20,4) NOT NULL", ()),
    GridColumn("f", "float DEFAULT 1.5", ()),
    GridColumn("dbl", "double DEFAULT 1e20", ()),
    GridColumn("bits", "bit(9) DEFAULT b'101'", ()),
    GridColumn("bit_bare", "bit(9) NOT NULL", ()),
    GridColumn("y", "year DEFAULT 2020", ()),
    GridColumn("e", "enum('p','q') DEFAULT 'q'", ()),
    GridColumn("e_bare", "enum('p','q') NOT NULL", ()),
    GridColumn("s", "set('m','n') DEFAULT 'm,n'", ()),
    GridColumn("s_empty", "set('m','n') DEFAULT ''", ()),
    GridColumn("bin4", "binary(4) DEFAULT 'ab'", ()),
    GridColumn("bin_bare", "binary(4) NOT NULL", ()),
    GridColumn("varbin", "varbinary(5) DEFAULT 'a\\\\b'", ()),
    GridColumn("day", "date NOT NULL DEFAULT '0000-00-00'", ()),
    GridColumn("day_bare", "date NOT NULL", ()),
    GridColumn("dt", "datetime DEFAULT '2020-01-02 03:04:05'", ()),
    GridColumn("dt3", "datetime(3) DEFAULT '2020-01-02 03:04:05'", ()),
    GridColumn("dt_bare", "datetime(3) NOT NULL", ()),
    GridColumn("ts", "timestamp NOT NULL DEFAULT 0", ()),
    GridColumn("tm", "time(2) DEFAULT '-01:02:03.5'", ()),
    GridColumn("tm_bare", "time NOT NULL", ()),
    GridColumn("body", "text", ()),
    GridColumn("body_bare", "text NOT NULL", ()),
    GridColumn("raw_bare", "blob NOT NULL", ()),
    GridColumn("now", "timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP", ()),
    GridColumn("moved", "timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP", ()),
    GridColumn("later", "datetime DEFAULT CURRENT_TIMESTAMP", ()),
    GridColumn("sum", "int GENERATED ALWAYS AS (a + 1) STORED", ()),
    GridColumn("made", "varchar(40) DEFAULT (uuid())", ()),
    GridColumn("three", "int DEFAULT (1 + 2)", ()),
]


def _create(columns: list[GridColumn]) -> str:
    body = ", ".join(f"`{column.name}` {column.definition}" for column in columns)
    return f"CREATE TABLE d (id int NOT NULL AUTO_INCREMENT PRIMARY KEY, {body})"


@pytest.mark.parametrize("image", IMAGES)
def test_columns_that_an_insert_leaves_out_hold_their_defaults(log: Log, image: str) -> None:
    """Literal defaults, the types' own ones and those that the server logs anyway are as SELECT shows them."""
    log.run(_create(_DEFAULTS), "INSERT INTO d () VALUES ()", "INSERT INTO d (v, a) VALUES ('x', 7)", image=image)

    changes = log.changes("d")

    assert [change.image for change in changes] == [Image.WHOLE] * 2
    assert _folded(changes) == log.select("d", _DEFAULTS)


def test_a_default_that_depends_on_the_session_is_not_known(log: Log) -> None:
    """A TIMESTAMP literal means another moment in each time zone: the row is to be read."""
    log.run(_create([GridColumn("ts", "timestamp NOT NULL DEFAULT '2020-01-02 03:04:05'", ())]))
    log.run("INSERT INTO d () VALUES ()", image="MINIMAL")

    (change,) = log.changes("d")

    assert (change.image, change.after) == (Image.UNKNOWN, (1, ABSENT))


def test_a_label_that_the_schema_cannot_show_is_not_known(log: Log) -> None:
    """A server's schema shows an emoji as a question mark, so a default among such labels makes the row one to read."""
    log.server.run("SET GLOBAL binlog_row_metadata = 'FULL'")
    try:
        log.run("CREATE TABLE d (id int PRIMARY KEY, a enum('🙂', 'x') NOT NULL DEFAULT 'x', b set('🙂') DEFAULT '🙂')")
        log.begin_here()
        log.run("INSERT INTO d (id) VALUES (1)", image="MINIMAL")
        found = log.changes("d")
    finally:
        log.server.run("SET GLOBAL binlog_row_metadata = DEFAULT")

    assert [(change.image, change.after) for change in found] == [(Image.UNKNOWN, (1, ABSENT, ABSENT))]


def test_what_mariadb_does_not_log_is_not_known(mariadb: Server) -> None:
    """Virtual columns, and what a REPLACE sets back to its default, make the row one that is to be read."""
    with mariadb.database() as database:
        log = Log(mariadb, database)
        columns = [GridColumn("a", "int", ()), GridColumn("b", "int", ()),
                   GridColumn("v", "int GENERATED ALWAYS AS (a + 1) VIRTUAL", ())]  # fmt: skip
        log.run(_create(columns), "CREATE TABLE r (id int PRIMARY KEY, a int, b int)")
        log.run("INSERT INTO d (a) VALUES (1)", "UPDATE d SET a = 5", image="MINIMAL")
        log.run("INSERT INTO r VALUES (1, 2, 3)", "REPLACE INTO r (id, a) VALUES (1, 9)", "UPDATE r SET a = 10",
                image="MINIMAL")  # fmt: skip

        virtual, replaced = log.changes("d"), log.changes("r")
        log.close()

    assert [change.image for change in virtual] == [Image.UNKNOWN] * 2
    assert [change.image for change in replaced] == [Image.WHOLE, Image.UNKNOWN, Image.PARTIAL]


def test_a_default_is_the_one_of_its_position_in_the_log(log: Log) -> None:
    """An ALTER between two INSERTs gives each its own default."""
    log.run("CREATE TABLE d (id int PRIMARY KEY, a int DEFAULT 5, b varchar(9) DEFAULT 'x') CHARSET utf8mb4")
    log.run("INSERT INTO d (id) VALUES (1)", image="MINIMAL")
    log.run("ALTER TABLE d MODIFY a int DEFAULT 7, MODIFY b varchar(9) DEFAULT 'it''s'")
    log.run("INSERT INTO d (id) VALUES (2)", image="MINIMAL")

    found = [(change.image, change.after) for change in log.changes("d")]

    assert found == [(Image.WHOLE, (1, 5, "x")), (Image.WHOLE, (2, 7, "it's"))]


def test_a_schema_that_is_not_the_rows_own_completes_nothing(log: Log) -> None:
    """After an ALTER the defaults of now are not those of the row: it is to be read."""
    log.server.run("SET GLOBAL binlog_row_metadata = 'FULL'")
    try:
        log.run("CREATE TABLE d (id int PRIMARY KEY, a int DEFAULT 5, b int DEFAULT 6)")
        log.begin_here()
        log.run("INSERT INTO d (id) VALUES (1)", image="MINIMAL")
        log.run("ALTER TABLE d CHANGE a a2 int DEFAULT 7")
        found = log.changes("d")
    finally:
        log.server.run("SET GLOBAL binlog_row_metadata = DEFAULT")

    assert [change.image for change in found] == [Image.UNKNOWN]


@pytest.mark.parametrize(("statement", "says"), [
    ("INSERT INTO d (id) VALUES (2)", "no schema"), ("DELETE FROM d", "key"), ("UPDATE d SET c = 1", "key"),
])  # fmt: skip
def test_images_that_cannot_be_completed_stop(log: Log, statement: str, says: str) -> None:
    """No schema to take a default from, or a row whose key is not told, is refused with advice."""
    log.server.run("SET GLOBAL binlog_row_metadata = 'FULL'")
    try:
        log.run("CREATE TABLE d (id int PRIMARY KEY, b int, c int)", "INSERT INTO d VALUES (1, 2, 3)")
        log.begin_here()
        log.run(statement, image="MINIMAL")
        with pytest.raises(UnsupportedEventError, match=says) as caught:
            log.changes("d", with_schema=False, key="id" if says == "no schema" else "b")
    finally:
        log.server.run("SET GLOBAL binlog_row_metadata = DEFAULT")

    assert "binlog_row_image" in caught.value.hint


_DOCUMENT = """{"a": 1, "bb": [1, 2.50, {"x": "ä"}], "t": "text that is long enough to be worth a difference",
 "n": null, "deep": {"er": {"list": [1, 2, 3, 4], "word": "w"}}, "odd \\\\"key": true}"""
_EDITS = (
    "JSON_SET(j, '$.a', 2)", "JSON_SET(j, '$.bb[2].x', 'q', '$.deep.er.list[1]', 2.5)", "JSON_REMOVE(j, '$.bb[0]')",
    "JSON_SET(j, '$.zz', JSON_OBJECT('k', 1))", "JSON_REPLACE(j, '$.deep.er.word', 'a much longer word than before')",
    "JSON_REMOVE(j, '$.n', '$.deep.er.list')", "JSON_SET(j, '$.bb[9]', 'end')",
    "JSON_REPLACE(j, '$.t', 'é€😀')", "JSON_SET(j, '$.d', CAST(59.90 AS DECIMAL(12,4)), '$.a', CAST(1.0 AS DOUBLE))",
    "JSON_SET(j, '$.\"odd \\\\\"key\"', 18)", "JSON_REPLACE(j, '$.missing', 1)",
)  # fmt: skip


@pytest.mark.parametrize("image", IMAGES)
def test_differences_of_json_documents_are_applied(mysql: Server, image: str) -> None:
    """PARTIAL_JSON: documents read from the log as SELECT shows them, or are said to be unknown (MINIMAL)."""
    with mysql.database() as database:
        log = Log(mysql, database)
        log.run("CREATE TABLE d (id int PRIMARY KEY, other json, j json, c int)",
                f"INSERT INTO d VALUES (1, '{_DOCUMENT}', '{_DOCUMENT}', 1), (2, NULL, '[1, [2]]', 2)",
                "SET binlog_row_value_options = 'PARTIAL_JSON'")  # fmt: skip
        shown: list[tuple[Value, ...]] = []
        with log.connection.cursor() as cursor:
            for edit in _EDITS:
                log.run(f"UPDATE d SET j = {edit}, c = c + 1 WHERE id = 1", image=image)
                cursor.execute("SELECT id, other, j, c FROM d WHERE id = 1")
                shown += cursor.fetchall()
        log.run("UPDATE d SET j = JSON_SET(j, '$[1][0]', 3), other = JSON_ARRAY(7) WHERE id = 2", image=image)
        updates = [change for change in log.changes("d") if change.op is Op.UPDATE]
        log.close()

    assert len(updates) == len(_EDITS) + 1
    if image == "MINIMAL":
        # what a statement sets that changes nothing is in the image, too, as no difference at all
        assert {change.image for change in updates[:-2]} == {Image.UNKNOWN}
        return
    assert {change.image for change in updates} == {Image.WHOLE}
    assert [change.after for change in updates[:-1]] == shown
    assert updates[-1].after == (2, "[7]", "[1, [3]]", 2)
