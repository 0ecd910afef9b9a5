"""Everything at once: random traffic, kills, rotations, server restarts, a sink that misbehaves; then it is right.

``SOAK_SEED`` draws another storm; ``python -m tests.soak`` draws one after the other.
"""

from __future__ import annotations

import itertools
import os
import random
import time

import pymysql
import pytest

from tests.acceptance.conftest import Rig, matrix_in_soak
from tests.acceptance.test_shop_day import Traffic
from tests.acceptance.test_starts import started
from tests.kit.assortment import stock_up
from tests.kit.daemon import Daemon, wait_until
from tests.kit.shop import Shop
from tests.kit.shop_day import random_ops

pytestmark = pytest.mark.slow
SOAK_SERVERS = ("mysql",)

SEED = int(os.environ.get("SOAK_SEED", "41"))
EVENTS = 10
OPERATIONS = 150
FAULTS: tuple[dict[str, object], ...] = (
    {"status": 503, "count": 3},
    {"status": 500, "count": 2},
    {"status": 429, "count": 1, "retry_after": 1},
    {"cut": "before", "count": 2},
    {"cut": "after", "count": 2},
    {"hang": 1},
    {"delay_ms": 300, "count": 5},
)
CRM_FAULTS: tuple[dict[str, object], ...] = (
    {"status": 503, "count": 3},
    {"status": 500, "count": 2},
    {"status": 429, "count": 1, "retry_after": 1},
    {"cut": "before", "count": 2},
    {"cut": "after", "count": 2},
    {"hang": True},
    {"hang": "after"},
    {"html": True},
    {"empty": True, "path": "/batch/"},
    {"delay_ms": 300, "count": 5},
)


@matrix_in_soak
def test_a_storm_ends_in_equality(rig: Rig) -> None:
    """Whatever happens on the way, the sandbox ends equal to the shop, and no rule of sending is broken."""
    rng = random.Random(SEED)
    rig.toml = started(rig.toml, rng.choice(["import", "import", "latest", "earliest"]))
    rig.toml = rig.toml.replace("[sink]", "[sink]\ntimeout_s = 2", 1)
    with rig.daemon() as daemon:
        daemon.start()
        wait_until(lambda: daemon.ask("/ready")["ready"], 30, "the daemon is ready")
        stock_up(rig.shop)
        traffic = Traffic(lambda: _trade(rig, random.Random(rng.random()), OPERATIONS))
        traffic.start()
        for _ in range(EVENTS):
            time.sleep(rng.uniform(0.05, 0.9))
            _something(rig, daemon, rng)
        traffic.finish()
        rig.sandbox.clear_faults()
        rig.wait_for_equality(120)
        assert daemon.stop() == 0
    rig.sandbox.assert_rules_kept()


def _trade(rig: Rig, rng: random.Random, count: int) -> None:
    """Random things; when the server goes away under them, somebody else goes on."""
    shop, done = rig.shop, 0
    while done < count:
        try:
            for _ in itertools.islice(random_ops(shop, rng), count - done):
                done += 1
                time.sleep(0.02)
        except pymysql.err.MySQLError:
            shop = _new_shop(rig, rng)


def _new_shop(rig: Rig, rng: random.Random) -> Shop:
    for _ in range(300):
        try:
            return Shop(rig.server.connect(database=rig.database), seed=rng.randrange(10**6))
        except pymysql.err.MySQLError:
            time.sleep(0.1)
    raise AssertionError("the server never came back")


def _something(rig: Rig, daemon: Daemon, rng: random.Random) -> None:
    what = rng.choices(["kill", "stop", "rotate", "fault", "restart"], [4, 2, 3, 5, 1])[0]
    if what == "kill":
        daemon.kill()
        daemon.start()
    elif what == "stop":
        daemon.port()  # it listens, so it handles signals
        assert daemon.stop() == 0
        daemon.start()
    elif what == "rotate":
        rig.server.rotate()
    elif what == "fault":
        if rig.sink == "crm":
            rig.sandbox.set_crm_fault(rng.choice(CRM_FAULTS))
        else:
            rig.sandbox.set_fault(rng.choice(FAULTS))
    else:
        rig.server.restart()
