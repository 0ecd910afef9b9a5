"""Where the scenes are played: a shop with an assortment and a few accounts, and the mapping they are seen through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.kit.assortment import Assortment, stock_up
from tests.kit.shop import Shop

MAPPING: Final[dict[str, Any]] = {
    "product": {"attributes": {"color": "color", "materials": "materials"}},
    "customer": {
        "attributes": {"loyalty_tier": "loyalty_tier"},
        "address_attributes": {"delivery_zone": "delivery_zone"},
    },
    "contact_forms": [
        {
            "table": "vb_contact_us_history",
            "primary": ["note_id"],
            "email": "email",
            "customer": "customer_id",
            "properties": {"firstname": "contact_name", "last_message": "message"},
        }
    ],
}
"""``[mapping]`` of the golden messages: the defaults, attributes with options, a stored contact form."""

_FORM = (
    "CREATE TABLE {} (note_id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, contact_name VARCHAR(255) NOT NULL,"
    " email VARCHAR(255) NOT NULL, message TEXT NOT NULL, phone VARCHAR(255) NULL, customer_id INT NULL,"
    " created_date TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
)


@dataclass
class World:
    """The shop and what has happened in it so far, by the names that the scenes use."""

    shop: Shop
    products: Assortment
    customers: dict[str, int] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)
    documents: dict[str, int] = field(default_factory=dict)
    categories: dict[str, int] = field(default_factory=dict)
    carts: dict[str, int] = field(default_factory=dict)
    wait: Callable[[float], None] = lambda minutes: None
    """Lets so many minutes pass in the shop."""


Scene = tuple[str, Callable[[World], None]]


def open_shop(shop: Shop) -> World:
    """Install, stock up, and register those who are there before the first scene."""
    shop.install()
    shop.db.execute(_FORM.format(shop.db.table("vb_contact_us_history")))
    world = World(shop, stock_up(shop))
    for name in ("regular", "collector", "leaver"):
        world.customers[name] = shop.register(newsletter=name != "collector")
    return world
