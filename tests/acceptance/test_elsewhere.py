"""Another server behind the settings, or another log on the same server: followed where that is safe, else said."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.acceptance.conftest import Rig, a_rig, make_toml
from tests.acceptance.test_starts import started, trade
from tests.integration.test_live_positions import RESET, copy
from tests.integration.test_live_source import PASSWORD
from tests.kit.daemon import command, wait_until
from tests.kit.servers import MariaDB, MySQL
from tests.kit.shop import Shop
from tests.kit.shop_day import play

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("flavor", "start"), [("mariadb", "import"), ("mysql", "import"), ("mariadb", "latest")])
def test_a_failover_by_gtid_loses_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, flavor: str, start: str
) -> None:
    """What the old server wrote last and what the new one writes both arrive, whatever its log files are called."""
    request.getfixturevalue(flavor)
    kind = MariaDB if flavor == "mariadb" else MySQL
    logs_copies = {"log_slave_updates" if flavor == "mariadb" else "log_replica_updates": True}
    with kind() as old, kind(logs_copies) as new, a_rig(old, tmp_path) as rig:
        old.create_user("copier", PASSWORD, ["REPLICATION SLAVE ON *.*"])
        rig.toml = started(rig.toml, start)
        with rig.daemon() as daemon:
            daemon.start()
            wait_until(lambda: daemon.ask("/ready")["ready"], 30, "the daemon is ready")
            for _ in range(5):
                old.rotate()
            play(rig.shop, seed=31)
            rig.wait_for_equality()
            assert daemon.stop() == 0
        last = rig.shop.register()
        copy(old, new)
        wait_until(lambda: _has(new, rig.database, last), 60, "the replica catches up")
        new.run("STOP SLAVE" if flavor == "mariadb" else "STOP REPLICA")
        old.stop()
        toml = started(make_toml(new, rig.database, rig.sandbox.url), start)
        shop = Shop(new.connect(database=rig.database), seed=2)
        moved = Rig(new, rig.database, shop, rig.sandbox, tmp_path, toml)
        with moved.daemon() as daemon:
            daemon.start()
            trade(shop, random.Random(32), 60)
            moved.wait_for_equality()
            assert daemon.stop() == 0
            daemon.start()  # and goes on from there
            shop.register()
            moved.wait_for_equality()
            assert daemon.stop() == 0
        shop.db.connection.close()
        old.start()
        assert rig.sandbox.violations() == {}


def _has(server: MariaDB | MySQL, database: str, customer: int) -> bool:
    table = f"table_schema = '{database}' AND table_name = 'customer_entity'"
    if not server.run(f"SELECT 1 FROM information_schema.tables WHERE {table}"):
        return False
    return bool(server.run(f"SELECT 1 FROM `{database}`.customer_entity WHERE entity_id = {customer}"))


@pytest.mark.parametrize(
    ("flavor", "way"), [("mariadb", ("--start", "latest")), ("mysql", ("position", "set", "earliest"))]
)
def test_a_log_begun_anew_stops_and_goes_on_where_told(
    request: pytest.FixtureRequest, tmp_path: Path, flavor: str, way: tuple[str, ...]
) -> None:
    """A lost position ends with 3; ``run --start`` or ``position set``, as advised, follows the new log at once."""
    request.getfixturevalue(flavor)
    with (MariaDB if flavor == "mariadb" else MySQL)() as own, a_rig(own, tmp_path) as rig:
        for _ in range(5):
            own.rotate()
        with rig.daemon() as daemon:
            daemon.start()
            play(rig.shop, seed=33)
            rig.wait_for_equality()
            assert daemon.stop() == 0
        own.run(RESET[flavor])
        with rig.daemon() as daemon:
            assert daemon.start().wait() == 3
        if way[0] == "position":
            assert command(*way, cwd=tmp_path).returncode == 0
        with rig.daemon(*(way if way[0] == "--start" else ())) as daemon:
            daemon.start()
            wait_until(lambda: daemon.ask("/ready")["ready"], 30, "the daemon is ready")
            customer = rig.shop.register()
            wait_until(lambda: f"magento-customer-{customer}" in rig.sandbox.state(), 30, "the new customer arrives")
            rig.wait_for_equality()
            assert daemon.stop() == 0
        with rig.daemon() as daemon:
            daemon.start()
            rig.shop.register()
            rig.wait_for_equality()
            assert daemon.stop() == 0
        assert rig.sandbox.violations() == {}
