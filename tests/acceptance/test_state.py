"""The state folder fails under a running daemon."""

from __future__ import annotations

import sqlite3

import pytest

from tests.acceptance.conftest import Rig
from tests.kit.daemon import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["mariadb"], indirect=True)]  # whichever
SOAK_SERVERS = ("mysql",)


@pytest.mark.parametrize("arguments", [(), ("--until-end",)])
def test_a_state_that_cannot_be_written_ends_the_run_with_1(rig: Rig, arguments: tuple[str, ...]) -> None:
    """One sentence, exit code 1, no traceback; the next start goes on where the last commit was."""
    if arguments:
        rig.toml = rig.toml.replace("[sink]", "[sink]\nmax_requests_per_10s = 1", 1)  # so that it has not ended yet
    rig.shop.register()
    with rig.daemon(*arguments) as daemon:
        daemon.start()
        wait_until(lambda: daemon.ask("/ready")["ready"], 30, "the daemon is ready")
        blocker = sqlite3.connect(rig.folder / "state" / "state.sqlite3", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        rig.shop.register()
        code = daemon.wait(60)
        blocker.execute("ROLLBACK")
        blocker.close()
    text = (rig.folder / "run.log").read_text()
    assert code == 1
    assert "Traceback" not in text
    assert "state folder" in text
    rig.toml = rig.toml.replace("max_requests_per_10s = 1\n", "")
    with rig.daemon() as daemon:
        daemon.start()
        rig.wait_for_equality()
        assert daemon.stop() == 0
