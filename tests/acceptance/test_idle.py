"""A server on which nothing happens, and one that does not answer."""

from __future__ import annotations

import socket
import time

import pytest

from tests.acceptance.conftest import Rig
from tests.acceptance.test_starts import started
from tests.kit.daemon import wait_until

pytestmark = pytest.mark.slow
SOAK_SERVERS = ("mysql",)


@pytest.mark.parametrize("quiet", ["rotated", pytest.param("restarted", marks=pytest.mark.soak)])
def test_an_import_of_an_idle_shop_ends(rig: Rig, quiet: str) -> None:
    """Objects wait for a position in the log; on a server without any traffic that position is reached, too."""
    rig.shop.register()
    if quiet == "rotated":
        rig.server.rotate()
    else:
        rig.server.restart()
    with rig.daemon() as daemon:
        daemon.start()
        rig.wait_for_equality(30)
        assert daemon.stop() == 0
    with rig.daemon("--start", "earliest", "--until-end") as daemon:
        assert daemon.start().wait(60) == 0
    assert rig.differences() == []


def test_until_end_does_not_wait_for_a_heartbeat(rig: Rig) -> None:
    """The end of the log is reached with the last event there, also if that event is of no mapped table."""
    with rig.daemon("--until-end", "--set", "source.heartbeat_s=300") as daemon:
        assert daemon.start().wait(60) == 0
        rig.shop.cron_noise(2)
        assert daemon.start().wait(60) == 0
        rig.server.rotate()
        assert daemon.start().wait(60) == 0


def test_one_change_on_an_idle_server_arrives_without_an_import(rig: Rig) -> None:
    """The fetch of the only affected object does not wait for a second change."""
    rig.toml = started(rig.toml, "latest")
    with rig.daemon() as daemon:
        daemon.start()
        wait_until(lambda: daemon.ask("/ready")["ready"], 30, "the daemon is ready")
        rig.server.rotate()
        customer = rig.shop.register()
        wait_until(lambda: f"magento-customer-{customer}" in rig.sandbox.state(), 30, "the customer arrives")
        assert daemon.stop() == 0


def test_sigterm_ends_a_start_that_waits_for_a_silent_server(rig: Rig) -> None:
    """A server that takes the connection and says nothing does not hold up the end beyond the grace time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        toml = rig.toml.replace(f"port = {rig.server.port}", f"port = {silent.getsockname()[1]}", 1)
        assert toml != rig.toml
        rig.toml = toml
        with rig.daemon() as daemon:
            daemon.start()
            daemon.port()
            time.sleep(0.5)
            began = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - began < 25
