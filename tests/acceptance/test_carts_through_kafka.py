"""Carts through relay, Kafka and two members: both know which carts were left, whoever of them sends."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.acceptance.conftest import a_rig
from tests.acceptance.test_carts import is_completed
from tests.kit import topics
from tests.kit.assortment import stock_up
from tests.kit.broker import Broker
from tests.kit.canary import API_KEY
from tests.kit.crm_state import crm_difference
from tests.kit.daemon import Daemon, wait_until
from tests.kit.full_render import clocks_in, full_render
from tests.kit.servers import Server
from tests.kit.shop import Line
from tests.kit.topics import leader_of, pair

pytestmark = [pytest.mark.slow, pytest.mark.soak]
"""Two minutes; tests/unit/carts holds two members to the same facts in every run."""
CARTS = '[mapping.carts]\nenabled = true\nas = "{}"\n'


@pytest.mark.parametrize("sent_as", ["deal", "cart", "both"])
def test_a_cart_outlives_the_member_that_sent_it(mariadb: Server, tmp_path: Path, sent_as: str) -> None:
    """One member sends the cart and is killed; the other one completes it when the order comes. Then both know the same
    of every cart, and HubSpot holds a full render.
    """
    (tmp_path / "relay").mkdir()
    with Broker() as broker, a_rig(mariadb, tmp_path, sink="crm") as rig:
        rig.toml += CARTS.format(sent_as)
        rig.push()
        relay_toml = f'{rig.toml}[kafka]\nbrokers = ["{broker.bootstrap}"]\nprefix = "day"\n'
        relay = Daemon(tmp_path / "relay", relay_toml, verb="relay")
        toml = topics.settings_of(
            broker,
            {"prefix": "day"},
            rig.sandbox.url,
            source={"database": rig.database},
            sink={"kind": "crm", "access_token": API_KEY},
            delivery={"delete_grace_s": 0},
        )
        members = pair(tmp_path, toml + CARTS.format(sent_as))
        shop, ahead_s = rig.shop, 0.0
        shop.db.clock = lambda: time.time() + ahead_s
        products = stock_up(shop)
        name = "magento-cart-{}" if sent_as == "deal" else "magento-cart_object-{}"
        kind = "DEAL" if sent_as == "deal" else "CART"
        try:
            relay.start()
            wait_until(lambda: "load_done" in (tmp_path / "relay" / "run.log").read_text(), 60, "the topic is there")
            for member in members:
                member.start()
            leader = leader_of(members)
            cart = shop.add_to_cart([products["mug"], products["cap"]])
            shop.begin_checkout(cart, "eve@example.com")
            ahead_s += 61 * 60
            shop.add_to_cart([products["mug"]])
            wait_until(lambda: name.format(cart) in rig.sandbox.crm_state()[kind], 90, "the cart was left")
            leader.kill()
            order = shop.place_order(shop.person(), [Line(products["mug"]), Line(products["cap"])], cart=cart)
            wait_until(lambda: f"magento-order-{order}" in rig.sandbox.crm_state()["DEAL"], 90, "the other one sends")
            if sent_as != "deal":
                wait_until(lambda: is_completed(rig, cart, order), 60, "and completes the cart")
            leader.start()
            topics.until_nothing_waits(members, 60.0)
            states = [member.folder / "state" for member in members]
            wait_until(lambda: clocks_in(states[0]) == clocks_in(states[1]), 60, "both know the same of every cart")
            settings = rig.settings()
            wait_until(
                lambda: (
                    not crm_difference(full_render(settings, clocks_in(states[0])), rig.sandbox.crm_state(), settings)
                ),
                60,
                "the account is a full render",
            )
        finally:
            for daemon in (relay, *members):
                if daemon.is_running:
                    daemon.kill()
        assert not [key for key in rig.sandbox.crm_state()["DEAL"] if key == f"magento-cart-{cart}"]
