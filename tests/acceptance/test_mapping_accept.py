"""A changed mapping that would touch much of HubSpot waits for a person: from the settings file to the command."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.conftest import Rig
from tests.kit.daemon import command, wait_until
from tests.kit.shop_day import play

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["mariadb"], indirect=True)]  # whichever

FILTER = '[mapping.filter]\ncustomer_groups = { only = ["Retailer"] }\n'
"""A group that the shop has and nobody is in."""


def test_a_filter_that_leaves_out_the_shop_waits_for_a_person(rig: Rig) -> None:
    """Nothing is deleted, /ready names the plan and the command, check fails, and accepting lets the deletions go."""
    with rig.daemon() as daemon:
        daemon.start()
        play(rig.shop, seed=3)
        rig.wait_for_equality()
        assert daemon.stop() == 0
    before = rig.sandbox.state()

    rig.toml += FILTER
    with rig.daemon() as daemon:
        daemon.start()
        wait_until(lambda: "leaves out" in str(daemon.ask("/ready")["reasons"]), 30, "the plan is counted, and waits")
        assert rig.sandbox.state() == before

        checked = command("check", cwd=rig.folder)
        assert checked.returncode == 1
        assert "magento-cdc mapping accept" in checked.stdout
        shown = command("mapping", "accept", "--dry-run", "--json", cwd=rig.folder)
        assert json.loads(shown.stdout)["DEAL"]["deleted"] > 0
        assert not daemon.ask("/ready")["ready"]

        assert command("mapping", "accept", cwd=rig.folder).returncode == 0
        wait_until(lambda: daemon.ask("/status")["mapping"]["step"] == "", 30, "the mapping is taken")

        def is_released() -> bool:
            """The circuit breaker on deletions is a second question, of its own."""
            if daemon.ask("/status")["outbox"]["held"]:
                command("deletes", "release", cwd=rig.folder)
            return not [key for key in rig.sandbox.state() if "-order-" in key]

        wait_until(is_released, 60, "the deals are gone")
    assert "nothing to do" in command("mapping", "accept", cwd=rig.folder).stderr
