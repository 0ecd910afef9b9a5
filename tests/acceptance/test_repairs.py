"""Gaps that can be closed: a log that was purged past us, and statements instead of rows."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Rig
from tests.kit.daemon import Daemon, wait_until
from tests.kit.shop import Shop
from tests.kit.shop_day import play

pytestmark = pytest.mark.slow
SOAK_SERVERS = ("mysql",)


def repairing(rig: Rig, what: str) -> None:
    """The settings with this fault to be repaired; the tests delete about a fifth of this small shop."""
    rig.toml = rig.toml.replace("[source]", f'[source]\n{what} = "repair"', 1)
    rig.toml += "[delivery]\nmax_deletes_share = 1.0\n"


def is_read(daemon: Daemon) -> bool:
    """Whether no table waits to be read again."""
    return bool(daemon.ask("/status")["load"]["state"] == "done")


def change_all_sorts(shop: Shop) -> None:
    """Deleted, changed and new objects of every kind."""
    orders = shop.db.rows("SELECT entity_id, customer_email FROM sales_order ORDER BY entity_id")
    customers = shop.db.rows("SELECT entity_id FROM customer_entity ORDER BY entity_id")
    products = shop.db.rows("SELECT entity_id FROM catalog_product_entity ORDER BY entity_id")
    shop.db.delete("sales_order", entity_id=orders[0]["entity_id"])
    shop.db.update("sales_order", {"entity_id": orders[1]["entity_id"]}, customer_email="other@example.com")
    shop.db.update("sales_order", {"entity_id": orders[2]["entity_id"]}, grand_total="1.23")
    shop.delete_customer(customers[0]["entity_id"])
    shop.edit_customer(customers[1]["entity_id"], firstname="Renamed")
    shop.delete_product(products[0]["entity_id"])
    shop.rename(products[1]["entity_id"], "Another name")
    shop.register()


def purge_past(rig: Rig) -> None:
    """Leave only the newest log file."""
    rig.server.rotate()
    rig.server.rotate()
    newest = rig.server.log_position()[0]
    wait_until(lambda: _purged(rig, newest), 30, "older log files are purged")


def _purged(rig: Rig, newest: str) -> bool:
    rig.server.run(f"PURGE BINARY LOGS TO '{newest}'")
    return len(rig.server.run("SHOW BINARY LOGS")) == 1


def test_a_lost_position_is_repaired(rig: Rig) -> None:
    """What was deleted, changed and made while the log was purged past us arrives, and only that is sent."""
    repairing(rig, "on_lost_position")
    with rig.daemon() as daemon:
        daemon.start()
        play(rig.shop, seed=41)
        rig.wait_for_equality()
        assert daemon.stop() == 0
        change_all_sorts(rig.shop)
        purge_past(rig)
        rig.shop.register()
        daemon.start()
        rig.wait_for_equality()
        wait_until(lambda: is_read(daemon), 30, "all tables are read again")
        rig.shop.register()
        rig.wait_for_equality()
        said = [line["event"] for line in daemon.lines_of_this_start()]
        assert daemon.stop() == 0
    assert said.count("position_lost") == 1
    assert rig.sandbox.violations() == {}


def test_a_position_lost_during_the_repair_is_repaired_too(rig: Rig) -> None:
    """Killed in the middle of reading everything again, and the log purged once more: the end is right."""
    repairing(rig, "on_lost_position")
    with rig.daemon() as daemon:
        daemon.start()
        play(rig.shop, seed=42)
        rig.wait_for_equality()
        daemon.kill()
        for _ in range(2):
            change_all_sorts(rig.shop)
            purge_past(rig)
            daemon.start()
            wait_until(lambda: daemon.ask("/ready")["ready"], 30, "the daemon is ready")
            daemon.kill()
        daemon.start()
        rig.wait_for_equality()
    assert rig.sandbox.violations() == {}


def test_statements_instead_of_rows_are_repaired(rig: Rig) -> None:
    """What statements changed and deleted, and what went along with it, is read from the shop."""
    repairing(rig, "on_statement")
    with rig.daemon() as daemon:
        daemon.start()
        play(rig.shop, seed=43)
        rig.wait_for_equality()
        rig.server.run(
            "SET SESSION binlog_format = 'STATEMENT'",
            "UPDATE customer_entity SET firstname = CONCAT(firstname, ' the Second')",
            "UPDATE sales_order SET customer_email = 'moved@example.com' ORDER BY entity_id LIMIT 2",
            "DELETE FROM sales_order ORDER BY entity_id DESC LIMIT 1",
            "DELETE FROM customer_entity ORDER BY entity_id LIMIT 1",
            database=rig.database,
        )
        rig.shop.register()
        rig.wait_for_equality()
        wait_until(lambda: is_read(daemon), 30, "all tables are read again")
        assert daemon.stop() == 0
    assert rig.sandbox.violations() == {}


def test_values_that_definitions_change_arrive(rig: Rig) -> None:
    """A narrower type, another character set, a copy renamed into place and a table made anew: no rows tell of them."""
    with rig.daemon() as daemon:
        daemon.start()
        play(rig.shop, seed=44)
        rig.wait_for_equality()
        rig.server.run(
            "SET SESSION foreign_key_checks = 0, sql_mode = ''",
            "ALTER TABLE sales_order MODIFY grand_total DECIMAL(20,0), ADD unmapped INT FIRST",
            "CREATE TABLE _newsletter_gho LIKE newsletter_subscriber",
            "ALTER TABLE _newsletter_gho ADD unmapped INT",
            "SET SESSION sql_log_bin = 0",
            "INSERT INTO _newsletter_gho SELECT *, 1 FROM newsletter_subscriber",
            "UPDATE _newsletter_gho SET subscriber_status = 3",
            "SET SESSION sql_log_bin = 1",
            "RENAME TABLE newsletter_subscriber TO _newsletter_del, _newsletter_gho TO newsletter_subscriber",
            "ALTER TABLE customer_entity MODIFY firstname VARCHAR(3) CHARACTER SET latin1",
            database=rig.database,
        )
        rig.shop.register()
        rig.wait_for_equality()
        wait_until(lambda: is_read(daemon), 30, "all tables are read again")
        rig.shop.register()
        rig.wait_for_equality()
        assert daemon.stop() == 0
    assert rig.sandbox.violations() == {}
