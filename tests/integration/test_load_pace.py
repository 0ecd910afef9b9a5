"""A load leaves the server room: SELECTs end after a time, and threads that run there are seen."""

from __future__ import annotations

from typing import cast

import pytest

from cdc.binlog.schema.columns import ForgettingLookup
from cdc.errors import SourceDisconnectedError
from cdc.model import TableSpec
from cdc.settings.source import SourceSettings
from cdc.snapshot.reader import TIMED_OUT, RowLoader
from cdc.source.schemas import ServerSchemas
from cdc.source.server import connect, read_identity
from tests.integration.test_live_source import GRANTS, PASSWORD, USER, settings_for
from tests.kit.servers import Server

WIDE = TableSpec("wide", key=("id",), columns=("id", "text"))
ROWS = 40_000  # more than any server reads within the millisecond that it is given


@pytest.fixture
def shop(server: Server, database: str) -> SourceSettings:
    values = ", ".join(f"({number}, REPEAT('x', 200))" for number in range(ROWS))
    server.run(
        "CREATE TABLE wide (id INT PRIMARY KEY, text VARCHAR(255))", f"INSERT INTO wide VALUES {values}",
        database=database,
    )  # fmt: skip
    server.create_user(USER, PASSWORD, [*GRANTS, f"SELECT ON `{database}`.*"])
    return settings_for(server, database)


def loader(settings: SourceSettings, timeout_s: float) -> RowLoader:
    connection = connect(settings)
    identity = read_identity(connection)
    connection.close()
    schemas = cast(ForgettingLookup, ServerSchemas(lambda: connect(settings)))
    return RowLoader(settings, [WIDE], identity, schemas, statement_timeout_s=timeout_s)


def test_a_chunk_that_takes_too_long_is_ended_by_the_server(shop: SourceSettings) -> None:
    """The error tells so by its number, the connection is dropped, and a smaller chunk is read all the same."""
    reader = loader(shop, 0.001)
    with pytest.raises(SourceDisconnectedError) as caught:
        reader.chunk("wide", None, ROWS)
    assert caught.value.errno in TIMED_OUT
    reader.close()

    patient = loader(shop, 60.0)
    assert len(patient.chunk("wide", None, ROWS).rows) == ROWS
    assert patient.threads_running() >= 1
    patient.close()
