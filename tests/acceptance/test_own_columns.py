"""A shop with modules' columns and attributes of its own: mapped by settings alone, from import to live change."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Rig
from tests.acceptance.test_refusals import refused
from tests.kit.daemon import command, wait_until
from tests.kit.shop.lines import Line

SOAK_SERVERS = ("mysql",)

COLUMNS = (
    "ADD delivery_date DATETIME NOT NULL DEFAULT '0000-00-00 00:00:00'",
    "ADD delivery_comment TEXT",
    "ADD shipping_arrival_date DATE",
    "ADD mp_delivery_information TEXT",
    "ADD myparcel_delivery_options TEXT",
    "ADD drop_off_day DATE",
    "ADD etechflow_delivery_date VARCHAR(10)",
    "ADD etechflow_delivery_time_interval_id INT",
)
"""What five delivery-date modules add to the order."""

MAPPING = """
[mapping.deal.properties]
delivery_date = { column = "delivery_date", type = "date" }
delivery_comment = "delivery_comment"
arrival = { column = "shipping_arrival_date", type = "date" }
mp_date = { column = "mp_delivery_information", json = "$.deliveryDate", type = "date", format = "%m/%d/%Y" }
parcel_date = { column = "myparcel_delivery_options", json = "$.date", type = "date" }
drop_off = { column = "drop_off_day", type = "date", target = "shop_drop_off" }
etech_date = { column = "etechflow_delivery_date", type = "date", format = "%d-%m-%Y" }
etech_slot.column = "etechflow_delivery_time_interval_id"
etech_slot.lookup = { table = "etechflow_dd_time_interval", key = "interval_id", label = "{from_time} - {to_time}" }
[mapping.deal.shipping_address]
address_date = { column = "delivery_date", type = "date" }
[mapping.product.attributes]
color = "color"
materials = "materials"
cost = { code = "cost", type = "money" }
[mapping.customer.attributes]
loyalty_tier = "loyalty_tier"
[mapping.customer.address_attributes]
zone = "delivery_zone"
[mapping.contact.billing_address]
vat = "vat_id"
"""
ORDER_VALUES = {
    "delivery_date": "2026-03-05 00:00:00",
    "delivery_comment": "Ring twice",
    "shipping_arrival_date": "2026-03-05",
    "mp_delivery_information": '{"deliveryDate": "03/05/2026", "deliveryComment": "Ring twice"}',
    "myparcel_delivery_options": '{"date": "2026-03-05T00:00:00.000Z", "isPickup": false}',
    "drop_off_day": "2026-03-04",
    "etechflow_delivery_date": "05-03-2026",
    "etechflow_delivery_time_interval_id": 5,
}
SLOTS = """
CREATE TABLE etechflow_dd_time_interval (
  interval_id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, from_time VARCHAR(5), to_time VARCHAR(5))
"""


def with_modules(rig: Rig) -> None:
    """Add the modules' columns."""
    rig.shop.db.execute(f"ALTER TABLE sales_order {', '.join(COLUMNS)}")
    rig.shop.db.execute("ALTER TABLE sales_order_address ADD delivery_date VARCHAR(10)")
    rig.shop.db.execute(SLOTS)
    rig.shop.db.insert("etechflow_dd_time_interval", interval_id=5, from_time="09:00", to_time="12:00")


def held(rig: Rig, kind: str, identity: int) -> dict[str, str]:
    """The properties that the sandbox holds of an object, by our names."""
    found: dict[str, str] = rig.sandbox.state().get(f"magento-{kind}-{identity}", {}).get("properties", {})
    return found


def test_columns_and_attributes_from_import_to_live_change(rig: Rig) -> None:
    """Mapped later, they load by themselves; an order, an option's new name and a cleared value arrive."""
    with_modules(rig)
    shop = rig.shop
    values = {"color": shop.option("color", "Blue"), "cost": "4.5"}
    product = shop.create_product("MUG", "Mug", "9.90", values=values)
    customer = shop.register()
    [home] = shop.db.find("customer_address_entity", parent_id=customer)
    shop.set_delivery_zone(home["entity_id"], shop.option("delivery_zone", "Island"))
    order = shop.place_order(customer, [Line(product)])
    with rig.daemon() as plain:
        plain.start()
        rig.wait_for_equality()
        assert plain.stop() == 0
    rig.toml += MAPPING

    with rig.daemon("--yes") as daemon:  # so many further properties change every object
        assert command("mapping", "push", cwd=rig.folder).returncode == 0
        daemon.start()
        wait_until(lambda: held(rig, "product", product).get("color") == "Blue", 60, "the attribute is loaded")
        shop.db.update("sales_order", {"entity_id": order}, **ORDER_VALUES)
        shipping = {"parent_id": order, "address_type": "shipping"}
        shop.db.update("sales_order_address", shipping, delivery_date="2026-03-07")
        shop.db.update("etechflow_dd_time_interval", {"interval_id": 5}, to_time="13:00")
        assert held(rig, "customer", customer)["zone"] == "Island"
        shop.edit_customer_address(home["entity_id"], vat_id="FR00123456789")
        shop.rename_option("delivery_zone", "Island", "Islands")
        shop.rename_option("color", "Blue", "Navy")
        shop.set_loyalty_tier(customer, shop.option("loyalty_tier", "Gold"))
        wait_until(lambda: held(rig, "product", product).get("color") == "Navy", 60, "the renamed option arrives")
        wait_until(lambda: held(rig, "customer", customer).get("loyalty_tier") == "Gold", 60, "the tier arrives")
        rig.wait_for_equality()
        deal = held(rig, "order", order)
        assert [deal[name] for name in ("delivery_date", "arrival", "mp_date", "parcel_date", "etech_date")] == (
            ["2026-03-05"] * 5
        )
        assert (deal["delivery_comment"], deal["drop_off"]) == ("Ring twice", "2026-03-04")
        assert (deal["etech_slot"], deal["address_date"]) == ("09:00 - 13:00", "2026-03-07")
        assert held(rig, "product", product)["cost"] == "4.50"
        assert held(rig, "customer", customer)["zone"] == "Islands"
        assert held(rig, "customer", customer)["vat"] == "FR00123456789"

        shop.db.update("sales_order", {"entity_id": order}, delivery_date="0000-00-00 00:00:00")
        shop.set_loyalty_tier(customer, None)
        shop.delete_customer_address(home["entity_id"])
        wait_until(lambda: "delivery_date" not in held(rig, "order", order), 30, "the date is cleared")
        rig.wait_for_equality()
        assert not {"loyalty_tier", "zone", "vat"} & held(rig, "customer", customer).keys()
        assert daemon.stop() == 0
    assert rig.sandbox.violations() == {}
    assert [line for line in daemon.lines() if line["level"] in ("error", "critical")] == []


AMASTY = """
CREATE TABLE amasty_deliverydate_deliverydate_order (
  deliverydate_id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, order_id INT UNSIGNED NULL UNIQUE, date DATE NULL,
  time_from SMALLINT NULL, comment TEXT NULL,
  FOREIGN KEY (order_id) REFERENCES sales_order (entity_id) ON DELETE CASCADE)
"""
MAGEWORX = """
CREATE TABLE mageworx_dd_queue (
  entity_id INT UNSIGNED, store_id SMALLINT UNSIGNED, order_address_id INT UNSIGNED NULL UNIQUE, delivery_day DATE NULL,
  PRIMARY KEY (entity_id, store_id))
"""
SATELLITES = """
[[mapping.satellites]]
table = "amasty_deliverydate_deliverydate_order"
object = "deal"
key = "order_id"
properties = { delivery_date = { column = "date", type = "date" }, starts = { column = "time_from", type = "minutes" } }
[[mapping.satellites]]
table = "mageworx_dd_queue"
object = "deal"
key = "order_address_id"
via = { table = "sales_order_address", column = "entity_id", to = "parent_id" }
properties = { arrival = { column = "delivery_day", type = "date" } }
"""


def test_modules_tables_from_import_to_live_change(rig: Rig) -> None:
    """Their primary keys are found; rows before the start, after the order, moved and gone with it all arrive."""
    shop = rig.shop
    shop.db.execute(AMASTY)
    shop.db.execute(MAGEWORX)
    product = shop.create_product("MUG", "Mug", "9.90")
    first, second = (shop.place_order(shop.person(), [Line(product)]) for _ in range(2))
    shop.db.insert("amasty_deliverydate_deliverydate_order", order_id=first, date="2026-03-05", time_from=540)
    shop.db.insert("mageworx_dd_queue", entity_id=1, store_id=1, delivery_day="2026-03-06")
    rig.toml += SATELLITES
    with rig.daemon() as daemon:
        assert command("mapping", "push", cwd=rig.folder).returncode == 0
        daemon.start()
        wait_until(lambda: held(rig, "order", first).get("starts") == "09:00", 60, "the row before the start is there")
        rig.wait_for_equality()
        place = shop.db.find("sales_order_address", parent_id=second, address_type="shipping")[0]["entity_id"]
        shop.db.update("mageworx_dd_queue", {"entity_id": 1}, order_address_id=place)
        shop.db.update("amasty_deliverydate_deliverydate_order", {"order_id": first}, order_id=second)
        wait_until(lambda: held(rig, "order", second).get("arrival") == "2026-03-06", 30, "the queue's row arrives")
        wait_until(lambda: "starts" not in held(rig, "order", first), 30, "the moved row leaves its first order")
        rig.wait_for_equality()
        assert held(rig, "order", second)["starts"] == "09:00"

        shown = command("mapping", "show", "order", str(second), cwd=rig.folder)
        assert "2026-03-06" in shown.stdout, shown.stderr

        shop.db.delete("sales_order", entity_id=second)
        rig.wait_for_equality()
        for words in (("status",), ("check",), ("deadletter", "list")):
            assert command(*words, cwd=rig.folder).returncode == 0, words
        assert daemon.stop() == 0
    assert rig.sandbox.violations() == {}
    assert [line for line in daemon.lines() if line["level"] in ("error", "critical")] == []


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        (
            "[[mapping.satellites]]\ntable = 'sales_ordr_tax'\nkey = 'a'\nproperties.x = 'b'",
            "did you mean 'sales_order_tax'",
        ),
        ("[mapping.deal.properties]\nx = 'coupon_cod'", "did you mean 'coupon_code'"),
        ("[mapping.product.attributes]\nx = 'colr'", "did you mean 'color'"),
        ("[mapping.customer.attributes]\nx = 'gender'", "map it in mapping.contact.properties"),
        ("[mapping.customer.address_attributes]\nx = 'delivery_zon'", "correct mapping.customer.address_attributes"),
        ("[mapping.customer.address_attributes]\nx = 'company'", "map it in mapping.contact.billing_address"),
        ("[mapping.deal.properties]\nx = 'remote_ip'", "must not leave the shop"),
    ],
)
def test_a_mapping_that_the_shop_cannot_fill_is_refused(rig: Rig, mapping: str, said: str) -> None:
    """A misspelt column or attribute is answered with the nearest name, a secret with a refusal; both exit 2."""
    assert said in refused(rig, f"{rig.toml}\n{mapping}\n", 2)
