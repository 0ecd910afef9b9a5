"""The shop's connection: Magento's session settings, table prefix, transactions, and small statements by dict."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pymysql.connections import Connection
from pymysql.cursors import DictCursor

Values = Mapping[str, Any]


class Db:
    """Statements on one connection, named tables without prefix.

    ``clock`` gives the seconds since 1970 that the server shall take for now, before each transaction: columns and log
    events then carry that time, so a day can be recorded in seconds. None: the server's own clock.
    """

    def __init__(self, connection: Connection, prefix: str = "", clock: Callable[[], float] | None = None) -> None:
        self.connection = connection
        self.prefix = prefix
        self.clock = clock
        connection.autocommit(True)
        self.execute("SET NAMES utf8mb4")
        self.execute("SET SESSION sql_mode='', time_zone='+00:00'")

    def table(self, name: str) -> str:
        return f"`{self.prefix}{name}`"

    def execute(self, sql: str, *arguments: Any) -> int:
        """Run one statement; ``{name}`` stands for a table. Returns the new row's id where there is one."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql, arguments or None)
            return int(cursor.lastrowid or 0)

    def rows(self, sql: str, *arguments: Any) -> list[dict[str, Any]]:
        with self.connection.cursor(DictCursor) as cursor:
            cursor.execute(sql, arguments or None)
            return list(cursor.fetchall())

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction; rolled back when the block raises."""
        if self.clock:
            self.execute(f"SET timestamp={self.clock():.6f}")
        self.connection.begin()
        try:
            yield
        except BaseException:
            with contextlib.suppress(Exception):  # the server may be gone; the first error is the one to see
                self.connection.rollback()
            raise
        self.connection.commit()

    def insert(self, table: str, /, **values: Any) -> int:
        return self.insert_many(table, [values])

    def insert_many(self, table: str, rows: Sequence[Values], *, ignore: bool = False, update: str = "") -> int:
        """One multi-row INSERT; all rows have the first one's columns. Returns the first new id."""
        if not rows:
            return 0
        names = list(rows[0])
        one = f"({', '.join(['%s'] * len(names))})"
        sql = (
            f"INSERT {'IGNORE ' if ignore else ''}INTO {self.table(table)} ({_names(names)}) "
            f"VALUES {', '.join([one] * len(rows))}{update}"
        )
        return self.execute(sql, *(row[name] for row in rows for name in names))

    def upsert(self, table: str, rows: Sequence[Values], keys: Iterable[str]) -> None:
        """INSERT ... ON DUPLICATE KEY UPDATE of the columns that are not ``keys``, as Magento's adapter writes it."""
        if rows:
            changed = [name for name in rows[0] if name not in set(keys)]
            clause = ", ".join(f"`{name}` = VALUES(`{name}`)" for name in changed)
            self.insert_many(table, rows, update=f" ON DUPLICATE KEY UPDATE {clause}")

    def update(self, table: str, where: Values, /, **values: Any) -> None:
        assignments = ", ".join(f"`{name}` = %s" for name in values)
        sql = f"UPDATE {self.table(table)} SET {assignments} WHERE {_conditions(where)}"
        self.execute(sql, *values.values(), *where.values())

    def delete(self, table: str, /, **where: Any) -> None:
        self.execute(f"DELETE FROM {self.table(table)} WHERE {_conditions(where)}", *where.values())

    def find(self, table: str, /, *, order: str = "", **where: Any) -> list[dict[str, Any]]:
        """Rows whose columns equal ``where``; by primary key order unless ``order`` names columns."""
        condition = f" WHERE {_conditions(where)}" if where else ""
        tail = f" ORDER BY {order}" if order else ""
        return self.rows(f"SELECT * FROM {self.table(table)}{condition}{tail}", *where.values())

    def get(self, table: str, /, **where: Any) -> dict[str, Any]:
        """The one row that fits; KeyError when there is none."""
        found = self.find(table, **where)
        if not found:
            raise KeyError(f"{table}: no row with {', '.join(where)} as asked")
        return found[0]


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _conditions(where: Values) -> str:
    return " AND ".join(f"`{name}` = %s" for name in where)
