"""Forms, subscribers and filters over a live shop: contacts that no order makes, and rows that move in and out."""

from __future__ import annotations

from mappers.guests import guest_id
from tests.acceptance.conftest import Rig
from tests.kit.daemon import command, wait_until
from tests.kit.shop.lines import Line

FORM = """
CREATE TABLE vb_contact_us_history (
  note_id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, contact_name VARCHAR(255), email VARCHAR(255), message TEXT,
  phone VARCHAR(255) NULL, customer_id INT NULL, answer TEXT NULL, created_date TIMESTAMP DEFAULT CURRENT_TIMESTAMP)
"""
MAPPING = """
[mapping]
subscribers = true
[[mapping.contact_forms]]
table = "vb_contact_us_history"
email = "email"
customer = "customer_id"
properties = { firstname = "contact_name", last_message = "message" }
[mapping.filter]
customer_groups = { without = ["Wholesale"] }
product_visibility = { without = ["not_visible"] }
[[mapping.filter.test_orders]]
column = "status"
equals = "fraud"
"""


def contact(rig: Rig, email: str) -> dict[str, str]:
    """The properties of the guest with this email."""
    found: dict[str, str] = rig.sandbox.state().get(f"magento-guest-{guest_id(email)}", {}).get("properties", {})
    return found


def test_forms_subscribers_and_filters_from_import_to_live_change(rig: Rig) -> None:
    """What was there before, what comes, what moves out and in: at each end the receiver holds a full render."""
    shop = rig.shop
    shop.db.execute(FORM)
    product = shop.create_product("MUG", "Mug", "9.90")
    order, other = (shop.place_order(shop.person(), [Line(product)]) for _ in range(2))
    shop.db.insert("vb_contact_us_history", contact_name="Ann", email="Ann@example.com", message="Hello")
    shop.subscribe("bob@example.com")
    rig.toml += MAPPING
    with rig.daemon() as daemon:
        assert command("mapping", "push", cwd=rig.folder).returncode == 0
        daemon.start()
        wait_until(lambda: contact(rig, "ann@example.com").get("last_message") == "Hello", 60, "the form is imported")
        rig.wait_for_equality()
        assert contact(rig, "bob@example.com") != {}

        shop.db.insert("vb_contact_us_history", contact_name="Eve", email="eve@example.com", message="Late")
        shop.set_status(order, "fraud")
        wait_until(lambda: contact(rig, "eve@example.com").get("firstname") == "Eve", 30, "a new message arrives")
        wait_until(lambda: f"magento-order-{order}" not in rig.sandbox.state(), 30, "the order moves out")
        rig.wait_for_equality()
        state = rig.sandbox.state()
        assert f"magento-order-{other}" in state
        assert f"magento-product-{product}" in state

        shop.set_status(order, "processing")
        shop.db.update("vb_contact_us_history", {"email": "eve@example.com"}, answer="Thank you")
        wait_until(lambda: f"magento-order-{order}" in rig.sandbox.state(), 30, "the order moves in again")
        rig.wait_for_equality()
        assert daemon.stop() == 0
    assert rig.sandbox.violations() == {}
    assert [line for line in daemon.lines() if line["level"] in ("error", "critical")] == []
