"""What a customer is worth, by the installed command: switched on over an account that is full, then through kills."""

from __future__ import annotations

import random
from itertools import islice

import pytest

from tests.acceptance.conftest import Rig
from tests.acceptance.test_refusals import refused
from tests.kit.daemon import wait_until
from tests.kit.shop import Shop
from tests.kit.shop_day import play, random_ops

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("server", ["mariadb"], indirect=True),  # whichever
    pytest.mark.parametrize("sink", ["crm", pytest.param("bridge", marks=pytest.mark.soak)], indirect=True),
]

WORTH = """
[mapping.customer_value]
enabled = true
frequency = [2, 4]
monetary = [50, 200]
"""


def test_a_state_without_an_import_is_refused(rig: Rig) -> None:
    """It holds only orders that change, so the properties would be left out for ever: a run says so, and exits 2."""
    with rig.daemon("--start", "latest") as plain:
        plain.start()
        wait_until(lambda: plain.ask("/ready")["ready"], 60, "the daemon is ready")
        assert plain.stop() == 0

    said = refused(rig, rig.toml + WORTH, 2)
    assert "mapping.customer_value" in said
    assert "remove the state folder" in said


def test_sums_are_right_from_the_first_load_through_kills_on(rig: Rig) -> None:
    """A mapping without sums fills the account; with them the orders are read again; kills lose and double nothing."""
    with rig.daemon() as plain:
        plain.start()
        play(rig.shop, seed=5)
        rig.wait_for_equality()
        assert plain.stop() == 0

    rig.toml += WORTH
    rig.push()
    connection = rig.server.connect(database=rig.database)
    traffic = Shop(connection, seed=6)
    with rig.daemon("--yes") as daemon:
        for round_ in range(3):
            daemon.start()
            wait_until(lambda: daemon.ask("/ready")["ready"], 60, "the daemon is ready")
            for _ in islice(random_ops(traffic, random.Random(round_)), 60):
                pass
            daemon.kill()
        daemon.start()
        rig.wait_for_equality(120)
        assert daemon.stop() == 0
    connection.close()
