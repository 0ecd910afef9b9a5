"""Other beginnings than an import, replays, and what follows when the position or the server is gone."""

from __future__ import annotations

import itertools
import os
import random
import time

import pytest

from tests.acceptance.conftest import Rig, matrix
from tests.acceptance.test_shop_day import Traffic
from tests.kit.daemon import wait_until
from tests.kit.shop import Shop
from tests.kit.shop_day import play, random_ops

pytestmark = pytest.mark.slow
SOAK_SERVERS = ("mysql",)

SEED = int(os.environ.get("SOAK_SEED", "21"))


def trade(shop: Shop, rng: random.Random, count: int) -> None:
    """Random things that happen in a shop that has been stocked."""
    for _ in itertools.islice(random_ops(shop, rng), count):
        pass


def started(toml: str, start: str) -> str:
    """The settings with another ``source.start``."""
    return toml.replace("[source]", f'[source]\nstart = "{start}"', 1)


@pytest.mark.parametrize("start", ["latest", "earliest"])
@matrix
def test_without_an_import_every_touched_object_is_pulled_and_right(rig: Rig, start: str) -> None:
    """Nothing is loaded but what changes touch; kills and restarts on the way change nothing in the end."""
    rig.toml = started(rig.toml, start)
    rng = random.Random(SEED)
    with rig.daemon() as daemon:
        daemon.start()
        wait_until(lambda: daemon.ask("/ready")["ready"], 30, "the daemon is ready")
        traffic = Traffic(lambda: play(rig.shop, seed=SEED, pace=0.2))
        traffic.start()
        for _ in range(4):
            time.sleep(rng.uniform(0.2, 1.2))
            daemon.kill()
            daemon.start()
        traffic.finish()
        rig.wait_for_equality()
    rig.sandbox.assert_rules_kept()


@matrix
def test_a_replay_under_traffic_sends_only_what_differs(rig: Rig) -> None:
    """``run --start earliest`` reads everything again: nothing is sent for what is known, and the end is right."""
    with rig.daemon() as daemon:
        daemon.start()
        play(rig.shop, seed=SEED)
        rig.wait_for_equality()
        assert daemon.stop() == 0
    before = rig.everything()
    with rig.daemon("--start", "earliest", "--until-end") as daemon:
        assert daemon.start().wait() == 0
    assert rig.everything() == before
    traffic = Traffic(lambda: trade(rig.shop, random.Random(SEED), 60))
    with rig.daemon("--start", "earliest") as daemon:
        daemon.start()
        traffic.start()
        time.sleep(0.7)
        daemon.kill()
        daemon.start()
        traffic.finish()
        rig.wait_for_equality()
        assert daemon.stop() == 0
    rig.sandbox.assert_rules_kept()
