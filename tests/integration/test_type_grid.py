"""Every column type, read from the log as SELECT shows it, with full, minimal and no row metadata."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pymysql
import pytest
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import WriteRowsEvent

from cdc.binlog.schema import Column
from cdc.model import Start, StartKind, TableSpec
from cdc.source.files import FilesSource
from cdc.source.schemas import read_columns
from tests.kit.grid import SESSION, GridColumn, ServerSchema, create_table, grid, inserts, selected
from tests.kit.servers import Server


@pytest.fixture(autouse=True)
def _default_metadata(server: Server) -> Iterator[None]:
    """The server is shared: leave its setting as it was."""
    yield
    server.run("SET GLOBAL binlog_row_metadata = DEFAULT")


def _fill(server: Server, database: str, metadata: str, columns: list[GridColumn]) -> pymysql.connections.Connection:
    """Write the grid under this setting and close the log file."""
    server.run(f"SET GLOBAL binlog_row_metadata = '{metadata}'")
    connection = server.connect(database=database)
    with connection.cursor() as cursor:
        for statement in (SESSION, create_table(columns), *inserts(columns)):
            cursor.execute(statement)
    connection.commit()
    server.rotate()
    return connection


def _decoded(server: Server, database: str, schema: ServerSchema | None, info: tuple[Column, ...]) -> list[list[Any]]:
    spec = TableSpec("grid", ("id",), tuple(column.name for column in info))
    files = [str(path) for path in server.binlog_files()]
    source = FilesSource(files, [spec], database=database, schemas=schema)
    found = source.transactions(Start(StartKind.EARLIEST))
    return [list(change.after or ()) for transaction in found for change in transaction.changes]


@pytest.mark.parametrize("metadata", ["FULL", "MINIMAL", "NO_LOG"])
def test_the_log_says_what_select_says(server: Server, database: str, metadata: str) -> None:
    """For every type, extreme and NULL, the value from the log equals SELECT's in ``Value``'s form."""
    if metadata == "NO_LOG" and server.flavor == "mysql":
        pytest.skip("MySQL always writes signs and character sets")
    columns = grid(server.flavor)
    connection = _fill(server, database, metadata, columns)
    info = read_columns(connection, database, "grid")
    schema = None if metadata == "FULL" else ServerSchema(connection)

    got, wanted = _decoded(server, database, schema, info), selected(server, database, columns, info)

    assert len(got) == len(wanted) > 5
    for number, (row, select) in enumerate(zip(got, wanted, strict=True), 1):
        differing = {c.name: (a, b) for c, a, b in zip(info, row, select, strict=True) if a != b}
        assert not differing, f"row {number}: log and SELECT differ"


# What python-mysql-replication 1.0.x reads in another form or wrongly, by column prefix, with the reason.
_NOT_COMPARED = {
    "f": "FLOAT is not rounded to the digits that SELECT shows",
    "latin": "its latin1 is cp1252 and raises for five bytes", "packed": "COMPRESSED columns raise",
    "ucs2": "no codec of that name", "utf16": "decodes with a byte-order mark's rules",
    "utf32": "decodes with a byte-order mark's rules", "vec": "VECTOR is not supported",
    "tm": "negative fractional times are wrong (-1.10 s read as -1.9 s)",
    "day": "zero dates are None, as NULL is", "dt": "zero dates are None, as NULL is",
    "ts": "zero timestamps are 1970-01-01, and times are local", "s": "SET '' is None, and sets are unordered",
    "bit": "text of digits, not a number", "j": "documents are Python values, with bytes for text",
    "y": "the year 0 is 1900",
    "e": "labels that are not UTF-8 are ''", "b_": "an empty BLOB is text", "varbin": "empty bytes are text",
    "bin4": "BINARY loses the zeros at its end",
}  # fmt: skip


def _theirs(server: Server, database: str, file: str) -> Iterator[dict[str, Any]]:
    reader = BinLogStreamReader(
        connection_settings={"host": "127.0.0.1", "port": server.port, "user": "root", "password": ""},
        server_id=99, log_file=file, log_pos=4, resume_stream=True, only_schemas=[database],
        only_events=[WriteRowsEvent], enable_logging=False,
    )  # fmt: skip
    try:
        for event in reader:
            for row in event.rows:
                yield row["values"]
    finally:
        reader.close()


@pytest.mark.filterwarnings("ignore:'db' is deprecated:DeprecationWarning")  # that library's own call
def test_the_log_says_what_python_mysql_replication_says(server: Server, database: str) -> None:
    """Where that library reads rightly (its defects are listed above), both readings of the log are equal."""
    odd = ("latin", "packed", "ucs2", "utf16", "utf32", "vec")
    columns = [column for column in grid(server.flavor) if not column.name.startswith(odd)]
    connection = _fill(server, database, "FULL", columns)
    info = read_columns(connection, database, "grid")
    file = server.binlog_files()[-2].name

    ours = _decoded(server, database, None, info)
    theirs = list(_theirs(server, database, file))

    compared = [c for c in info if not any(c.name.startswith(p) for p in _NOT_COMPARED)]
    assert len(compared) > 25
    assert len(ours) == len(theirs)
    for row, other in zip(ours, theirs, strict=True):
        mine = dict(zip((c.name for c in info), row, strict=True))
        differing = {c.name: (mine[c.name], other[c.name]) for c in compared if not _same(mine[c.name], other[c.name])}
        assert not differing


def _same(mine: Any, other: Any) -> bool:
    return bool(Decimal(mine) == other) if isinstance(other, Decimal) else bool(mine == other)
