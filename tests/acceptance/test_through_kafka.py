"""The shop's day through relay, Kafka and two members, all of them killed at random: HubSpot ends right, in order."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from tests.acceptance.conftest import a_rig
from tests.acceptance.test_shop_day import Traffic
from tests.kit import topics
from tests.kit.broker import Broker
from tests.kit.canary import API_KEY
from tests.kit.daemon import Daemon, wait_until
from tests.kit.servers import Server
from tests.kit.shop_day import play
from tests.kit.topics import pair

pytestmark = pytest.mark.slow
LONG = pytest.mark.skipif("SOAK_SEED" not in os.environ, reason="members with the CRM: part of `make soak`")
"""tests/integration/test_members.py has members with the CRM in every run; this adds the relay, which no sink meets."""

SEED = int(os.environ.get("SOAK_SEED", "8"))
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "30" if "SOAK_SEED" in os.environ else "5"))


@pytest.mark.parametrize("sink", ["bridge", pytest.param("crm", marks=LONG)])
def test_a_day_through_relay_broker_and_two_members(mariadb: Server, tmp_path: Path, sink: str) -> None:
    """kill -9 of relay, members and, in soak, broker: sandbox = render, no rule broken, members alike."""
    rng = random.Random(SEED)
    (tmp_path / "relay").mkdir()
    with Broker() as broker, a_rig(mariadb, tmp_path, sink=sink) as rig:
        kafka = {"prefix": "day"}
        relay_toml = f'{rig.toml}[kafka]\nbrokers = ["{broker.bootstrap}"]\nprefix = "day"\n'
        relay = Daemon(tmp_path / "relay", relay_toml, verb="relay")
        key = {"kind": sink, "access_token": API_KEY} if sink == "crm" else {}
        toml = topics.settings_of(broker, kafka, rig.sandbox.url, source={"database": rig.database}, sink=key)
        members = pair(tmp_path, toml)
        traffic = Traffic(lambda: play(rig.shop, seed=6, pace=0.3))
        try:
            relay.start()
            wait_until(lambda: "load_done" in (tmp_path / "relay" / "run.log").read_text(), 60, "the topic is there")
            traffic.start()
            for member in members:
                member.start()
            for turn in range(ROUNDS):
                time.sleep(rng.uniform(0.3, 1.2))
                if turn % 10 == 9:
                    broker.kill()
                    broker.start()
                    continue
                victim = rng.choice((relay, *members))
                if victim.is_running:
                    victim.kill()
                victim.start()
            traffic.finish()
            for daemon in (relay, *members):
                if not daemon.is_running:
                    daemon.start()
            rig.wait_for_equality(120.0)
            topics.until_nothing_waits(members, 60.0)
            wait_until(lambda: members[0].ledger() == members[1].ledger(), 30, "the ledgers are equal")
            assert members[0].engine() == members[1].engine()
        finally:
            for daemon in (relay, *members):
                if daemon.is_running:
                    daemon.kill()
        assert rig.sandbox.violations() == {}
