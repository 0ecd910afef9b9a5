"""A cart from the shop to HubSpot with the installed command: left, ordered, one record, through kills."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.acceptance.conftest import Rig, both_sinks
from tests.kit.assortment import stock_up
from tests.kit.daemon import command, wait_until
from tests.kit.shop import Line

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["mariadb"], indirect=True)]  # whichever

EVE = "eve@example.com"


def deals(rig: Rig) -> dict[str, Any]:
    """Key → deal, of those that are not deleted."""
    if rig.sink == "crm":
        return dict(rig.sandbox.crm_state()["DEAL"])
    return {key: one for key, one in rig.sandbox.state().items() if one["type"] == "DEAL"}


@both_sinks
def test_a_cart_that_was_left_becomes_the_order(rig: Rig) -> None:
    """The first load brings carts that were left before it; the order takes the deal of its cart, in the CRM with the
    same record, and a daemon that was killed in between makes no second one.
    """
    rig.toml += '[mapping.carts]\nenabled = true\nrestore_url = "https://shop.example.com/?c={quote_id}"\n'
    if rig.sink == "crm":
        rig.push()
    shop = rig.shop
    products = stock_up(shop)
    left = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=3)
    cart = shop.add_to_cart([products["mug"], products["cap"]])
    shop.begin_checkout(cart, EVE)
    fresh = shop.add_to_cart([products["mug"]])
    shop.begin_checkout(fresh, "fresh@example.com")
    shop.db.update("quote", {"entity_id": cart}, updated_at=f"{left:%Y-%m-%d %H:%M:%S}")
    with rig.daemon() as daemon:
        daemon.start()
        wait_until(lambda: f"magento-cart-{cart}" in deals(rig), 60, "the cart that was left is a deal")
        before = deals(rig)[f"magento-cart-{cart}"]
        assert list(deals(rig)) == [f"magento-cart-{cart}"]  # the other one was filled just now
        traced = command("trace", f"cart-{cart}", cwd=rig.folder)
        assert (traced.returncode, "quote_item" in traced.stdout) == (0, True), traced.stdout
        if rig.sink == "crm":
            verified = command("verify", "--all", "--json", cwd=rig.folder)
            assert verified.returncode == 0, verified.stdout
        daemon.kill()
        order = shop.place_order(shop.person(), [Line(products["mug"]), Line(products["cap"])], cart=cart)
        daemon.start()
        wait_until(lambda: list(deals(rig)) == [f"magento-order-{order}"], 60, "the order's deal alone is left")
        held = deals(rig)[f"magento-order-{order}"]
        assert daemon.stop() == 0
    if rig.sink == "crm":
        assert held["id"] == before["id"]
        assert not held["properties"].get("magento_cart_url")
        assert held["properties"]["magento_stage"] == "checkout_completed"
    assert [line for line in daemon.lines() if line["level"] in ("error", "critical")] == []
