"""Rows that the log tells only in part are read as the log has them: not before a commit is visible."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from cdc.model import TableSpec
from cdc.settings.source import SourceSettings
from cdc.snapshot.reader import RowLoader
from cdc.source.schemas import ServerSchemas
from cdc.source.server import connect, read_identity
from tests.kit.servers import Server

SPEC = TableSpec("stock", ("website_id", "sku"), ("website_id", "sku", "qty"), integer_key=False)


@pytest.fixture
def loader(server: Server, database: str) -> Iterator[RowLoader]:
    """A reader that may do no more than SELECT, and a table with one row."""
    server.run(
        "CREATE TABLE stock (website_id int, sku varchar(20), qty decimal(12,4), PRIMARY KEY (website_id, sku))",
        "INSERT INTO stock VALUES (1, 'a', 5)",
        database=database,
    )
    grants = ["REPLICATION SLAVE, REPLICATION CLIENT ON *.*", f"SELECT ON `{database}`.*"]
    server.create_user("cdc_rows", "of the tests", grants)
    settings = SourceSettings(
        host="127.0.0.1", port=server.port, user="cdc_rows", password=SecretStr("of the tests"), database=database
    )
    schemas = ServerSchemas(lambda: connect(settings))
    with contextlib.closing(connect(settings)) as connection:
        identity = read_identity(connection)
    with contextlib.closing(RowLoader(settings, [SPEC], identity, schemas)) as made:
        yield made
    schemas.close()


def test_a_row_that_a_transaction_holds_is_not_read_before_it_ends(
    server: Server, database: str, loader: RowLoader
) -> None:
    """An UPDATE may be in the log before InnoDB shows it: until then the row is locked, and is asked for again."""
    with contextlib.closing(server.connect(database=database)) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE stock SET qty = 4 WHERE sku = 'a'")
        assert loader.row("stock", (1, "a")) is None
        cursor.execute("COMMIT")

    assert loader.row("stock", (1, "a")) == [(1, "a", "4.0000")]


def test_reading_a_row_leaves_it_free(server: Server, database: str, loader: RowLoader) -> None:
    """The lock lasts as long as the SELECT: the shop waits for nothing."""
    assert loader.row("stock", (1, "a")) == [(1, "a", "5.0000")]

    server.run("SET innodb_lock_wait_timeout = 1", "UPDATE stock SET qty = 3 WHERE sku = 'a'", database=database)

    assert loader.row("stock", (1, "a")) == [(1, "a", "3.0000")]


def test_a_row_that_is_gone_is_none(loader: RowLoader) -> None:
    """No such key: an empty answer, not a wait."""
    assert loader.row("stock", (1, "b")) == []


def test_a_table_that_was_dropped_is_not_there(server: Server, database: str, loader: RowLoader) -> None:
    """Told apart from a row that is gone, which would be a deletion."""
    assert loader.has("stock")
    server.run("DROP TABLE stock", database=database)
    loader.forget("stock")

    assert not loader.has("stock")
