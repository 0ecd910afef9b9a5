"""Every column type with its extremes: what a decoder has to read as SELECT shows it."""

from __future__ import annotations

from dataclasses import dataclass

import pymysql

from cdc.binlog.schema.columns import Column
from cdc.model import Value
from cdc.snapshot.values import converter
from cdc.source.schemas import read_columns
from tests.kit.servers import Server

SESSION = "SET sql_mode = '', time_zone = '+00:00', innodb_strict_mode = 0"


@dataclass(frozen=True, slots=True)
class GridColumn:
    """One column: its name, definition, and the SQL of the values to put in (NULL comes by itself)."""

    name: str
    definition: str
    values: tuple[str, ...]
    flavors: frozenset[str] = frozenset({"mariadb", "mysql"})


def _integers() -> list[GridColumn]:
    columns = []
    for name, bits in (("tinyint", 8), ("smallint", 16), ("mediumint", 24), ("int", 32), ("bigint", 64)):
        low, high = -(1 << bits - 1), (1 << bits - 1) - 1
        columns.append(GridColumn(f"{name}_s", name, (str(low), "-1", "0", "1", str(high))))
        columns.append(GridColumn(f"{name}_u", f"{name} unsigned", ("0", "1", str((1 << bits) - 1), str(high + 1))))
    return columns


def _strings() -> list[GridColumn]:
    texts = ("''", "'abc'", "'é€'", "'a b  '")
    columns = [
        GridColumn("v40", "varchar(40)", (*texts, "'😀 x'")),
        GridColumn("v300", "varchar(300)", (*texts, "REPEAT('ä', 300)")),
        GridColumn("c10", "char(10)", ("''", "'abc'", "'é€  '", "'0123456789'")),
        GridColumn("c100", "char(100)", ("''", "REPEAT('😀', 100)", "'x'")),
        GridColumn("latin", "varchar(30) character set latin1", ("'é€'", "_latin1 x'818d8f909d80ff'", "''")),
        GridColumn("latin_text", "text character set latin1", ("'é€'", "_latin1 x'818d8f909d'")),
        GridColumn("ascii_c", "char(5) character set ascii", ("'ab'", "''")),
        GridColumn("u3", "varchar(20) character set utf8mb3", ("'é€'", "''")),
        GridColumn("ucs2_v", "varchar(20) character set ucs2", ("'é€'", "''", "'a '")),
        GridColumn("ucs2_c", "char(8) character set ucs2", ("'é€'", "''", "'ab'")),
        GridColumn("utf16_v", "varchar(20) character set utf16", ("'é€😀'", "''")),
        GridColumn("utf32_v", "varchar(20) character set utf32", ("'é€😀'", "''")),
        GridColumn("cp1251_v", "varchar(20) character set cp1251", ("'Привет'", "''")),
        GridColumn("t_tiny", "tinytext", ("''", "'é'")),
        GridColumn("t_text", "text", ("''", "'é€😀'")),
        GridColumn("t_medium", "mediumtext", ("''", "REPEAT('é', 40000)")),
        GridColumn("t_long", "longtext", ("''", "'é€'")),
        GridColumn("b_blob", "blob", ("''", "x'00ff00'")),
        GridColumn("b_tiny", "tinyblob", ("''", "x'80'")),
        GridColumn("bin4", "binary(4)", ("x'61620000'", "x'61'", "''", "x'20202020'", "x'00000000'")),
        GridColumn("varbin", "varbinary(300)", ("x'6100'", "''", "x'20'")),
        GridColumn("e", "enum('a','it''s','ü')", ("'a'", "'it''s'", "'ü'", "''")),
        GridColumn("e_latin", "enum('é','z') character set latin1", ("'é'", "'z'")),
        GridColumn("s", "set('x','y','ü','w')", ("''", "'x'", "'x,ü'", "'x,y,ü,w'")),
        GridColumn("packed", "varchar(500) compressed", ("''", "'a'", "REPEAT('é', 400)"), frozenset({"mariadb"})),
        GridColumn("packed_text", "text compressed", ("''", "'b'", "REPEAT('é', 4000)"), frozenset({"mariadb"})),
    ]
    many = ",".join(f"'l{number}'" for number in range(300))
    columns.append(GridColumn("e_many", f"enum({many})", ("'l0'", "'l299'", "'l255'")))
    sixty = ",".join(f"'m{number}'" for number in range(60))
    columns.append(GridColumn("s_many", f"set({sixty})", ("'m0,m59'", "''")))
    return columns


def _numbers() -> list[GridColumn]:
    columns = [
        GridColumn("d12_4", "decimal(12,4)", ("0", "59.9", "-59.9", "99999999.9999", "-99999999.9999", "-0.0001")),
        GridColumn("d20_4", "decimal(20,4)", ("1234567890123456.7891", "-1", "0")),
        GridColumn("d65_30", "decimal(65,30)", (f"{'9' * 35}.{'9' * 30}", f"-{'9' * 35}.{'9' * 30}", "0.1", "-0")),
        GridColumn("d65_0", "decimal(65,0)", ("9" * 65, "-" + "9" * 65, "0", "5")),
        GridColumn("d9_9", "decimal(9,9)", ("0.123456789", "-0.000000001", "0")),
        GridColumn("d18_9", "decimal(18,9)", ("123456789.987654321", "-1.5")),
        GridColumn("d1_1", "decimal(1,1)", ("0.9", "-0.9", "0")),
        GridColumn("d5_0", "decimal(5,0) unsigned", ("0", "99999", "7")),
        GridColumn("f", "float", ("0", "3.14159265", "-1e20", "16777217", "0.1")),
        GridColumn("dbl", "double", ("0", "3.141592653589793", "-1e300", "0.1", "1e-320")),
        GridColumn("dbl_u", "double unsigned", ("0", "2.5")),
        GridColumn("bit1", "bit(1)", ("b'0'", "b'1'")),
        GridColumn("bit9", "bit(9)", ("b'0'", "b'100000001'")),
        GridColumn("bit64", "bit(64)", ("b'1'", "x'ffffffffffffffff'")),
        GridColumn("y", "year", ("2026", "1901", "2155", "0")),
    ]
    return columns


def _times() -> list[GridColumn]:
    days = ("'2026-01-31'", "'0000-00-00'", "'2026-00-00'", "'2026-02-00'", "'9999-12-31'")
    columns = [GridColumn("day", "date", days)]
    for decimals in (0, 1, 2, 3, 4, 5, 6):
        digits = f"({decimals})" if decimals else ""
        columns += [
            GridColumn(
                f"dt{decimals}",
                f"datetime{digits}",
                ("'2026-01-31 23:59:58.123456'", "'0000-00-00'", "'2026-00-01 01:02:03'", "'1000-01-01'"),
            ),
            GridColumn(
                f"ts{decimals}",
                f"timestamp{digits} null",
                ("'2026-01-31 23:59:58.123456'", "0", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"),
            ),
            GridColumn(
                f"tm{decimals}",
                f"time{digits}",
                ("'12:34:56.654321'", "'-00:00:01.100000'", "'-838:59:59'", "'838:59:59'", "'-00:00:00.500000'", "0"),
            ),
        ]
    return columns


def _documents() -> list[GridColumn]:
    mysql = frozenset({"mysql"})
    documents = (
        "'{}'", "'[]'", "'null'", "'true'", "'1'", "'-1'", "'70000'", "'-70000'", "'5000000000'",
        "'18446744073709551615'", "'1.0'", "'0.1'", "'1e15'", "'1e14'", "'123456789012345680000'", "'-1.5e300'",
        "'1e-5'", "'1e-15'", "'1e-16'", "'1.25e-7'", "'-0.0'", "'12345.678'",
        "'\"é€😀 \\\\\"q\\\\\" \\\\\\\\ \\\\n \\\\u0001 / \\\\u007f\"'",
        """'{"b": [1, 2.5, {"a": null, "cc": false}], "a": "x", "": -3}'""",
        "JSON_OBJECT('d', CAST(59.90 AS DECIMAL(12,4)), 't', CAST('-01:02:03.5' AS TIME(1)))",
        "JSON_OBJECT('dt', CAST('2026-01-31 23:59:58.5' AS DATETIME(1)), 'day', CAST('2026-01-31' AS DATE))",
        "JSON_OBJECT('b', CAST('abc' AS BINARY), 'bit', b'101')",
        "JSON_ARRAY(REPEAT('ä', 70), REPEAT('x', 20000))",
        "JSON_OBJECT('big', REPEAT('x', 70000), 'n', 100000, 'l', JSON_ARRAY(1, 2, 3000000000))",
        "CAST(POINT(1, 2) AS JSON)",
    )  # fmt: skip
    return [
        GridColumn("j", "json", documents, mysql),
        GridColumn("j_text", "json", ("'{\"a\": [1, 2.50]}'", "'[]'"), frozenset({"mariadb"})),
        GridColumn("g", "geometry", ("POINT(1, 2)", "ST_GeomFromText('LINESTRING(0 0, 1 1)')")),
        GridColumn("vec", "vector(4)", ("STRING_TO_VECTOR('[1, -2.5, 0, 3]')",), mysql),
    ]


def grid(flavor: str) -> list[GridColumn]:
    """All columns that this kind of server has."""
    columns = [*_integers(), *_numbers(), *_times(), *_strings(), *_documents()]
    return [column for column in columns if flavor in column.flavors]


def create_table(columns: list[GridColumn]) -> str:
    """One table per call, named ``grid``."""
    body = ", ".join(f"`{column.name}` {column.definition}" for column in columns)
    return f"CREATE TABLE grid (id int unsigned NOT NULL PRIMARY KEY, {body}) ROW_FORMAT=DYNAMIC"


def inserts(columns: list[GridColumn]) -> list[str]:
    """One row of NULLs, then as many rows as the longest list of values, shorter lists repeated."""
    rows = ["INSERT INTO grid (id) VALUES (1)"]
    for number in range(max(len(column.values) for column in columns)):
        values = ", ".join(column.values[number % len(column.values)] for column in columns)
        rows.append(f"INSERT INTO grid VALUES ({number + 2}, {values})")
    return rows


class ServerSchema:
    """The server's own schema, asked directly."""

    def __init__(self, connection: pymysql.connections.Connection) -> None:
        self._connection = connection

    def columns(self, database: str, table: str) -> tuple[Column, ...] | None:
        return read_columns(self._connection, database, table) or None


def selected(
    server: Server, database: str, columns: list[GridColumn], info: tuple[Column, ...], table: str = "grid"
) -> list[list[Value]]:
    """What SELECT shows, as ``Value``; PyMySQL does not know VECTOR, so that goes as bytes by hand."""
    names = [f"UNHEX(HEX(`{c.name}`))" if c.definition.startswith("vector") else f"`{c.name}`" for c in columns]
    connection = server.connect(database=database, charset="utf8mb4", conv={})
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute(f"SELECT id, {', '.join(names)} FROM {table} ORDER BY id")
        found = [[converter(c)(cell) for c, cell in zip(info, row, strict=True)] for row in cursor.fetchall()]
    connection.close()
    return found
