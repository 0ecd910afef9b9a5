"""The logs that the reading benchmarks read: made once by a private MariaDB (binlog_row_metadata = FULL), then kept.

mix      random shop traffic on Magento's own tables with indexer change logs, carts, sessions and cron jobs: 60 MB
narrow   200,000 rows of 8 columns inserted, 1,000 a statement
inserts  20,000 orders inserted, 500 a statement: sales_order as Magento has it, 132 columns
updates  20,000 orders updated one by one: their status, as most updates of a shop do, both images in full
carts    a day with 50,000 changes of 5,000 carts, one in five of which is ordered: 1,000 orders
unmapped 300,000 rows of tables that nobody asked for, by single statements and in bulk
giant-narrow one transaction of 0.6 GB: 14 million subscribers, of whose few columns most are mapped
giant-wide   one transaction of a gigabyte: orders, of whose 132 columns 22 are mapped
"""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from cdc.model import TableSpec
from cdc.settings.mapping import MappingSettings
from mappers.mapping import MagentoMapping
from tests.kit import schema
from tests.kit.install import CACHE, lock
from tests.kit.servers import MariaDB
from tests.kit.shop import Line, Shop
from tests.kit.shop_day import random_ops

DATABASE = "magento"
NARROW = TableSpec("narrow", ("id",), ("id", "a", "b", "c", "d", "e", "f", "g"))
SPECS: tuple[TableSpec, ...] = (*MagentoMapping(MappingSettings()).tables, NARROW)
"""What the benchmarks ask for."""

CART_CHANGES = 50_000
"""Changes of carts in the log ``carts``."""

_CARTS = 5000
_ORDERED = 5
_CARTS_WITH_ADDRESS = 2
_MIX_BYTES = 60_000_000
_VERSION = 2
_FOLDER = CACHE / "bench"
_FILLED = "tinytext", "text", "mediumtext", "varchar"


def log_of(name: str) -> Path:
    """The log file of this name, made if it is not there yet (mix: one to two minutes, the others some seconds)."""
    folder = _FOLDER / f"{name}-{_VERSION}"
    with lock(f"bench-{name}"):
        if not folder.exists():
            print(f"making the log {name}, once ...", file=sys.stderr, flush=True)
            unfinished = _FOLDER / f"making-{name}"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            with MariaDB({"binlog_row_metadata": "FULL", "max_binlog_size": 1 << 30}) as server:
                server.run(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
                _MAKERS[name](server)
                file = max(server.binlog_files(), key=lambda path: path.stat().st_size)
                server.rotate()
                shutil.copy(file, unfinished / file.name)
            unfinished.rename(folder)
    return next(folder.glob("binlog.0*"))


@contextlib.contextmanager
def serving(log: Path, *, tls: bool = False) -> Iterator[MariaDB]:
    """A server whose first log file is this one."""
    with MariaDB() as server:
        server.stop()
        for old in server.datadir.glob("binlog.*"):
            old.unlink()
        shutil.copy(log, server.datadir / log.name)
        (server.datadir / "binlog.index").write_text(f"./{log.name}\n")
        server.restart(_certificate(server.datadir) if tls else None)
        server.run(f"CREATE DATABASE {DATABASE}")  # its tables are not there: what the log says has to do
        yield server


def _certificate(folder: Path) -> dict[str, str]:
    key, cert = folder / "bench-key.pem", folder / "bench-cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    key.chmod(0o644)
    return {"ssl_key": str(key), "ssl_cert": str(cert)}


# ------------------------------------------------------------------------------------------------- the logs


def _make_mix(server: MariaDB) -> None:
    with contextlib.closing(server.connect(database=DATABASE)) as connection:
        schema.load(connection)
        shop = Shop(connection)
        shop.install()
        for number in range(60):
            shop.create_product(f"P-{number}", f"Product {number}", f"{number}.90")
        operations = random_ops(shop, random.Random(7))
        while server.log_position()[1] < _MIX_BYTES:
            for _ in range(100):
                next(operations)


def _make_carts(server: MariaDB) -> None:
    """Each cart changes ten times: three lines, a quantity, six pages of the checkout. Two of five have an address."""
    with contextlib.closing(server.connect(database=DATABASE)) as connection:
        schema.load(connection)
        shop = Shop(connection)
        shop.install()
        products = [shop.create_product(f"P-{number}", f"Product {number}", f"{number}.90") for number in range(1, 21)]
        rng = random.Random(7)
        for number in range(_CARTS):
            wanted = rng.sample(products, 3)
            cart = shop.add_to_cart(wanted, steps=1)
            shop.change_cart(cart, wanted[0], qty=2)
            address = f"shopper{number}@example.com" if number % 5 < _CARTS_WITH_ADDRESS else ""
            shop.begin_checkout(cart, address)
            for _ in range(4):
                shop.recollect(cart)
            if number % _ORDERED == 0:
                shop.place_order(shop.person(), [Line(wanted[0], 2), Line(wanted[1])], cart=cart)


def _make_narrow(server: MariaDB) -> None:
    server.run(
        "CREATE TABLE narrow (id INT UNSIGNED PRIMARY KEY, a INT, b SMALLINT UNSIGNED, c DECIMAL(12,4), d VARCHAR(40),"
        " e DATETIME, f TINYINT, g VARCHAR(64))",
        database=DATABASE,
    )
    for first in range(1, 200_001, 1000):
        server.run(
            "INSERT INTO narrow SELECT seq, seq * 3, seq % 60000, seq / 100, concat('sku-', seq),"
            f" '2026-01-01' + INTERVAL seq MINUTE, seq % 100, md5(seq) FROM seq_{first}_to_{first + 999}",
            database=DATABASE,
        )


def _make_inserts(server: MariaDB) -> None:
    _load_schema(server)
    server.rotate()
    _insert_orders(server, 20_000)


def _make_updates(server: MariaDB) -> None:
    _load_schema(server)
    _insert_orders(server, 20_000)
    server.rotate()
    with contextlib.closing(server.connect(database=DATABASE)) as connection, connection.cursor() as cursor:
        for number in range(1, 20_001):
            cursor.execute("UPDATE sales_order SET status = 'processing' WHERE entity_id = %s", (number,))


def _make_unmapped(server: MariaDB) -> None:
    server.run(
        "CREATE TABLE noise (id INT PRIMARY KEY AUTO_INCREMENT, a INT, b VARCHAR(80), c DATETIME, d DECIMAL(12,4))",
        database=DATABASE,
    )
    with contextlib.closing(server.connect(database=DATABASE)) as connection, connection.cursor() as cursor:
        for number in range(30_000):
            cursor.execute("INSERT INTO noise (a, b, c, d) VALUES (%s, %s, now(), 5)", (number, f"row {number}"))
        for _ in range(27):
            cursor.execute("INSERT INTO noise (a, b, c, d) SELECT seq, md5(seq), now(), 7 FROM seq_1_to_10000")


def _make_giant_narrow(server: MariaDB) -> None:
    _load_schema(server)
    server.rotate()
    _in_one_transaction(
        server,
        "INSERT INTO newsletter_subscriber (subscriber_id, store_id, customer_id, subscriber_email, subscriber_status)"
        " SELECT seq, 1, seq, concat('c', seq, '@example.com'), 1",
        rows=14_000_000,
    )


def _make_giant_wide(server: MariaDB) -> None:
    _load_schema(server)
    server.rotate()
    _in_one_transaction(server, _orders(server), rows=640_000)


def _in_one_transaction(server: MariaDB, insert: str, rows: int) -> None:
    with contextlib.closing(server.connect(database=DATABASE, read_timeout=1800)) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SET foreign_key_checks = 0")
            cursor.execute(f"{insert} FROM seq_1_to_{rows}")
        connection.commit()


def _load_schema(server: MariaDB) -> None:
    with contextlib.closing(server.connect(database=DATABASE)) as connection:
        schema.load(connection)


def _insert_orders(server: MariaDB, count: int) -> None:
    insert = _orders(server)
    for first in range(1, count + 1, 500):
        server.run("SET foreign_key_checks = 0", f"{insert} FROM seq_{first}_to_{first + 499}", database=DATABASE)


def _orders(server: MariaDB) -> str:
    """INSERT ... SELECT of orders of which no column is NULL."""
    columns = server.run(
        "SELECT column_name, data_type, least(30, character_maximum_length) FROM information_schema.columns"
        f" WHERE table_schema = '{DATABASE}' AND table_name = 'sales_order' ORDER BY ordinal_position"
    )
    values = []
    for name, kind, width in columns:
        if name == "entity_id":
            values.append("seq")
        elif kind in ("timestamp", "datetime"):
            values.append("'2026-01-01' + INTERVAL seq MINUTE")
        elif kind in _FILLED:
            values.append(f"left(concat('{name} ', seq), {width})")
        else:
            values.append("seq % 100")
    return f"INSERT INTO sales_order ({', '.join(f'`{name}`' for name, *_ in columns)}) SELECT {', '.join(values)}"


_MAKERS: dict[str, Callable[[MariaDB], None]] = {
    "mix": _make_mix,
    "carts": _make_carts,
    "narrow": _make_narrow,
    "inserts": _make_inserts,
    "updates": _make_updates,
    "unmapped": _make_unmapped,
    "giant-narrow": _make_giant_narrow,
    "giant-wide": _make_giant_wide,
}
