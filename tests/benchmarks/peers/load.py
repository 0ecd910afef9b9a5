"""The load: a shop with customers, products and a few orders, then copies of these orders, one transaction each.

A copy writes what Magento writes for an order that is placed, paid and sent: the order, its lines, payment, addresses,
invoice and parcel, and rows of tables that nobody maps (grid, status history).
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pymysql.constants.CLIENT import MULTI_STATEMENTS
from pymysql.cursors import Cursor

from tests.benchmarks.peers.tables import DATABASE
from tests.kit import schema
from tests.kit.servers import Server
from tests.kit.shop import Line, Shop

_PRODUCTS, _CUSTOMERS, _TEMPLATES = 40, 60, 30
_FIRST_COPY: Final = 100_000

_CHILDREN: Final = {
    "sales_order_item": "order_id", "sales_order_payment": "parent_id", "sales_order_address": "parent_id",
    "sales_order_status_history": "parent_id",
}  # fmt: skip
_DOCUMENTS: Final = {"sales_invoice": "order_id"}


@dataclass(frozen=True, slots=True)
class Load:
    """``file``: the log file that begins with the load; ``files``: all files of the load."""

    orders: int
    file: str
    files: tuple[Path, ...]

    @property
    def megabytes(self) -> float:
        """Size of the log, without the file that the server writes next."""
        return sum(path.stat().st_size for path in self.files) / 1e6


def make_shop(server: Server) -> tuple[int, ...]:
    """A shop with products, customers and the orders to copy; their ids."""
    server.run(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
    with contextlib.closing(server.connect(database=DATABASE)) as connection:
        schema.load(connection)
        return tuple(_fill(Shop(connection)))


def play(server: Server, templates: Sequence[int], orders: int, *, first: int = _FIRST_COPY) -> Load:
    """Copy orders, in log files of their own. ``first``: the id of the first copy."""
    server.rotate()
    first_file = server.log_position()[0]
    with (
        contextlib.closing(server.connect(database=DATABASE, client_flag=MULTI_STATEMENTS)) as connection,
        connection.cursor() as cursor,
    ):
        copies = _Copies(cursor)
        for number in range(orders):
            copies.add(templates[number % len(templates)], first + number)
    server.rotate()
    files = [path for path in server.binlog_files() if first_file <= path.name < server.log_position()[0]]
    return Load(orders, first_file, tuple(files))


def copy_files(server: Server, load: Load, folder: Path) -> tuple[Path, ...]:
    """The load's log files in a folder of their own, for those that read files."""
    folder.mkdir()
    return tuple(Path(shutil.copy(path, folder / path.name)) for path in load.files)


def _fill(shop: Shop) -> list[int]:
    """Ids of the orders that are copied, each of one to three lines, paid and sent."""
    shop.install()
    products = [shop.create_product(f"P-{number}", f"Product {number}", f"{number}.90") for number in range(_PRODUCTS)]
    buyers = [shop.register() for _ in range(_CUSTOMERS)]
    found = []
    for number in range(_TEMPLATES):
        wanted = [Line(products[(number + at * 7) % _PRODUCTS], 1 + at) for at in range(1 + number % 3)]
        order = shop.place_order(buyers[number], wanted)
        shop.invoice(order)
        found.append(order)
    return found


class _Copies:
    """Prepared statements that copy an order and everything of it under new keys.

    They are prepared once: the server takes longer to parse 132 columns than to copy them.
    """

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        new, number = {"entity_id": "@new"}, {"increment_id": "@number"}
        statements = [
            self._copy("sales_order", "entity_id", new | number),
            *(self._copy(table, parent, {parent: "@new"}) for table, parent in _CHILDREN.items()),
            *(self._copy(table, parent, {parent: "@new"} | number) for table, parent in _DOCUMENTS.items()),
            self._copy("sales_order_grid", "entity_id", new | number),
        ]
        for at, statement in enumerate(statements):
            cursor.execute(f"PREPARE copy_{at} FROM %s", (statement,))
        self._transaction = "; ".join(["BEGIN", *(f"EXECUTE copy_{at}" for at in range(len(statements))), "COMMIT"])

    def add(self, order: int, new: int) -> None:
        """One transaction with a copy of the order, whose id and number are ``new``."""
        self._cursor.execute(f"SET @old = {order}, @new = {new}, @number = '{new:09d}'; {self._transaction}")
        while self._cursor.nextset():
            pass

    def _copy(self, table: str, key: str, changed: dict[str, str]) -> str:
        values = {name: f"`{name}`" for name in self._columns_of(table)} | changed
        names = ", ".join(f"`{name}`" for name in values)
        return f"INSERT INTO {table} ({names}) SELECT {', '.join(values.values())} FROM {table} WHERE {key} = @old"

    def _columns_of(self, table: str) -> Sequence[str]:
        self._cursor.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
            " AND extra NOT LIKE '%%auto_increment%%' ORDER BY ordinal_position",
            (DATABASE, table),
        )
        return [str(name) for (name,) in self._cursor.fetchall()]
