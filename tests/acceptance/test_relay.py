"""``magento-cdc relay``: the shop's whole history and every change of it, each once, whatever is killed."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest

from cdc.kafka.record import Mark, RowChange
from tests.acceptance.conftest import Rig, a_rig
from tests.kit.broker import Broker
from tests.kit.changes_topic import Read, faults_of_order, read_now, replica_rows
from tests.kit.daemon import Daemon, wait_until
from tests.kit.servers import Server
from tests.kit.traffic import random_ops

PREFIX = "shop.relay"
SEED = int(os.environ.get("SOAK_SEED", "7"))
ROUNDS = 12 if "SOAK_SEED" in os.environ else 0
"""Kills in soak, drawn by lot; else one of the relay, one of both, and one of the broker at the end."""


@dataclass
class RelayRig:
    """A shop, a broker, and a relay between them."""

    rig: Rig
    broker: Broker
    prefix: str
    more: str = ""

    @property
    def topic(self) -> str:
        return f"{self.prefix}.changes"

    @property
    def state(self) -> Path:
        return self.rig.folder / "state"

    def relay(self, *arguments: str) -> Daemon:
        """The command."""
        return Daemon(self.rig.folder, self.toml(), *arguments, verb="relay")

    def toml(self) -> str:
        """Its settings."""
        kafka = f'[kafka]\nbrokers = ["{self.broker.bootstrap}"]\nprefix = "{self.prefix}"\n{self.more}'
        return self.rig.toml + kafka

    def to_the_end(self) -> Read:
        """Run until the end of the log; what the topic holds then."""
        with self.relay("--until-end") as relay:
            relay.start()
            code = relay.wait(90)
            assert code == 0, (self.rig.folder / "run.log").read_text()[-3000:]
        return self.read()

    def traffic(self, count: int, seed: int = 1) -> None:
        """So many random things happen in the shop."""
        for _ in islice(random_ops(self.rig.shop, random.Random(seed)), count):
            pass

    def read(self) -> Read:
        """What the topic holds."""
        return read_now(self.broker, self.topic)

    def must_hold(self) -> Read:
        """The topic keeps every promise, and folds to the replica."""
        found = self.to_the_end()
        assert faults_of_order(found.changes) == []
        assert found.rows() == replica_rows(self.state)
        return found


@contextmanager
def relay_rig(server: Server, broker: Broker, folder: Path, prefix: str, more: str = "") -> Iterator[RelayRig]:
    """A shop on this server, and a relay into this broker."""
    with a_rig(server, folder) as rig:
        yield RelayRig(rig, broker, prefix, more)


@pytest.fixture
def relays(server: Server, kafka: Broker, tmp_path: Path) -> Iterator[RelayRig]:
    """On each kind of server in turn."""
    with relay_rig(server, kafka, tmp_path, f"{PREFIX}.{server.flavor}.{tmp_path.name}") as made:
        yield made


def test_history_and_changes_are_published_once(relays: RelayRig) -> None:
    """The topic holds the store as it is, then each change; a second start adds nothing."""
    first = relays.must_hold()
    assert first.marks[-1].is_complete
    assert {record.table for record in first.tables} >= set(first.rows())

    relays.traffic(60)
    second = relays.must_hold()
    fresh = second.changes[len(first.changes) :]
    assert {"sales_order", "sales_order_item"} <= {change.table for change in fresh}
    assert {change.op for change in fresh} <= {"c", "u", "d"}

    assert relays.must_hold().changes == second.changes


def test_a_lost_disk_is_rebuilt_from_the_topic(mariadb: Server, kafka: Broker, tmp_path: Path) -> None:
    """The state is gone, the shop went on meanwhile: the topic gives rows and position back."""
    with relay_rig(mariadb, kafka, tmp_path, f"{PREFIX}.disk") as relays:
        relays.traffic(30, seed=2)
        relays.must_hold()
        held = replica_rows(relays.state)
        shutil.rmtree(relays.state)
        relays.traffic(30, seed=3)

        relays.must_hold()

        assert "state_rebuilt_from_topic" in (tmp_path / "run.log").read_text()
        assert replica_rows(relays.state) != held


def test_an_old_copy_of_the_state_is_not_believed(mariadb: Server, kafka: Broker, tmp_path: Path) -> None:
    """A restored state does not know what was published since: the topic decides, and nothing comes twice."""
    with relay_rig(mariadb, kafka, tmp_path, f"{PREFIX}.copy") as relays:
        relays.must_hold()
        shutil.copytree(relays.state, tmp_path / "copy")
        relays.traffic(20)
        relays.must_hold()
        shutil.rmtree(relays.state)
        (tmp_path / "copy").rename(relays.state)
        relays.traffic(20, seed=2)

        relays.must_hold()

        assert "state_rebuilt_from_topic" in (tmp_path / "run.log").read_text()


def test_a_second_relay_stops_the_first(mariadb: Server, kafka: Broker, tmp_path: Path) -> None:
    """The newest writer of a topic is the only one; the other ends with exit code 1 and says why."""
    with relay_rig(mariadb, kafka, tmp_path, f"{PREFIX}.two") as relays, relays.relay() as first:
        first.start()
        wait_until(lambda: first.ask("/ready")["ready"], 30, "the first relay is ready")
        (tmp_path / "second").mkdir()
        with Daemon(tmp_path / "second", relays.toml(), verb="relay") as second:
            second.start()
            wait_until(lambda: second.ask("/ready")["ready"], 30, "the second relay is ready")
            relays.traffic(5)

            assert first.wait(30) == 1
            assert "another relay writes topic" in (tmp_path / "run.log").read_text()
            assert second.stop() == 0
        shutil.rmtree(relays.state)
        relays.must_hold()


def test_a_large_transaction_is_split_between_rows(mariadb: Server, kafka: Broker, tmp_path: Path) -> None:
    """Over kafka.max_transaction_mb it takes several of Kafka's, whose marks say how far they are."""
    with relay_rig(mariadb, kafka, tmp_path, f"{PREFIX}.large", "max_transaction_mb = 1") as relays:
        relays.traffic(30)
        relays.must_hold()
        before = len(relays.read().items)
        mariadb.run(
            "SET SESSION cte_max_recursion_depth = 100000" if mariadb.flavor == "mysql" else "SELECT 1",
            "INSERT INTO customer_entity (website_id, email, group_id, store_id, firstname, lastname)"
            " SELECT 1, concat('a', seq, '@bulk.example.com'), 1, 1, repeat('x', 200), 'y' FROM seq_1_to_4000",
            database=relays.rig.database,
        )
        found = relays.must_hold()

    fresh = found.items[before:]
    halves = [item for item in fresh if isinstance(item, Mark) and item.rows]
    assert len(halves) >= 2
    assert len({item.tx for item in fresh if isinstance(item, RowChange)}) == 1


def test_kills_of_relay_and_broker_lose_and_repeat_nothing(mariadb: Server, tmp_path: Path) -> None:
    """kill -9 of the relay, of the broker and of both at random moments under traffic."""
    rng = random.Random(SEED)
    blows = [rng.choice(["relay", "relay", "broker", "both"]) for _ in range(ROUNDS)] or ["relay", "both"]
    with Broker() as broker, relay_rig(mariadb, broker, tmp_path, "kills", "request_timeout_s = 3") as relays:
        relay = relays.relay().start()
        for round_, blow in enumerate(blows):
            relays.traffic(12, seed=round_)
            time.sleep(rng.uniform(0, 0.7))  # a moment that has nothing to do with what the relay does
            match blow:
                case "relay":
                    relay.kill()
                    relay.start()
                case "broker":
                    broker.kill()
                    relays.traffic(5, seed=100 + round_)
                    broker.start()
                case "both":
                    broker.kill()
                    relay.kill()
                    broker.start()
                    relay.start()
        wait_until(lambda: relay.ask("/ready")["ready"], 30, "the relay has found the broker again")
        broker.kill()
        relays.traffic(5, seed=99)
        assert relay.stop(20) == 0  # what waits stays in the state
        broker.start()

        relays.must_hold()
