"""A shop of some size, filled by a few statements of the server's own; the log does not hold them.

    fill(server, database, Sizes(orders=1_000_000))

Every order has three lines, a payment and two addresses; every customer one address; every product its own values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.kit.servers import Server

LINES: Final = 3
PART: Final = 100_000
"""Rows of one statement: a transaction of millions of rows would fill the server's undo log."""
FIRST: Final = 1_000_000
"""Keys begin behind this, so that a shop that is installed already keeps its own rows."""

_PLACE: Final = "'12 High Street', 'Sampleton', '00000', 'DE', '+00 555 0100'"
_PLACE_COLUMNS: Final = "street, city, postcode, country_id, telephone"
_DIGITS: Final = "(SELECT 0 AS d UNION ALL " + " UNION ALL ".join(f"SELECT {digit}" for digit in range(1, 10)) + ")"
_NUMBERS: Final = "numbers_of_big_shop"


_SETTINGS: Final = """
[source]
host = "127.0.0.1"
port = {port}
user = "{user}"
password = "{password}"
database = "{database}"
server_id = 4990
[sink]
kind = "jsonl"
path = "out.jsonl"
[web]
port = 0
[state]
dir = "./state"
"""


def settings_for(server: Server, database: str, *, user: str = "root", password: str = "") -> str:
    """The settings (TOML) of a daemon that sends this shop as lines of JSON."""
    return _SETTINGS.format(port=server.port, user=user, password=password, database=database)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many of each; 0 for ``customers`` and ``products``: in proportion to the orders."""

    orders: int
    customers: int = 0
    products: int = 0

    @property
    def people(self) -> int:
        """Customers: half of the orders, if not given."""
        return self.customers or max(1, self.orders // 2)

    @property
    def goods(self) -> int:
        """Products: one for twenty orders, if not given."""
        return self.products or max(1, self.orders // 20)

    @property
    def lines(self) -> int:
        """Lines of all orders."""
        return self.orders * LINES


def fill(server: Server, database: str, sizes: Sizes, said: Callable[[str], None] = lambda text: None) -> None:
    """Add the rows to an installed shop. ``said`` is called with the name of each table that is done."""
    server.run("SET sql_log_bin = 0", *_make_numbers(), database=database)
    eav = _attributes(server, database)
    for table, count, columns, values in _tables(sizes, eav):
        for start in range(0, count, PART):
            rows = min(PART, count - start)
            n = f"(n + {start})"
            server.run(
                "SET sql_log_bin = 0, sql_mode = '', foreign_key_checks = 0, unique_checks = 0",
                f"INSERT INTO {table} ({columns}) SELECT {values.replace('{n}', n)} FROM {_NUMBERS} WHERE n <= {rows}",
                database=database,
            )
        said(table)
    server.run("SET sql_log_bin = 0", f"DROP TABLE {_NUMBERS}", database=database)


def _make_numbers() -> Iterator[str]:
    """A table of the numbers from 1 to ``PART``; MySQL has no sequences."""
    yield f"CREATE TABLE {_NUMBERS} (n INT PRIMARY KEY)"
    digits = " ".join(f"JOIN {_DIGITS} d{power} ON TRUE" for power in range(1, 5))
    number = " + ".join(f"d{power}.d * {10**power}" for power in range(5))
    yield f"INSERT INTO {_NUMBERS} SELECT 1 + {number} FROM {_DIGITS} d0 {digits}"


def _attributes(server: Server, database: str) -> dict[str, list[int]]:
    """Backend type → ids of the products' attributes that ``[mapping]`` names."""
    mapped = "'name', 'url_key', 'price', 'status', 'description', 'short_description', 'image', 'visibility'"
    found: dict[str, list[int]] = {}
    rows = server.run(
        "SELECT backend_type, attribute_id FROM eav_attribute JOIN eav_entity_type USING (entity_type_id)"
        f" WHERE entity_type_code = 'catalog_product' AND backend_type <> 'static' AND attribute_code IN ({mapped})",
        database=database,
    )
    for backend, number in rows:
        found.setdefault(str(backend), []).append(int(number))
    return found


_VALUES: Final = {
    "varchar": "CONCAT('Mug number ', {n})",
    "decimal": "18.3",
    "int": "1",
    "text": "REPEAT('Thrown by hand, glazed twice and fired hot. ', 4)",
    "datetime": "'2025-01-01'",
}


def _tables(sizes: Sizes, eav: dict[str, list[int]]) -> Iterator[tuple[str, int, str, str]]:
    """Table, number of rows, columns, and the expressions of row ``{n}``, which counts from 1."""
    yield (
        "customer_entity",
        sizes.people,
        "entity_id, email, website_id, group_id, store_id, firstname, lastname, created_at, default_billing",
        f"{{n}} + {FIRST}, CONCAT('load', {{n}}, '@example.com'), 1, 1, 1, 'Ada', 'Loader', '2025-01-01',"
        f" {{n}} + {FIRST}",
    )
    yield (
        "customer_address_entity",
        sizes.people,
        f"entity_id, parent_id, {_PLACE_COLUMNS}, firstname, lastname",
        f"{{n}} + {FIRST}, {{n}} + {FIRST}, {_PLACE}, 'Ada', 'Loader'",
    )
    yield (
        "catalog_product_entity",
        sizes.goods,
        "entity_id, attribute_set_id, sku, type_id, created_at",
        f"{{n}} + {FIRST}, 4, CONCAT('L-', {{n}}), 'simple', '2025-01-01'",
    )
    for backend, numbers in sorted(eav.items()):
        for attribute in numbers:
            yield (
                f"catalog_product_entity_{backend}",
                sizes.goods,
                "attribute_id, store_id, entity_id, value",
                f"{attribute}, 0, {{n}} + {FIRST}, {_VALUES[backend]}",
            )
    yield from _orders(sizes)


def _orders(sizes: Sizes) -> Iterator[tuple[str, int, str, str]]:
    buyer = f"1 + MOD({{n}}, {sizes.people})"
    yield (
        "sales_order",
        sizes.orders,
        "entity_id, increment_id, store_id, state, status, customer_id, customer_is_guest, customer_group_id,"
        " created_at, customer_email, customer_firstname, customer_lastname, order_currency_code, grand_total,"
        " tax_amount, discount_amount, shipping_amount",
        f"{{n}} + {FIRST}, CONCAT('L', {{n}}), 1, 'complete', 'complete', {FIRST} + {buyer}, 0, 1, '2025-01-02',"
        f" CONCAT('load', {buyer}, '@example.com'), 'Ada', 'Loader', 'EUR', 59.9, 5, 0, 5",
    )
    yield (
        "sales_order_item",
        sizes.lines,
        "item_id, order_id, product_id, product_type, sku, name, qty_ordered, price, row_total, tax_amount,"
        " discount_amount",
        f"{{n}} + {FIRST}, {FIRST} + 1 + FLOOR(({{n}} - 1) / {LINES}), {FIRST} + 1 + MOD({{n}}, {sizes.goods}),"
        " 'simple', 'L', 'A mug', 1, 18.3, 18.3, 1.67, 0",
    )
    yield (
        "sales_order_payment",
        sizes.orders,
        "entity_id, parent_id, method",
        f"{{n}} + {FIRST}, {{n}} + {FIRST}, 'checkmo'",
    )
    yield (
        "sales_order_address",
        sizes.orders * 2,
        f"entity_id, parent_id, address_type, {_PLACE_COLUMNS}",
        f"{{n}} + {FIRST}, {FIRST} + 1 + FLOOR(({{n}} - 1) / 2), IF(MOD({{n}}, 2), 'shipping', 'billing'), {_PLACE}",
    )
