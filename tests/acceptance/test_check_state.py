"""``check`` beside the state: the position in the server's log, another reader with our server_id, nothing changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.acceptance.conftest import Rig
from tests.acceptance.test_repairs import purge_past
from tests.kit.daemon import command, wait_until

pytestmark = pytest.mark.slow
SOAK_SERVERS = ("mysql",)


def found(rig: Rig, *words: str) -> dict[str, dict[str, Any]]:
    """Name → what ``check`` says of it; the last of a name, as the one that looks at other readers comes later."""
    done = command("check", "--json", "--config", str(rig.folder / "magento-cdc.toml"), *words, cwd=rig.folder)
    return {one["name"]: one for one in json.loads(done.stdout)}


def test_a_position_that_the_server_purged_fails_with_the_remedy(rig: Rig) -> None:
    """While the log holds the place, check says so; once it is purged, check fails and names repair first."""
    with rig.daemon() as daemon:
        daemon.start()
        rig.shop.register()
        rig.wait_for_equality()
        assert daemon.stop() == 0
        assert found(rig)["position"]["ok"]

        rig.shop.register()
        purge_past(rig)
        said = found(rig)["position"]

        assert not said["ok"]
        assert 'source.on_lost_position = "repair"' in said["fix"]
        daemon.start()
        assert daemon.wait() == 3
    last = [line for line in (rig.folder / "run.log").read_text().splitlines() if line.startswith("{")][-1]
    assert json.loads(last)["event"] == "failed"
    assert 'source.on_lost_position = "repair"' in json.loads(last)["hint"]


def test_another_reader_with_our_server_id_is_found(rig: Rig) -> None:
    """A second daemon with a folder of its own and the same id is found, and no folder is made by looking."""
    with rig.daemon() as daemon:
        daemon.start()
        wait_until(lambda: daemon.ask("/ready")["ready"], 60, "it reads the log")
        said = found(rig, "--set", "state.dir=elsewhere")

        assert said["server_id"]["warning"] or not said["server_id"]["ok"]  # who may list readers knows for sure
        assert said["server_id"]["fix"] == "give each its own source.server_id"
        assert not (rig.folder / "elsewhere").exists()
        assert not found(rig)["server_id"]["warning"]  # the daemon of this very folder is no other reader
        assert daemon.stop() == 0
