"""Foreign keys that change: what a deletion takes along is what the shop's keys say at that moment."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Rig
from tests.kit.daemon import Daemon, wait_until
from tests.kit.shop_day import play

pytestmark = pytest.mark.slow
SOAK_SERVERS = ("mysql",)

CORE = (
    "SELECT constraint_name AS name FROM information_schema.key_column_usage WHERE table_schema = DATABASE()"
    " AND table_name = 'sales_order' AND referenced_table_name = 'customer_entity'"
)
FIRST_WITH_ORDER = "SELECT MIN(customer_id) FROM sales_order"


def key(rig: Rig, old: str, new: str, rule: str) -> str:
    """The statement that gives orders another rule for when their customer goes."""
    drop = f"DROP FOREIGN KEY {old}" if old else ""
    add = (
        f"ADD CONSTRAINT {new} FOREIGN KEY (customer_id) REFERENCES customer_entity (entity_id) ON DELETE {rule}"
        if new
        else ""
    )
    return f"ALTER TABLE sales_order {', '.join(filter(None, (drop, add)))}"


def delete_customer(rig: Rig) -> None:
    """Delete the first customer that has orders; one must be left."""
    customer = rig.shop.db.rows(FIRST_WITH_ORDER)[0]["MIN(customer_id)"]
    assert customer is not None
    rig.server.run(f"DELETE FROM customer_entity WHERE entity_id = {customer}", database=rig.database)


def is_read(daemon: Daemon) -> bool:
    """Whether no table waits to be read again."""
    return bool(daemon.ask("/status")["load"]["state"] == "done")


def test_foreign_keys_that_change_are_followed(rig: Rig) -> None:
    """While the daemon runs, while it is stopped, there and back, and where the log does not tell of it."""
    rig.toml += "[delivery]\nmax_deletes_share = 1.0\n"  # the test deletes more than a fifth of this small shop
    with rig.daemon() as daemon:
        daemon.start()
        play(rig.shop, seed=61)
        rig.wait_for_equality()

        core = rig.shop.db.rows(CORE)[0]["name"]
        rig.server.run(key(rig, core, "TO_CASCADE", "CASCADE"), database=rig.database)
        delete_customer(rig)  # with the customer go their orders, and the orders' lines
        rig.wait_for_equality()
        rig.server.run(key(rig, "TO_CASCADE", core, "SET NULL"), database=rig.database)
        delete_customer(rig)  # the orders stay, without their customer
        rig.shop.register()
        rig.wait_for_equality()
        assert daemon.stop() == 0

        rig.server.run(key(rig, core, "FOR_A_WHILE", "CASCADE"), database=rig.database)
        delete_customer(rig)
        rig.server.run(key(rig, "FOR_A_WHILE", core, "SET NULL"), database=rig.database)
        delete_customer(rig)
        daemon.start()
        rig.shop.register()
        rig.wait_for_equality()
        wait_until(lambda: is_read(daemon), 30, "all tables are read again")
        assert daemon.stop() == 0

        rig.server.run("SET SESSION sql_log_bin = 0", key(rig, core, "SILENT", "CASCADE"), database=rig.database)
        delete_customer(rig)
        daemon.start()
        wait_until(lambda: is_read(daemon), 30, "all tables are read again")
        delete_customer(rig)
        rig.wait_for_equality()
        assert "foreign_keys_changed" in [line["event"] for line in daemon.lines_of_this_start()]
        assert daemon.stop() == 0
    assert rig.sandbox.violations() == {}
