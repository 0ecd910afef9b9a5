"""A cart from the shop to HubSpot with the installed command: left, ordered, one record, through kills."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.acceptance.conftest import Rig
from tests.kit.assortment import stock_up
from tests.kit.daemon import command, wait_until
from tests.kit.shop import Line

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["mariadb"], indirect=True)]  # whichever

EVE = "eve@example.com"


def carts_and_deals(rig: Rig) -> dict[str, Any]:
    """Key → deal or cart, of those that are not deleted."""
    if rig.sink == "crm":
        state = rig.sandbox.crm_state()
        return {**state["DEAL"], **state["CART"]}
    return {key: one for key, one in rig.sandbox.state().items() if one["type"] == "DEAL"}


@pytest.mark.parametrize(
    ("sink", "sent_as"),
    [
        ("bridge", "deal"),
        pytest.param("crm", "deal", marks=pytest.mark.soak),
        ("crm", "both"),
        pytest.param("crm", "cart", marks=pytest.mark.soak),
    ],
    indirect=["sink"],
)
def test_a_cart_that_was_left_becomes_the_order(rig: Rig, sent_as: str) -> None:
    """The first load brings carts that were left before it; the order takes the deal of its cart, in the CRM with the
    same record, and a daemon that was killed in between makes no second one.
    """
    rig.toml += '[mapping.carts]\nenabled = true\nrestore_url = "https://shop.example.com/?c={quote_id}"\n'
    rig.toml += f'as = "{sent_as}"\n'
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
    name = f"magento-cart-{cart}" if sent_as != "cart" else f"magento-cart_object-{cart}"
    with rig.daemon() as daemon:
        daemon.start()
        wait_until(lambda: name in carts_and_deals(rig), 60, "the cart that was left is in HubSpot")
        if sent_as == "both":
            wait_until(lambda: f"magento-cart_object-{cart}" in carts_and_deals(rig), 60, "as a cart too")
        before = carts_and_deals(rig)[name]
        assert not [key for key in carts_and_deals(rig) if key.endswith(f"-{fresh}")]  # it was filled just now
        traced = command("trace", name.removeprefix("magento-"), cwd=rig.folder)
        assert (traced.returncode, "quote_item" in traced.stdout) == (0, True), traced.stdout
        if rig.sink == "crm":
            wait_until(lambda: command("verify", "--all", cwd=rig.folder).returncode == 0, 30, "nothing differs")
        daemon.kill()
        order = shop.place_order(shop.person(), [Line(products["mug"]), Line(products["cap"])], cart=cart)
        daemon.start()
        ends = {f"magento-order-{order}"} | ({f"magento-cart_object-{cart}"} if sent_as != "deal" else set())
        wait_until(lambda: carts_and_deals(rig).keys() == ends, 60, "the order's deal, and the cart where there is one")
        held = carts_and_deals(rig)[f"magento-order-{order}"]
        if sent_as != "deal":
            wait_until(lambda: is_completed(rig, cart, order), 60, "the order completed the cart")
            verified = command("verify", "--all", "--json", cwd=rig.folder)
            assert verified.returncode == 0, verified.stdout
        assert daemon.stop() == 0
    if rig.sink == "crm":
        # One deal for the whole purchase; where carts are no deals, the order has one of its own.
        assert (held["id"] == before["id"]) is (sent_as != "cart")
        assert not held["properties"].get("magento_cart_url")
        assert held["properties"]["magento_stage"] == "checkout_completed"
    assert [line for line in daemon.lines() if line["level"] in ("error", "critical")] == []


def is_completed(rig: Rig, cart: int, order: int) -> bool:
    """Whether the cart says so, is linked to the order's deal, and has its two lines still."""
    held = rig.sandbox.crm_state()["CART"][f"magento-cart_object-{cart}"]
    links = held["associations"]
    is_linked = links.get("DEAL") == [f"magento-order-{order}"] and len(links.get("LINE_ITEM", ())) == 2
    return bool(held["properties"]["hs_external_status"] == "completed" and is_linked)
