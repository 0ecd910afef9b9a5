"""A log with every form a transaction has, for reading from any place in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from cdc.binlog.events import HEADER, MAGIC
from cdc.model import Op, TableSpec, Transaction
from tests.kit.servers import Server

TABLES = [TableSpec("goods", ("id",), ("id", "name", "price")), TableSpec("stock", ("id",), ("id", "qty"))]
State = dict[tuple[str, object], tuple[object, ...]]

_COMPRESSED = {
    "mariadb": ("SET GLOBAL log_bin_compress = {}", "SET GLOBAL log_bin_compress_min_len = 10"),
    "mysql": ("SET GLOBAL binlog_transaction_compression = {}", "DO 0"),
}


def record(server: Server, database: str) -> Path:
    """Write the log into a file of its own, full row metadata, compressed in its second half; its path."""
    server.run("SET GLOBAL binlog_row_metadata = 'FULL'")
    server.rotate()
    path = server.binlog_files()[-1]
    switch, extra = _COMPRESSED[server.flavor]
    try:
        server.run(*_first_half(), database=database)
        server.run(switch.format("ON"), extra)
        server.run(*_second_half(), database=database)
    finally:
        server.run(switch.format("OFF"), "SET GLOBAL binlog_row_metadata = DEFAULT")
    server.rotate()
    return path


def _first_half() -> Iterator[str]:
    yield "CREATE TABLE goods (id INT PRIMARY KEY, name VARCHAR(40), price DECIMAL(12,4), note TEXT) ENGINE=InnoDB"
    yield "CREATE TABLE stock (id INT PRIMARY KEY, qty INT) ENGINE=InnoDB"
    yield "CREATE TABLE noise (id INT PRIMARY KEY AUTO_INCREMENT, text TEXT) ENGINE=InnoDB"
    yield "INSERT INTO goods VALUES (1, 'one', 1, ''), (2, 'two', 2, NULL), (3, 'three', 3, 'x')"
    yield "INSERT INTO stock SELECT id, id * 10 FROM goods"
    yield "UPDATE goods JOIN stock USING (id) SET goods.price = goods.price + 1, stock.qty = stock.qty - 1"
    yield from _transaction(
        "INSERT INTO goods VALUES (4, 'four', 4, NULL)", "SAVEPOINT a", "UPDATE goods SET name = 'lost' WHERE id = 1",
        "SAVEPOINT b", "DELETE FROM goods WHERE id = 2", "ROLLBACK TO a", "INSERT INTO noise (text) VALUES ('n')",
        "UPDATE stock SET qty = 0 WHERE id = 3",
    )  # fmt: skip
    yield "ALTER TABLE goods ADD COLUMN extra INT DEFAULT 5 FIRST"
    yield "INSERT INTO goods (id, name, price) VALUES (5, 'five', 5)"


def _second_half() -> Iterator[str]:
    yield "INSERT INTO noise (text) VALUES (REPEAT('noise', 100))"
    yield from _transaction(
        "UPDATE goods SET id = 50 WHERE id = 5", "INSERT INTO stock VALUES (50, 5)", "DELETE FROM stock WHERE id = 1",
        "UPDATE goods SET price = price * 2",
    )  # fmt: skip
    yield "REPLACE INTO stock VALUES (2, 22), (6, 66)"
    yield "CREATE TABLE copy AS SELECT * FROM goods"
    yield "TRUNCATE stock"
    yield from _transaction("INSERT INTO stock VALUES (9, 90)", "DELETE FROM goods WHERE id IN (1, 50)")
    yield "DROP TABLE copy, noise"
    yield "UPDATE goods SET name = CONCAT(name, '!') WHERE id = 3"


def _transaction(*statements: str) -> Iterator[str]:
    yield "START TRANSACTION"
    yield from statements
    yield "COMMIT"


def boundaries(path: Path) -> list[int]:
    """Where the file's events begin, and its end."""
    log = path.read_bytes()
    at = len(MAGIC)
    found = [at]
    while at < len(log):
        at += HEADER.unpack_from(log, at)[3]
        found.append(at)
    return found


def folded(state: State, transactions: Iterable[Transaction]) -> State:
    """``state`` with these transactions applied to it, as a replica would: by key. Every change must fit the state."""
    keys = {table.name: len(table.key) for table in TABLES}
    state = dict(state)
    for transaction in transactions:
        for change in transaction.changes:
            if change.op is Op.TRUNCATE:
                state = {key: row for key, row in state.items() if key[0] != change.table}
                continue
            width = keys[change.table]
            if change.before is not None:
                state.pop((change.table, change.before[:width]), None)
            if change.after is not None:
                state[change.table, change.after[:width]] = change.after
    return state
