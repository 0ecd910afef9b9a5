"""The rarer types and all character sets, read from the log as SELECT shows them, under every row metadata."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pymysql.connections import Connection

from cdc.model import Start, StartKind, TableSpec
from cdc.source.files import FilesSource
from cdc.source.schemas import read_columns
from tests.kit.grid import SESSION, GridColumn, ServerSchema, create_table, inserts, selected
from tests.kit.odd_types import charset_columns, odd_columns
from tests.kit.servers import Server


def _differences(server: Server, database: str, metadata: str, columns: list[GridColumn], more: str = "") -> str:
    """Fill a table under this setting; the cells that log and SELECT do not agree on, a line each.

    ``more``: further columns.
    """
    if metadata == "NO_LOG" and server.flavor == "mysql":
        pytest.skip("MySQL always writes signs and character sets")
    connection = server.connect(database=database)
    _fill(server, connection, metadata, columns, more)
    info = read_columns(connection, database, "grid")
    file = server.binlog_files()[-1]
    source = FilesSource(
        [str(file)], [TableSpec("grid", ("id",), tuple(c.name for c in info))], database=database,
        schemas=ServerSchema(connection),
    )  # fmt: skip
    found = [c.after or () for t in source.transactions(Start(StartKind.EARLIEST)) for c in t.changes]
    more_columns = [GridColumn(c.name, c.column_type, ()) for c in info[1 + len(columns) :]]
    wanted = selected(server, database, [*columns, *more_columns], info)
    connection.close()
    assert len(found) == len(wanted) > 1
    return "\n".join(
        f"{column.name} {column.column_type[:40]}, row {number}: log {str(a)[:80]!r}, SELECT {str(b)[:80]!r}"
        for number, (row, select) in enumerate(zip(found, wanted, strict=True), 1)
        for column, a, b in zip(info, row, select, strict=True)
        if a != b
    )


def _fill(server: Server, connection: Connection, metadata: str, columns: list[GridColumn], more: str) -> None:
    """In a log file of their own; the server is shared, so its setting is put back."""
    server.run(f"SET GLOBAL binlog_row_metadata = '{metadata}'")
    server.rotate()
    names = ", ".join(f"`{column.name}`" for column in columns)
    try:
        with connection.cursor() as cursor:
            cursor.execute(SESSION)
            cursor.execute(create_table(columns).replace(") ROW_FORMAT", f"{more}) ROW_FORMAT"))
            for statement in inserts(columns):
                cursor.execute(statement.replace("grid VALUES", f"grid (id, {names}) VALUES"))
    finally:
        server.run("SET GLOBAL binlog_row_metadata = DEFAULT")


@pytest.mark.parametrize("metadata", ["FULL", "MINIMAL", "NO_LOG"])
@pytest.mark.parametrize("columns", [charset_columns, odd_columns])
def test_the_log_says_what_select_says(
    server: Server, database: str, metadata: str, columns: Callable[[str], list[GridColumn]]
) -> None:
    """Each value from the log equals SELECT's, in ``Value``'s form, whatever the log tells of the columns."""
    assert _differences(server, database, metadata, columns(server.flavor)) == ""


@pytest.mark.parametrize("metadata", ["FULL", "MINIMAL", "NO_LOG"])
def test_generated_and_invisible_columns(server: Server, database: str, metadata: str) -> None:
    """Stored, virtual and invisible columns are in the log like others; SELECT by name shows them, too."""
    columns = [GridColumn("a", "int", ("1", "-5")), GridColumn("b", "varchar(20)", ("'é'", "''"))]
    more = (
        ", twice int GENERATED ALWAYS AS (a * 2) STORED, half decimal(9,1) GENERATED ALWAYS AS (a / 2) VIRTUAL,"
        " hidden int unsigned INVISIBLE DEFAULT 7, shown varchar(25) GENERATED ALWAYS AS (CONCAT(b, '!')) VIRTUAL"
    )
    assert _differences(server, database, metadata, columns, more) == ""


@pytest.mark.parametrize("metadata", ["FULL", "MINIMAL", "NO_LOG"])
def test_the_old_forms_of_times(mariadb: Server, metadata: str) -> None:
    """MariaDB with mysql56_temporal_format = OFF, as tables from before 10.1 have it: other types in the log."""
    days = ("'2026-01-31 23:59:58.123456'", "'0000-00-00'", "'2026-00-01 01:02:03'", "'1000-01-01'")
    times = ("'12:34:56.654321'", "'-00:00:01.100000'", "'-838:59:59'", "'838:59:59'", "0", "'-00:00:00.5'")
    lsns = ("'2026-01-31 23:59:58.123456'", "0", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'")
    columns = [
        GridColumn(f"{kind}{decimals}", f"{kind}({decimals}) null", values)
        for kind, values in (("datetime", days), ("time", times), ("timestamp", lsns))
        for decimals in range(7)
    ]
    mariadb.run("SET GLOBAL mysql56_temporal_format = OFF")
    try:
        with mariadb.database() as name:
            assert _differences(mariadb, name, metadata, columns) == ""
    finally:
        mariadb.run("SET GLOBAL mysql56_temporal_format = DEFAULT")
