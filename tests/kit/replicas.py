"""A private primary with a replica of its own that follows it by GTID from its first transaction on.

    with pair(MariaDB) as (primary, replica):
        ...

What is made on the primary comes to the replica too, accounts included. Nobody writes to the replica.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pymysql

from tests.kit.servers import Option, Server

USER, PASSWORD = "follower", "a secret of the follower"
WAIT_S = 60.0


@contextlib.contextmanager
def pair(make: type[Server], options: Mapping[str, Option] | None = None) -> Iterator[tuple[Server, Server]]:
    """The two servers, the second of which has ``options``."""
    with make() as primary, make({"read_only": 1, **(options or {})}) as replica:
        primary.create_user(USER, PASSWORD, ["REPLICATION SLAVE ON *.*"])
        if primary.flavor == "mysql":
            replica.run(
                f"CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{primary.host}', SOURCE_PORT = {primary.port},"
                f" SOURCE_USER = '{USER}', SOURCE_PASSWORD = '{PASSWORD}', SOURCE_AUTO_POSITION = 1, SOURCE_SSL = 1,"
                " SOURCE_CONNECT_RETRY = 1"  # the default is a minute
            )
        else:
            replica.run(
                f"CHANGE MASTER TO MASTER_HOST = '{primary.host}', MASTER_PORT = {primary.port},"
                f" MASTER_USER = '{USER}', MASTER_PASSWORD = '{PASSWORD}', MASTER_USE_GTID = slave_pos,"
                " MASTER_CONNECT_RETRY = 1"
            )
        follow(replica)
        wait_until_level(primary, replica)
        yield primary, replica


def follow(replica: Server) -> None:
    """Let the replica apply what its primary writes."""
    replica.run("START REPLICA" if replica.flavor == "mysql" else "START SLAVE")


def stand_still(replica: Server) -> None:
    """Let the replica apply nothing more."""
    replica.run("STOP REPLICA" if replica.flavor == "mysql" else "STOP SLAVE")


def wait_until_level(primary: Server, replica: Server) -> None:
    """Wait until the replica has all that the primary has now. AssertionError if that takes too long."""
    if primary.flavor == "mysql":
        name, ask = "gtid_executed", "SELECT WAIT_FOR_EXECUTED_GTID_SET('{}', 30)"
    else:
        name, ask = "gtid_binlog_pos", "SELECT MASTER_GTID_WAIT('{}', 30)"
    held = str(primary.run(f"SELECT @@GLOBAL.{name}")[0][0]).replace("\n", "")
    deadline = time.monotonic() + WAIT_S
    answer: Any = None
    while time.monotonic() < deadline:
        with contextlib.suppress(pymysql.err.Error):
            answer = replica.run(ask.format(held))[0][0]
            if answer == 0:
                return
    raise AssertionError(f"the replica does not reach {held}: {answer}")
