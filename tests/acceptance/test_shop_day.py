"""The recorded shop's day played as SQL while the daemon runs, is killed, is restarted: HubSpot ends right."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice

import pytest

from tests.acceptance.conftest import Rig, matrix, matrix_on_mariadb
from tests.kit.daemon import wait_until
from tests.kit.shop import Shop
from tests.kit.shop_day import play, random_ops

pytestmark = pytest.mark.slow


class Traffic(threading.Thread):
    """Plays something on the shop in the background; its error comes out of ``finish``."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(name="traffic", daemon=True)
        self._work = work
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001  # handed to the test
            self._error = error

    def finish(self) -> None:
        """Wait for the end."""
        self.join(120)
        assert not self.is_alive(), "the shop's traffic never ended"
        if self._error is not None:
            raise self._error


@matrix
def test_a_day_while_the_daemon_runs(rig: Rig) -> None:
    """After the day the sandbox equals a full render of the database, and no rule of sending was ever broken."""
    with rig.daemon() as daemon:
        daemon.start()
        play(rig.shop, seed=3, pace=0.05)
        rig.wait_for_equality()

        assert daemon.ask("/ready") == {"ready": True, "role": "alone", "reasons": []}
        assert daemon.stop() == 0
    rig.sandbox.assert_rules_kept()
    assert [line for line in daemon.lines() if line["level"] in ("error", "critical")] == []


@pytest.mark.parametrize("server", ["mariadb_11"], indirect=True)
def test_a_day_with_history_and_kills_on_mariadb_11(rig: Rig) -> None:
    """A shop that lived before is imported from MariaDB 11.8 while its day goes on and the daemon is killed."""
    rng = random.Random(13)
    play(rig.shop, seed=4)
    operations = random_ops(rig.shop, random.Random(5))
    traffic = Traffic(lambda: deque(islice(operations, 80), maxlen=0))
    with rig.daemon() as daemon:
        daemon.start()
        traffic.start()
        for _ in range(3):
            time.sleep(rng.uniform(0.3, 1.2))  # a moment that has nothing to do with what the daemon does
            daemon.kill()
            daemon.start()
        traffic.finish()
        rig.wait_for_equality()

        assert daemon.ask("/ready") == {"ready": True, "role": "alone", "reasons": []}
        assert daemon.stop() == 0
    rig.sandbox.assert_rules_kept()


def test_a_day_over_version_2_of_the_bridge(rig: Rig) -> None:
    """With ``sink.api_version = 2`` the same day ends equal in a store of its own, compressed on the way."""
    version = 'api_version = 2\nstore_id = "mg1"\ngzip = true\n'
    rig.toml = rig.toml.replace("[sink]\n", "[sink]\n" + version)
    rig.push()
    with rig.daemon() as daemon:
        daemon.start()
        play(rig.shop, seed=3)
        rig.wait_for_equality()

        assert daemon.stop() == 0
    assert rig.sandbox.state() == {}
    rig.assert_deleted_people_are_forgotten()


@matrix
def test_history_first_then_the_day(rig: Rig) -> None:
    """A shop that lived before the daemon came is imported while its day goes on."""
    play(rig.shop, seed=4)
    rng = random.Random(5)
    with rig.daemon() as daemon:
        daemon.start()
        for _, _operation in zip(range(40), random_ops(rig.shop, rng), strict=False):
            pass
        rig.wait_for_equality()

        assert daemon.stop() == 0
    rig.assert_deleted_people_are_forgotten()
    rig.sandbox.assert_rules_kept()


@matrix_on_mariadb
def test_ten_kills_and_two_restarts_change_nothing_in_the_end(rig: Rig) -> None:
    """kill -9 at ten random moments, SIGTERM twice, under traffic: nothing lost, nothing reordered."""
    rng = random.Random(11)
    traffic = Traffic(lambda: play(rig.shop, seed=6, pace=0.3, scale=2))
    with rig.daemon() as daemon:
        daemon.start()
        traffic.start()
        for turn in range(12):
            time.sleep(rng.uniform(0.1, 0.9))
            if turn % 6 == 5:
                daemon.port()  # it listens, so it handles signals
                assert daemon.stop() == 0
            else:
                daemon.kill()
            daemon.start()
        traffic.finish()
        rig.wait_for_equality()
    rig.sandbox.assert_rules_kept()


@matrix_on_mariadb
def test_the_server_restarts_under_the_daemon(rig: Rig) -> None:
    """A server that goes away and comes back is read on, without a restart of the daemon."""
    with rig.daemon() as daemon:
        daemon.start()
        play(rig.shop, seed=7)
        rig.wait_for_equality()
        rig.server.restart()
        shop = Shop(rig.server.connect(database=rig.database), seed=2)
        customer = shop.register()
        wait_until(lambda: f"magento-customer-{customer}" in rig.objects(), 60, "the new customer arrives")

        shop.db.connection.close()

        assert daemon.is_running
        assert daemon.stop() == 0
