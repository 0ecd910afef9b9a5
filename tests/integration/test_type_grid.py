"""Every column type, read from the log as SELECT shows it and as python-mysql-replication reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pymysql
import pytest

from cdc.binlog.schema.columns import Column
from cdc.model import Start, StartKind, TableSpec
from cdc.source.files import FilesSource
from cdc.source.schemas import read_columns
from tests.kit.grid import SESSION, GridColumn, ServerSchema, create_table, grid, inserts, selected
from tests.kit.odd_types import odd_columns
from tests.kit.reference_reader import inserted, is_same
from tests.kit.servers import ALL_SERVERS, Server

SERVERS = ALL_SERVERS


@pytest.fixture(autouse=True)
def _default_metadata(server: Server) -> Iterator[None]:
    """The server is shared: leave its setting as it was."""
    yield
    server.run("SET GLOBAL binlog_row_metadata = DEFAULT")


def _fill(server: Server, database: str, metadata: str, columns: list[GridColumn]) -> pymysql.connections.Connection:
    """Write the grid under this setting into a log file of its own."""
    server.run(f"SET GLOBAL binlog_row_metadata = '{metadata}'")
    server.rotate()
    connection = server.connect(database=database)
    with connection.cursor() as cursor:
        for statement in (SESSION, create_table(columns), *inserts(columns)):
            cursor.execute(statement)
    connection.commit()
    server.rotate()
    return connection


def _decoded(server: Server, database: str, schema: ServerSchema | None, info: tuple[Column, ...]) -> list[list[Any]]:
    spec = TableSpec("grid", ("id",), tuple(column.name for column in info))
    source = FilesSource([str(server.binlog_files()[-2])], [spec], database=database, schemas=schema)
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


# What python-mysql-replication 1.0.x cannot read at all: the exception ends its stream.
_RAISES = {
    **dict.fromkeys(("latin", "latin_text"), "its latin1 is cp1252, which leaves five bytes open"),
    "utf32_v": "decodes UTF-32 as little-endian",
    **dict.fromkeys(
        ("packed", "packed_text", "packed_bin", "packed_latin", "packed_blob", "packed_long"), "COMPRESSED columns"
    ),
    **dict.fromkeys(("vec", "vec3", "vec_big"), "VECTOR columns"),
    "doc": "a TIME of more than 23 hours inside a document",
}

# What it reads otherwise than SELECT shows it.
_FRACTIONS = range(7)
_DIFFERS = {
    **dict.fromkeys(("f", "f_u", "f_edge", "f7_3", "f12_5", "d30_10"), "more digits than SELECT shows"),
    **dict.fromkeys(("y", "y4"), "the year 0000 is 1900"),
    **dict.fromkeys(("day", *(f"dt{n}" for n in _FRACTIONS)), "zero dates are None, as NULL is"),
    **{f"ts{n}": "the zero timestamp is 1970-01-01" for n in _FRACTIONS},
    **{f"tm{n}": "negative times with a fraction are wrong (-1.10 s is read as -1.9 s)" for n in _FRACTIONS if n},
    **dict.fromkeys(("ucs2_v", "ucs2_c"), "it has no codec for UCS-2 and gives the bytes"),
    "utf16_v": "decodes UTF-16 as little-endian",
    **dict.fromkeys(("b_blob", "b_tiny", "b_medium", "b_long", "varbin", "v255", "v256", "v_bin"), "b'' is ''"),
    **dict.fromkeys(("bin4", "bin255"), "BINARY loses the zeros at its end"),
    "e_latin": "labels that are not UTF-8 are ''",
    **dict.fromkeys(("s", "s_many", "s64", "s9"), "the empty SET is None, as NULL is"),
    "j": "the document null is None, as NULL is",
    **dict.fromkeys(("u", "ip4", "ip6"), "bytes, without the zeros at their end"),
}

_OWN_CALL = "ignore:'db' is deprecated:DeprecationWarning"  # that library's own


def _grid(flavor: str) -> list[GridColumn]:
    return [*grid(flavor), *odd_columns(flavor)]


@pytest.mark.filterwarnings(_OWN_CALL)
@pytest.mark.parametrize("columns", [grid, odd_columns])
def test_the_log_says_what_python_mysql_replication_says(
    server: Server, database: str, columns: Callable[[str], list[GridColumn]]
) -> None:
    """Both readings are equal, but for the columns listed above, each of which does differ."""
    if server.version.startswith("11."):
        pytest.skip("python-mysql-replication takes text of MariaDB 11 for another character set's, and raises")
    chosen = [column for column in columns(server.flavor) if column.name not in _RAISES]
    connection = _fill(server, database, "FULL", chosen)
    info = read_columns(connection, database, "grid")
    file = server.binlog_files()[-2].name

    ours = _decoded(server, database, ServerSchema(connection), info)
    theirs = list(inserted(server, database, file))

    assert len(ours) == len(theirs) > 5
    differing = {
        column.name
        for row, other in zip(ours, theirs, strict=True)
        for column, cell in zip(info, row, strict=True)
        if not is_same(cell, other[column.name])
    }
    assert differing == {column.name for column in chosen} & _DIFFERS.keys()


@pytest.mark.filterwarnings(_OWN_CALL, "ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_python_mysql_replication_cannot_read(server: Server, database: str) -> None:
    """Each column that is listed as unreadable raises there. Ours are compared with SELECT like all others."""
    chosen = [column for column in _grid(server.flavor) if column.name in _RAISES]
    assert len(chosen) > 3
    for column in chosen:
        server.run("DROP TABLE IF EXISTS grid", database=database)
        _fill(server, database, "FULL", [column]).close()
        file = server.binlog_files()[-2].name
        with pytest.raises((AssertionError, UnicodeDecodeError, ValueError)):
            list(inserted(server, database, file))


def test_the_list_of_its_defects_is_of_columns_that_exist() -> None:
    """An entry for a column that the grid has lost says nothing."""
    named = {column.name for flavor in ("mariadb", "mysql") for column in _grid(flavor)}
    assert named >= _RAISES.keys() | _DIFFERS.keys()
