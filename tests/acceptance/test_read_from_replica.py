"""The first load read from a replica (``history.read_from``) while the primary goes on: the end equals the primary."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from tests.acceptance.conftest import GRANTS, USER, Rig, a_rig
from tests.kit.canary import PASSWORD
from tests.kit.daemon import command, wait_until
from tests.kit.replicas import follow, pair, stand_still, wait_until_level
from tests.kit.servers import MariaDB, MySQL, Server
from tests.kit.shop_day import play, random_ops

pytestmark = pytest.mark.slow

OPERATIONS = 150

MAKES = pytest.mark.parametrize(
    "make", [MariaDB, pytest.param(MySQL, marks=pytest.mark.soak)], ids=["mariadb", "mysql"]
)


def consume(operations: Iterator[object]) -> None:
    """Do them all."""
    deque(operations, maxlen=0)


def read_from(rig: Rig, replica: Server) -> None:
    """Read the first load from this replica, in chunks that are small."""
    monitor = "SLAVE MONITOR ON *.*" if rig.server.flavor == "mariadb" else "REPLICATION CLIENT ON *.*"
    rig.server.create_user(USER, PASSWORD, [*GRANTS, monitor, f"SELECT ON `{rig.database}`.*"])
    rig.toml = rig.toml.replace("chunk_rows = 50\n", "chunk_rows = 5\nchunk_s = 0\n")
    rig.toml += f'read_from = {{ host = "127.0.0.1", port = {replica.port} }}\n'
    rig.server.rotate()  # MySQL's position is a file's start: without the definitions in it no table is read again
    wait_until_level(rig.server, replica)


@MAKES
def test_a_load_from_a_replica_that_stands_still_ends_as_the_primary_is(make: type[Server], tmp_path: Path) -> None:
    """The replica lacks all that happens during the load: updates, deletions and cascades. The log brings them, since
    no row passes for newer than it is. ``check`` names the replica.
    """
    with pair(make) as (primary, replica), a_rig(primary, tmp_path) as rig:
        play(rig.shop, seed=11)
        happens = random_ops(rig.shop, random.Random(12))
        read_from(rig, replica)
        stand_still(replica)
        consume(islice(happens, OPERATIONS))
        with rig.daemon() as daemon:
            checked = command("check", cwd=tmp_path)
            assert f"ok    history.read_from: 127.0.0.1:{replica.port} has everything" in checked.stdout, checked.stdout
            daemon.start()
            consume(islice(happens, OPERATIONS))
            wait_until(lambda: daemon.ask("/status")["load"]["state"] == "done", 60, "the shop is read")
            rig.wait_for_equality()
            assert daemon.stop() == 0


@MAKES
def test_a_load_goes_on_when_the_replica_is_back(make: type[Server], tmp_path: Path) -> None:
    """While the replica is away no table is read, `/status` says why, and live changes are sent all the same. A killed
    daemon goes on from where it was.
    """
    with pair(make) as (primary, replica), a_rig(primary, tmp_path) as rig:
        play(rig.shop, seed=21)
        read_from(rig, replica)
        rig.toml = rig.toml.replace("chunk_rows = 5\n", "chunk_rows = 1\n")  # time enough to stop the replica
        with rig.daemon() as daemon:
            daemon.start()
            wait_until(lambda: daemon.ask("/status")["load"].get("rows", 0) > 0, 60, "some rows are read")
            replica.stop()
            wait_until(
                lambda: "no connection" in daemon.ask("/status")["load"].get("waits_for", ""), 60, "the reason is told"
            )
            rig.shop.register()
            daemon.kill()
            replica.start()
            follow(replica)
            daemon.start()
            wait_until(lambda: daemon.ask("/status")["load"]["state"] == "done", 90, "the shop is read")
            rig.wait_for_equality()
            assert daemon.stop() == 0
