"""The verb ``import``: beside a running daemon, alone, with a repair, and paused over a restart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.conftest import Rig
from tests.kit.daemon import command, wait_until
from tests.kit.full_render import difference, full_render
from tests.kit.shop_day import play

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["mariadb"], indirect=True)]  # whichever
SOAK_SERVERS = ("mysql",)


def test_withheld_history_is_imported_beside_the_daemon_and_a_lost_row_repaired(rig: Rig) -> None:
    """Nothing of the history goes at first; an import brings all of it; a row that went without a log event too."""
    rig.toml = rig.toml.replace("[history]\n", '[history]\nsend = "none"\n') + "[delivery]\ndelete_grace_s = 0\n"
    play(rig.shop, seed=3)
    with rig.daemon() as daemon:
        daemon.start()
        wait_until(lambda: daemon.ask("/status")["load"]["state"] == "done", 60, "the shop is read")
        wait_until(lambda: daemon.ask("/status")["waiting"]["bulk_invalidations"] == 0, 30, "all is rendered")
        assert rig.sandbox.state() == {}

        assert command("import", "pause", cwd=rig.folder).returncode == 0
        counted = command("import", "--dry-run", "--json", cwd=rig.folder)
        assert json.loads(counted.stdout)["DEAL"]["new"] > 0
        asked = command("import", cwd=rig.folder)
        assert "the running daemon begins within a second" in asked.stderr
        assert daemon.stop() == 0
    with rig.daemon() as daemon:
        daemon.start()
        wait_until(lambda: daemon.ask("/status")["load"]["state"] == "done", 30, "it runs again")
        assert rig.sandbox.state() == {}
        assert daemon.ask("/status")["import"]["is_paused"]
        assert command("import", "resume", cwd=rig.folder).returncode == 0
        rig.wait_for_equality()

        rig.server.run(
            "SET sql_log_bin = 0", "DELETE FROM sales_order ORDER BY entity_id LIMIT 1", database=rig.database
        )
        assert difference(full_render(rig.settings()), rig.sandbox.state())
        assert command("import", "--repair", cwd=rig.folder).returncode == 0
        rig.wait_for_equality()


def test_an_import_without_a_daemon_is_the_first_load_and_ends(rig: Rig) -> None:
    """It says its plan, which is what then arrives, sends everything, and leaves a state that ``run`` goes on with."""
    play(rig.shop, seed=4)
    planned = command("import", "--dry-run", "--json", cwd=_with_settings(rig))
    plan = json.loads(planned.stdout)
    done = command("import", cwd=rig.folder, limit_s=120)
    assert done.returncode == 0, done.stderr
    assert difference(full_render(rig.settings()), rig.sandbox.state()) == []
    assert sum(plan["messages"].values()) == len(rig.sandbox.state())


def _with_settings(rig: Rig) -> Path:
    (rig.folder / "magento-cdc.toml").write_text(rig.toml, encoding="utf-8")
    return rig.folder
