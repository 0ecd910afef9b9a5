"""A shop that writes to its database as Magento 2.4.8 does: the same rows, in the same order and transactions.

    shop = Shop(connection)              # tests.kit.schema.load(connection) made the tables
    shop.install()
    mug = shop.create_product("MUG-1", "Mug", "12.50")
    order = shop.place_order(shop.register(), [Line(mug, 2)])
    shop.invoice(order)

The database is the shop's only memory: methods take and give ids, so several shops may work on one database, and one
may go on where a killed server left it: each with a seed of its own, so that their shoppers differ. A seed makes
everything repeatable but the server's own clock.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from pymysql.connections import Connection

from tests.kit.shop import seeds
from tests.kit.shop.carts import Carts
from tests.kit.shop.catalog import Catalog, Product, Selection
from tests.kit.shop.categories import Categories
from tests.kit.shop.customers import Customers
from tests.kit.shop.db import Db
from tests.kit.shop.fulfilment import Fulfilment
from tests.kit.shop.lines import Line
from tests.kit.shop.noise import Noise
from tests.kit.shop.people import Person

__all__ = ["Line", "Person", "Product", "Selection", "Shop"]


class Shop(Fulfilment, Noise, Categories, Carts):
    """All the shop can do; ``clock`` as in ``Db``."""

    def __init__(
        self, connection: Connection, prefix: str = "", *, seed: int = 1, clock: Callable[[], float] | None = None
    ) -> None:
        self.db = Db(connection, prefix, clock)
        self.rng = random.Random(seed)
        Catalog.__init__(self)
        Customers.__init__(self)

    def install(self) -> None:
        """Write what a fresh install holds: stores, groups, attributes, statuses, settings."""
        seeds.install(self.db, self.rng)
