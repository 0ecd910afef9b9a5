"""Thousands of statements on real servers: the columns are the server's, and whatever changed rows is told.

`make test` runs some; `make soak` (SOAK_SEED) many, other ones each time.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import Any, cast

import pymysql
import pytest

from cdc.binlog.decoder import LogDecoder
from cdc.binlog.schema.columns import Column
from cdc.errors import UnsupportedEventError
from cdc.model import Position, TableSpec, Transaction
from cdc.source.schemas import ServerSchemas
from tests.integration.test_ddl import meaning
from tests.kit import statements
from tests.kit.servers import ALL_SERVERS, Server

SPECS = [TableSpec(name, ("id",), ("id", "a", "b"), optional=frozenset({"a", "b"})) for name in ("t", "u")]
IS_SOAK = "SOAK_SEED" in os.environ
SERVERS = ALL_SERVERS if IS_SOAK else ("mariadb", "mysql")
STATEMENTS = 3000 if IS_SOAK else 150
FRESH_EVERY = 20
MOST_STALE = 0.75  # of the statements that changed nothing: the rule must not be kept by calling everything stale


class Asking:
    """The server's columns as they are now, and the tables that were asked for."""

    def __init__(self, schemas: ServerSchemas) -> None:
        self._schemas = schemas
        self.asked: set[str] = set()

    def columns(self, database: str, table: str) -> tuple[Column, ...] | None:
        """See ``SchemaLookup``."""
        self.asked.add(table)
        self._schemas.forget(database, table)
        return self._schemas.columns(database, table)


class Reader:
    """Reads the log's newest file as it grows."""

    def __init__(self, server: Server, database: str, schemas: ServerSchemas) -> None:
        server.rotate()
        self._path = server.binlog_files()[-1]
        self._at = 4
        self.asking = Asking(schemas)
        self._database = database
        self._open(Position(self._path.name, 4))

    def _open(self, start: Position) -> None:
        self.decoder = LogDecoder(
            SPECS,
            database=self._database,
            schemas=self.asking,
            start=start,
            repair_statements=True,
            case_sensitive=True,
        )
        self.decoder.begin_file(start.file, start.offset)

    def read(self) -> list[Transaction]:
        """What came since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            held = file.read()
        made: list[Transaction] = []
        used = 1
        while used and held:
            found, used = self.decoder.feed_file(memoryview(held), len(held))
            made += found
            held = held[used:]
            self._at += used
        assert not held
        return made

    def columns(self, table: str) -> list[Any]:
        """The columns that we believe in."""
        return meaning(self.decoder._handlers.rows._tables.history.columns(self._database, table))


def content(cursor: Any, table: str) -> dict[str, list[str]]:
    """The mapped columns that a table has, each with its values by key; {} for no table."""
    try:
        cursor.execute(f"SELECT * FROM `{table}` ORDER BY id")
    except pymysql.err.MySQLError:
        return {}
    names = [str(one[0]).lower() for one in cursor.description]
    held = cursor.fetchall()
    return {name: [str(row[names.index(name)]) for row in held] for name in ("id", "a", "b") if name in names}


def has_changed(before: dict[str, list[str]], after: dict[str, list[str]]) -> bool:
    """Whether a value that is there now is another one than before; of what is gone the last values stay."""
    return any(before.get(name) != values for name, values in after.items())


@pytest.mark.slow
def test_statements_of_all_spellings(server: Server) -> None:
    """After each statement: our columns are the server's, and a table whose values changed is stale or told of."""
    draw = random.Random(int(os.environ.get("SOAK_SEED", "20261130")))
    is_mariadb = server.flavor == "mariadb"
    counts: Counter[str] = Counter()
    done: list[bytes] = []
    with server.database() as database:
        schemas = ServerSchemas(lambda: server.connect(database=database))
        reader = Reader(server, database, schemas)
        for number, (session, statement) in enumerate(
            statements.script(draw, is_mariadb=is_mariadb, database=database)
        ):
            if number >= STATEMENTS:
                break
            if number % FRESH_EVERY == 0:
                server.run("DROP TABLE IF EXISTS t, u", *statements.CREATE, database=database)
                done.clear()
                reader.read()
            with server.connect(database=database) as connection, connection.cursor() as cursor:
                before = {table: content(cursor, table) for table in "tu"}
                for setting in session.set_up():
                    cursor.execute(setting)
                try:
                    cursor.execute(cast(str, statement))  # PyMySQL takes bytes as they are
                except pymysql.err.MySQLError:
                    counts["refused"] += 1
                    reader.read()  # a refused statement may have done something all the same
                    continue
                done.append(statement)
                reader.asking.asked.clear()
                try:
                    made = reader.read()
                except UnsupportedEventError as stopped:
                    pytest.fail(f"{stopped}\n{statements.shown(done)}")
                cursor.execute("SET NAMES utf8mb4, sql_mode = ''")
                after = {table: content(cursor, table) for table in "tu"}
            stale = {one.table for transaction in made for one in transaction.stale}
            told = {change.table for transaction in made for change in transaction.changes}
            for table in "tu":
                schemas.forget(database, table)
                where = f"{table} under {session}:\n{statements.shown(done)}"
                assert reader.columns(table) == meaning(schemas.columns(database, table)), where
                if has_changed(before[table], after[table]):
                    counts["changed"] += 1
                    assert table in stale | told, where
                else:
                    counts["unchanged"] += 1
                    counts["stale in vain"] += table in stale
        schemas.close()
    assert counts["refused"] < 0.6 * STATEMENTS, counts
    assert counts["changed"] > 0.05 * STATEMENTS, counts
    assert counts["stale in vain"] < MOST_STALE * counts["unchanged"], counts
