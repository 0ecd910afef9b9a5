"""What writers of a race do to its four tables: rows, keys, cascades, swaps and definitions, drawn by lot."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

import pymysql
from pymysql.connections import Connection

GROUPS: Final = 3
PARENTS: Final = 12
"""Keys of customers and orders are 1 to this."""
ITEMS: Final = 24
SPARE: Final = 1000
"""A key that is free between two statements of a swap."""

_ITEMS_KEY: Final = "CONSTRAINT items_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE"
_ORDERS_KEY: Final = "CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE SET NULL"
TABLES: Final = (
    "CREATE TABLE `groups` (id INT PRIMARY KEY, code VARCHAR(32))",
    "CREATE TABLE customers (id INT PRIMARY KEY, email VARCHAR(64), grp INT)",
    f"CREATE TABLE orders (id INT PRIMARY KEY, customer_id INT, total VARCHAR(16), {_ORDERS_KEY})",
    f"CREATE TABLE items (id INT PRIMARY KEY, order_id INT NOT NULL, sku VARCHAR(16), {_ITEMS_KEY})",
)

USUAL: Final = frozenset({
    1022, 1050, 1051, 1054, 1060, 1061, 1062, 1072, 1091, 1146, 1205, 1213, 1216, 1217, 1412, 1451, 1452, 1701, 1826,
    121, 1025, 1005, 1507, 1828, 3730, 1020,
})  # fmt: skip
"""Errors that two writers in each other's way may meet: keys, locks, deadlocks, tables and columns that moved."""


def create_tables(connection: Connection[Any], database: str, rng: random.Random) -> None:
    """The tables anew, with drawn rows that the log does not hold."""
    customers = rng.sample(range(1, PARENTS + 1), rng.randint(0, PARENTS))
    orders = rng.sample(range(1, PARENTS + 1), rng.randint(0, PARENTS))
    items = rng.sample(range(1, ITEMS + 1), rng.randint(0, ITEMS)) if orders else []
    rows = [f"INSERT INTO `groups` VALUES ({number}, 'group {number}')" for number in range(1, GROUPS + 1)]
    rows += [f"INSERT INTO customers VALUES ({n}, 'c{n}@example.com', {rng.randint(1, GROUPS)})" for n in customers]
    rows += [
        f"INSERT INTO orders VALUES ({n}, {rng.choice([*customers, 'NULL'])}, '{rng.randint(1, 99)}.00')"
        for n in orders
    ]
    rows += [f"INSERT INTO items VALUES ({n}, {rng.choice(orders)}, 'sku {rng.randint(1, 99)}')" for n in items]
    anew = (f"DROP DATABASE IF EXISTS `{database}`", f"CREATE DATABASE `{database}`", f"USE `{database}`")
    with connection.cursor() as cursor:
        for statement in ("SET sql_log_bin = 0", *anew, *TABLES, "BEGIN", *rows, "COMMIT", "SET sql_log_bin = 1"):
            cursor.execute(statement)


class Writer:
    """Plays drawn transactions on its own connection; what it does is added to ``said``."""

    def __init__(self, connection: Connection[Any], rng: random.Random, said: list[str]) -> None:
        self._connection = connection
        self._rng = rng
        self._said = said
        self._value = 0
        self._run("SET SESSION innodb_lock_wait_timeout = 1, lock_wait_timeout = 2")
        self._run(f"SET SESSION TRANSACTION ISOLATION LEVEL {rng.choice(['REPEATABLE READ', 'READ COMMITTED'])}")

    def transaction(self) -> None:
        """One transaction, or one definition. Errors of ``USUAL`` are the other writer's doing, and undo it."""
        rng = self._rng
        try:
            if rng.random() < 0.12:
                for statement in rng.choice(_DEFINITIONS)(rng):
                    self._run(statement)
                return
            self._run("BEGIN")
            for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
                for statement in rng.choice(_STEPS)(rng):
                    self._run(statement)
            self._run(rng.choice(["COMMIT"] * 9 + ["ROLLBACK"]))
        except pymysql.err.MySQLError as error:
            if error.args[0] not in USUAL:
                raise
            self._said.append(f"-- error {error.args[0]}")
            self._run("ROLLBACK")

    def _run(self, statement: str) -> None:
        self._said.append(statement)
        with self._connection.cursor() as cursor:
            cursor.execute(statement)


Draw = random.Random
Step = Callable[[Draw], list[str]]


def _parent(rng: Draw) -> int:
    return rng.randint(1, PARENTS)


def _item(rng: Draw) -> int:
    return rng.randint(1, ITEMS)


def _customer(rng: Draw) -> list[str]:
    key, grp = _parent(rng), rng.randint(1, GROUPS + 1)
    return [
        f"INSERT INTO customers (id, email, grp) VALUES ({key}, 'c{rng.randint(1, 99)}@example.com', {grp})"
        " ON DUPLICATE KEY UPDATE email = VALUES(email), grp = VALUES(grp)"
    ]


def _group(rng: Draw) -> list[str]:
    return [f"REPLACE INTO `groups` (id, code) VALUES ({rng.randint(1, GROUPS + 1)}, 'group {rng.randint(1, 99)}')"]


def _order(rng: Draw) -> list[str]:
    customer = rng.choice([f"(SELECT MIN(id) FROM customers WHERE id >= {_parent(rng)})", "NULL"])
    return [
        f"INSERT INTO orders (id, customer_id, total) SELECT {_parent(rng)}, {customer}, '{rng.randint(1, 99)}.00'"
        " ON DUPLICATE KEY UPDATE customer_id = VALUES(customer_id), total = VALUES(total)"
    ]


def _line(rng: Draw) -> list[str]:
    return [
        f"INSERT INTO items (id, order_id, sku) SELECT {_item(rng)}, id, 'sku {rng.randint(1, 99)}' FROM orders"
        f" WHERE id >= {_parent(rng)} ORDER BY id LIMIT 1 ON DUPLICATE KEY UPDATE order_id = VALUES(order_id),"
        " sku = VALUES(sku)"
    ]


def _replaced(rng: Draw) -> list[str]:
    return [f"REPLACE INTO orders (id, customer_id, total) VALUES ({_parent(rng)}, NULL, '{rng.randint(1, 99)}.00')"]


def _deleted(rng: Draw) -> list[str]:
    table = rng.choice(["customers", "orders", "orders", "items", "items", "`groups`"])
    return [f"DELETE FROM {table} WHERE id = {_item(rng) if table == 'items' else _parent(rng)}"]


def _many(rng: Draw) -> list[str]:
    key = _parent(rng)
    return [
        rng.choice([
            f"UPDATE items SET sku = 'sku {rng.randint(1, 99)}' WHERE order_id >= {key}",
            f"UPDATE orders SET total = '{rng.randint(1, 99)}.00' WHERE id <= {key}",
            f"DELETE FROM items WHERE order_id = {key}",
            f"DELETE FROM orders WHERE customer_id = {key}",
            f"UPDATE customers SET grp = {rng.randint(1, GROUPS)} WHERE id > {key}",
        ])
    ]  # fmt: skip


def _came_again(rng: Draw) -> list[str]:
    """An order goes with its items, and comes again with other ones under the same keys."""
    key, item = _parent(rng), _item(rng)
    return [
        f"DELETE FROM orders WHERE id = {key}",
        f"INSERT INTO orders (id, customer_id, total) VALUES ({key}, NULL, '{rng.randint(1, 99)}.00')",
        f"REPLACE INTO items (id, order_id, sku) VALUES ({item}, {key}, 'sku {rng.randint(1, 99)}')",
    ]


def _moved(rng: Draw) -> list[str]:
    """A row gets another key; the copy may have read the old key's place and not yet the new one's, or both."""
    table = rng.choice(["items", "items", "orders", "customers"])
    most = ITEMS if table == "items" else PARENTS
    return [f"UPDATE {table} SET id = {rng.randint(1, most)} WHERE id = {rng.randint(1, most)}"]


def _keys_swapped(rng: Draw) -> list[str]:
    one, other = rng.sample(range(1, ITEMS + 1), 2)
    return [
        f"UPDATE items SET id = {SPARE} WHERE id = {one}",
        f"UPDATE items SET id = {one} WHERE id = {other}",
        f"UPDATE items SET id = {other} WHERE id = {SPARE}",
    ]


def _values_swapped(rng: Draw) -> list[str]:
    one, other = rng.sample(range(1, ITEMS + 1), 2)
    return [
        f"UPDATE items a JOIN items b ON a.id = {one} AND b.id = {other}"
        " SET a.sku = CONCAT(b.sku, 'x'), b.sku = CONCAT('x', a.sku)"
        if rng.random() < 0.1
        else f"UPDATE items SET order_id = (SELECT MIN(id) FROM orders WHERE id > 0), sku = 'sku s' WHERE id = {one}"
    ]


def _all_shifted(rng: Draw) -> list[str]:
    return [f"UPDATE items SET id = id + 1 WHERE id >= {_item(rng)} ORDER BY id DESC LIMIT 5"]


_STEPS: Final[tuple[Step, ...]] = (
    _customer, _customer, _group, _order, _order, _line, _line, _line, _replaced, _deleted, _deleted, _many,
    _came_again, _moved, _moved, _keys_swapped, _values_swapped, _all_shifted,
)  # fmt: skip


def _column(rng: Draw) -> list[str]:
    table = rng.choice(["items", "orders", "customers"])
    return [f"ALTER TABLE {table} ADD COLUMN n{rng.randint(1, 9)} INT {rng.choice(['FIRST', 'AFTER id', ''])}"]


def _column_dropped(rng: Draw) -> list[str]:
    return [f"ALTER TABLE {rng.choice(['items', 'orders', 'customers'])} DROP COLUMN n{rng.randint(1, 9)}"]


def _column_wider(rng: Draw) -> list[str]:
    return [f"ALTER TABLE items MODIFY sku VARCHAR({rng.randint(16, 300)})"]


def _mapped_column_made_anew(rng: Draw) -> list[str]:
    """The column's values are lost, and no row event says so."""
    return ["ALTER TABLE orders DROP COLUMN total, ADD COLUMN total2 INT, ADD COLUMN total VARCHAR(16) DEFAULT '7.00'",
            "ALTER TABLE orders DROP COLUMN total2"]  # fmt: skip


def _truncated(rng: Draw) -> list[str]:
    return ["TRUNCATE TABLE items"]


def _swapped_table(rng: Draw) -> list[str]:
    """As tools for changes of big tables do: a copy is filled and takes the table's name."""
    return [
        "DROP TABLE IF EXISTS items_new, items_old",
        f"CREATE TABLE items_new (id INT PRIMARY KEY, order_id INT NOT NULL, sku VARCHAR({rng.randint(16, 99)}))",
        "INSERT INTO items_new SELECT id, order_id, sku FROM items",
        "RENAME TABLE items TO items_old, items_new TO items",
        "DROP TABLE items_old",
    ]


def _key_dropped(rng: Draw) -> list[str]:
    return ["ALTER TABLE items DROP FOREIGN KEY items_order"]


def _key_added(rng: Draw) -> list[str]:
    return [f"ALTER TABLE items ADD {_ITEMS_KEY}"]


def _rotated(rng: Draw) -> list[str]:
    return ["FLUSH BINARY LOGS"]


_DEFINITIONS: Final[tuple[Step, ...]] = (
    _column, _column, _column_dropped, _column_wider, _mapped_column_made_anew, _truncated, _swapped_table,
    _key_dropped, _key_added, _rotated, _rotated, _rotated,
)  # fmt: skip
