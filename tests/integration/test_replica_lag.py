"""The lag of a real replica: near, stopped, and a server that is none; with the grants that the document names.

`make test` asks a replica of MariaDB, `make soak` (SOAK_SEED) one of MySQL too.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator

import pytest

from cdc.errors import SetupError
from cdc.settings.history import HistorySettings
from cdc.settings.source import SourceSettings
from cdc.snapshot.replica_lag import replica_findings, replica_of
from tests.integration.test_live_source import GRANTS, PASSWORD, USER, settings_for
from tests.kit.servers import MariaDB, MySQL, Server

GRANT = {"mariadb": "SLAVE MONITOR ON *.*", "mysql": "REPLICATION CLIENT ON *.*"}
WAIT_S = 60.0
SERVERS = ("mariadb", "mysql") if "SOAK_SEED" in os.environ else ("mariadb",)


@pytest.fixture
def replica(server: Server) -> Iterator[Server]:
    """A replica of ``server`` that follows it from now on."""
    make = MySQL if server.flavor == "mysql" else MariaDB
    with make() as follower:
        file, offset = server.log_position()
        for one in (server, follower):
            one.create_user(USER, PASSWORD, [*GRANTS, GRANT[one.flavor]])
        file, offset = server.log_position()
        if server.flavor == "mysql":
            follower.run(
                f"CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{server.host}', SOURCE_PORT = {server.port},"
                f" SOURCE_USER = '{USER}', SOURCE_PASSWORD = '{PASSWORD}', SOURCE_LOG_FILE = '{file}',"
                f" SOURCE_LOG_POS = {offset}, SOURCE_SSL = 1",
                "START REPLICA",
            )
        else:
            follower.run(
                f"CHANGE MASTER TO MASTER_HOST = '{server.host}', MASTER_PORT = {server.port}, MASTER_USER = '{USER}',"
                f" MASTER_PASSWORD = '{PASSWORD}', MASTER_LOG_FILE = '{file}', MASTER_LOG_POS = {offset}",
                "START SLAVE",
            )
        yield follower


def history_of(server: Server) -> HistorySettings:
    return HistorySettings(max_replica_lag_s=5, replica_host=server.host, replica_port=server.port)


def wait_for(source: SourceSettings, replica: Server, *, is_stopped: bool) -> str:
    """The reason to wait, once replication is stopped or runs."""
    asked = replica_of(source, history_of(replica))
    assert asked is not None
    deadline = time.monotonic() + WAIT_S
    while (asked.seconds() == math.inf) is not is_stopped and time.monotonic() < deadline:
        time.sleep(0.05)
    reason = asked.reason_to_wait()
    asked.close()
    return reason


def test_the_lag_of_a_replica_is_read_and_a_stopped_replica_is_waited_for(
    server: Server, replica: Server, database: str
) -> None:
    """A replica that follows lets the load go on; after STOP the load waits, and ``check`` warns."""
    source = settings_for(server, database)
    assert wait_for(source, replica, is_stopped=False) == ""
    assert replica_findings(source, history_of(replica))[0].ok

    replica.run("STOP REPLICA" if server.flavor == "mysql" else "STOP SLAVE")
    assert "does not replicate" in wait_for(source, replica, is_stopped=True)
    assert replica_findings(source, history_of(replica))[0].warning


def test_the_shops_own_server_is_no_replica(server: Server, database: str) -> None:
    """Naming a server that replicates nothing is a fault, not a lag of zero."""
    server.create_user(USER, PASSWORD, [*GRANTS, GRANT[server.flavor]])
    source = settings_for(server, database)
    asked = replica_of(source, history_of(server))
    assert asked is not None
    with pytest.raises(SetupError, match="is no replica"):
        asked.seconds()
    assert "is no replica" in asked.reason_to_wait()
    assert not replica_findings(source, history_of(server))[0].ok
