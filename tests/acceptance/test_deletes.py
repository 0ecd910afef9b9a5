"""The circuit breaker on deletions, from the shop's DELETE to the command that releases it."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Rig, both_sinks
from tests.kit.daemon import command, wait_until
from tests.kit.shop_day import play

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["mariadb"], indirect=True)]  # whichever


@both_sinks
def test_a_mass_deletion_waits_for_a_person(rig: Rig) -> None:
    """Pointing at a shop that loses everything must not empty the CRM: DELETEs are held until they are released."""
    rig.toml += "[delivery]\nmax_deletes_per_hour = 5\n"
    with rig.daemon() as daemon:
        daemon.start()
        play(rig.shop, seed=8)
        rig.wait_for_equality()
        before = len(rig.objects())
        rig.server.run("DELETE FROM sales_order", database=rig.database)
        wait_until(lambda: not daemon.ask("/ready")["ready"], 30, "/ready turns red")
        wait_until(lambda: not daemon.rows("SELECT 1 FROM render_queue"), 30, "every deletion is rendered, so held")
        listed = command("deletes", "list", "--json", cwd=rig.folder)

        assert len(rig.objects()) == before
        assert "magento-order-" in listed.stdout
        assert "deletes release" in str(daemon.ask("/ready")["reasons"])
        released = command("deletes", "release", cwd=rig.folder)
        assert released.returncode == 0
        rig.wait_for_equality()
        wait_until(lambda: daemon.ask("/ready")["ready"], 30, "/ready is green again")
