"""Shopping by lot on a real server, while the daemon is killed and the shop's time goes by: one record per purchase."""

from __future__ import annotations

import os
import random
import time
from typing import Final

import pytest

from tests.acceptance.conftest import Rig
from tests.kit.assortment import stock_up
from tests.kit.crm_state import crm_difference
from tests.kit.daemon import Daemon, wait_until
from tests.kit.full_render import clocks_in, full_render
from tests.kit.shop import Line

HOUR_S: Final = 61 * 60
STEPS: Final = ("leave", "leave", "come back", "order", "order", "clean", "recount", "an hour passes", "kill", "kill")
COUNT: Final = 60 if "SOAK_SEED" in os.environ else 14
PEOPLE: Final = ("eve@example.com", "bob@example.com", "kim@example.com")

pytestmark = [
    pytest.mark.slow,
    # Only there a session's time is that of its events.
    pytest.mark.parametrize("server", ["mariadb"], indirect=True),
    pytest.mark.parametrize("sink", ["crm"], indirect=True),
]


class Play:
    """A drawn day in a shop, seen by a daemon."""

    def __init__(self, rig: Rig, daemon: Daemon, chance: random.Random) -> None:
        self._rig, self._daemon, self._chance = rig, daemon, chance
        self._products = stock_up(rig.shop)
        self._open: list[int] = []
        self._ordered: list[int] = []
        self.orders: dict[int, int] = {}
        """Order → the cart that it was made of."""
        self._ahead_s = 0.0
        rig.shop.db.clock = lambda: time.time() + self._ahead_s

    def step(self, name: str) -> None:
        """One thing happens; a step without a cart that fits does nothing."""
        shop, chance = self._rig.shop, self._chance
        product = self._products[chance.choice(("mug", "cap"))]
        cart = chance.choice(self._open) if self._open else 0
        match name:
            case "leave":
                cart = shop.add_to_cart([product, self._products["notebook"]])
                shop.begin_checkout(cart, chance.choice(PEOPLE))
                self._open.append(cart)
            case "come back" if cart:
                shop.change_cart(cart, self._products["notebook"], qty=chance.randrange(1, 6))
            case "recount" if cart:
                shop.recollect(cart)
            case "order" if cart:
                self._open.remove(cart)
                self._ordered.append(cart)
                self.orders[shop.place_order(shop.person(), [Line(product)], cart=cart)] = cart
            case "clean":
                old = chance.choice((self._open, self._ordered))
                shop.clean_carts([old.pop(chance.randrange(len(old)))] if old else [])
            case "an hour passes":
                self.wait()
            case "kill":
                self._daemon.kill()
                self._daemon.start()

    def wait(self) -> None:
        """An hour passes in the shop, and somebody looks at something."""
        self._ahead_s += HOUR_S
        self._rig.shop.add_to_cart([self._products["mug"]])


@pytest.mark.parametrize(
    "sent_as", ["both", pytest.param("deal", marks=pytest.mark.soak), pytest.param("cart", marks=pytest.mark.soak)]
)
def test_every_purchase_has_one_record_of_each_kind(rig: Rig, sent_as: str) -> None:
    """In the end the account holds what a full render with the same clock gives; no deal is a cart's that was ordered,
    and no cart was lost or doubled.
    """
    rig.toml += f'[mapping.carts]\nenabled = true\nas = "{sent_as}"\n[delivery]\ndelete_grace_s = 0\n'
    rig.push()
    chance = random.Random(int(os.environ.get("SOAK_SEED", "4")))
    settings, state = rig.settings(), rig.folder / "state"
    with rig.daemon() as daemon:
        play = Play(rig, daemon, chance)
        daemon.start()
        # The time of this shop is told by its commits alone, so the daemon has to be there to read them.
        wait_until(lambda: "load_done" in (rig.folder / "run.log").read_text(), 60, "the first load is through")
        for name in ("leave", "leave", "an hour passes", "order", *chance.choices(STEPS, k=COUNT), "leave"):
            play.step(name)
            time.sleep(chance.choice((0.0, 0.1, 0.5)))
        play.wait()

        def differences() -> list[str]:
            return crm_difference(full_render(settings, clocks_in(state)), rig.sandbox.crm_state(), settings)

        def is_left() -> bool:
            return any(clock.abandoned_ms and not clock.is_ordered for clock in clocks_in(state).values())

        wait_until(is_left, 60, "the last cart is left")
        wait_until(lambda: not differences(), 60, "the account is a full render")
        assert daemon.stop() == 0
    held = rig.sandbox.crm_state()
    assert held["DEAL"].keys() >= {f"magento-order-{order}" for order in play.orders}
    assert not [f"magento-cart-{cart}" for cart in play.orders.values() if f"magento-cart-{cart}" in held["DEAL"]]
    for cart in play.orders.values():
        left = held["CART"].get(f"magento-cart_object-{cart}")
        assert left is None or left["properties"]["hs_external_status"] == "completed"
    assert bool(held["CART"]) is (sent_as != "deal")
