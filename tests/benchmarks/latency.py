"""Commit → accepted: how long after the shop's COMMIT returned the receiver holds the object. An idle system.

The whole daemon in its own process, a private MariaDB, the sandbox over loopback HTTP; no quota is in the way.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pymysql.connections import Connection

from cdc.model import ObjectType
from tests.benchmarks.row import Row
from tests.kit import schema
from tests.kit.canary import API_KEY
from tests.kit.daemon import Daemon, command, wait_until
from tests.kit.sandbox import SandboxThread
from tests.kit.servers import MariaDB
from tests.kit.shop import Shop

ROUNDS = 40
PAUSE_S = 0.25  # between two commits: the system is idle again
LIMIT_S = 10.0


def settings_of(port: int, database: str, url: str) -> str:
    """A run from this database into this sandbox."""
    return (
        f'[source]\nport = {port}\nuser = "root"\ndatabase = "{database}"\n'
        f'[sink]\nkind = "bridge"\nbase_url = "{url}"\napi_key = "{API_KEY}"\n'
        "max_requests_per_10s = 100000\n[web]\nport = 0\n"
    )


class Client:
    """Commits one object at a time: what is timed begins when COMMIT returns, with nothing behind it."""

    def __init__(self, connection: Connection[Any], buyer: int, product: int) -> None:
        self._connection = connection
        self._buyer = buyer
        self._product = product

    def work(self) -> dict[ObjectType, Callable[[], str]]:
        """A commit per object type; each returns the external id to wait for."""
        return {
            ObjectType.CONTACT: lambda: f"magento-customer-{self._customer()}",
            ObjectType.PRODUCT: lambda: f"magento-product-{self._sku()}",
            ObjectType.DEAL: lambda: f"magento-order-{self._order()[0]}",
            ObjectType.LINE_ITEM: lambda: f"magento-item-{self._order()[1]}",
        }

    def _insert(self, table: str, **values: object) -> int:
        columns = ", ".join(values)
        with self._connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} ({columns}) VALUES ({', '.join(['%s'] * len(values))})", [*values.values()]
            )
            return int(cursor.lastrowid)

    def _customer(self) -> int:
        email = f"latency{time.monotonic_ns()}@example.com"
        return self._insert("customer_entity", website_id=1, email=email, group_id=1, firstname="A", lastname="B")

    def _sku(self) -> int:
        return self._insert(
            "catalog_product_entity", attribute_set_id=4, type_id="simple", sku=f"S{time.monotonic_ns()}"
        )

    def _order(self) -> tuple[int, int]:
        self._connection.begin()
        order = self._insert(
            "sales_order", increment_id=str(time.monotonic_ns()), store_id=1, state="new", status="pending",
            customer_id=self._buyer, customer_is_guest=0, customer_email="buyer@example.com", grand_total="9.90",
        )  # fmt: skip
        item = self._insert(
            "sales_order_item", order_id=order, product_id=self._product, product_type="simple", sku="LAT-1", name="A",
            qty_ordered=1, price="9.90", row_total="9.90",
        )  # fmt: skip
        self._connection.commit()
        return order, item


def timed(commit: Callable[[], str], sandbox: SandboxThread, kind: ObjectType) -> float:
    """Milliseconds from the commit's return until the sandbox has accepted the object."""
    external_id = commit()
    started = time.perf_counter()
    while not sandbox.has_accepted(kind, external_id):
        if time.perf_counter() - started > LIMIT_S:
            raise RuntimeError(f"{external_id} did not arrive within {LIMIT_S} s")
        time.sleep(0.001)
    return (time.perf_counter() - started) * 1000


def times(commit: Callable[[], str], sandbox: SandboxThread, kind: ObjectType, rounds: int = ROUNDS) -> list[float]:
    """The same for one commit after another, in rising order."""
    taken = []
    for _ in range(rounds):
        taken.append(timed(commit, sandbox, kind))
        time.sleep(PAUSE_S)
    return sorted(taken)


def rows() -> Iterable[Row]:
    """p50 and p99 per object type."""
    with MariaDB() as server, server.database("shop") as database, tempfile.TemporaryDirectory() as folder:
        connection = server.connect(database=database)
        schema.load(connection)
        shop = Shop(connection)
        shop.install()
        product = shop.create_product("LAT-1", "A product", "9.90")
        sandbox = SandboxThread()
        with Daemon(Path(folder), settings_of(server.port, database, sandbox.url)) as daemon:
            command("mapping", "push", cwd=Path(folder))
            daemon.start()
            wait_until(lambda: daemon.ask("/status")["load"]["state"] == "done", 60, "the first load")
            client = Client(connection, shop.register(), product)
            for kind, commit in client.work().items():
                taken = times(commit, sandbox, kind)
                yield Row(f"commit → accepted, {kind.value}, p50", statistics.median(taken), "ms", "< 350 ms")
                yield Row(f"commit → accepted, {kind.value}, p99", taken[int(len(taken) * 0.99)], "ms", "< 1,000 ms")
            daemon.stop()
        sandbox.close()
        connection.close()
