"""A shop whose tables all carry a prefix, from import to live change, with a shop beside it that has none."""

from __future__ import annotations

import random
from pathlib import Path

from tests.acceptance.conftest import a_rig
from tests.kit.assortment import stock_up
from tests.kit.daemon import wait_until
from tests.kit.servers import Server
from tests.kit.shop import Line
from tests.kit.traffic import random_ops


def test_a_prefix_from_import_to_live_change(mariadb: Server, tmp_path: Path) -> None:
    """Tables, foreign keys and their cascades are found under the prefix; the same names without it are not ours."""
    with a_rig(mariadb, tmp_path, prefix="m2_") as rig:
        shop = rig.shop
        shop.db.execute("CREATE TABLE sales_order (entity_id INT PRIMARY KEY, customer_email TEXT) ENGINE=InnoDB")
        products = stock_up(shop)
        before = shop.place_order(shop.register(), [Line(products["mug"])])
        rng = random.Random(3)
        with rig.daemon("--until-end") as daemon:
            assert daemon.start().wait() == 0
            assert [line["event"] for line in daemon.lines()].count("first_load_sent") == 1  # told before the end
        with rig.daemon() as daemon:
            daemon.start()
            wait_until(lambda: f"magento-order-{before}" in rig.sandbox.state(), 60, "the order from before arrives")
            for number, _operation in zip(range(40), random_ops(shop, rng), strict=False):
                shop.db.execute("REPLACE INTO sales_order VALUES (%s, 'not.ours@example.com')", 900_000 + number)
            shop.delete_order(before)
            rig.wait_for_equality()

            assert not [key for key in rig.sandbox.state() if key.startswith("magento-order-9000")]
            assert daemon.stop() == 0
        assert rig.sandbox.violations() == {}
        assert [line for line in daemon.lines() if line["level"] in ("error", "critical")] == []
