"""Commit → accepted: how long after the shop's COMMIT returned the receiver holds the object.

First on an idle system, then while the daemon sends a backlog of 100,000 contacts (LATENCY_BACKLOG: another number).
The whole daemon in its own process, a private MariaDB, the sandbox over loopback HTTP; no quota is in the way.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
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

BACKLOG = int(os.environ.get("LATENCY_BACKLOG") or 100_000)
BACKLOG_KINDS = (ObjectType.CONTACT, ObjectType.DEAL)
ROUNDS = 40
PAUSE_S = 0.25  # between two commits: the system is idle again
BACKLOG_PAUSE_S = 0.1
LEAST_ROUNDS = 20  # under a backlog, for each object type
LIMIT_S = 10.0
LOAD_LIMIT_S = 300.0


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
    """p50 and p99 per object type, idle and under a backlog."""
    with MariaDB() as server, server.database("shop") as database:
        connection = server.connect(database=database)
        schema.load(connection)
        shop = Shop(connection)
        shop.install()
        product = shop.create_product("LAT-1", "A product", "9.90")
        client = Client(connection, shop.register(), product)
        yield from _idle(client, server.port, database)
        _add_customers(connection, BACKLOG)
        yield from _under_backlog(client, server.port, database)
        connection.close()


def _idle(client: Client, port: int, database: str) -> Iterator[Row]:
    with _running(port, database) as (daemon, sandbox):
        _await_load(daemon)
        for kind, commit in client.work().items():
            yield from _percentiles("commit → accepted, idle", kind, times(commit, sandbox, kind), ("≤ 3 ms", "≤ 6 ms"))


def _under_backlog(client: Client, port: int, database: str) -> Iterator[Row]:
    """The receiver is down during the first load, so the whole load waits in the outbox. Then the receiver is back."""
    title = f"commit → accepted, under a backlog of {BACKLOG:,}"
    work = client.work()
    with _running(port, database) as (daemon, sandbox):
        sandbox.set_fault({"status": 503, "count": 1_000_000})
        _await_load(daemon)
        sandbox.clear_faults()
        before = sandbox.accepted()
        wait_until(lambda: sandbox.accepted() > before, LOAD_LIMIT_S, "the daemon sends again")
        began, first = time.perf_counter(), sandbox.accepted()
        taken: dict[ObjectType, list[float]] = {kind: [] for kind in BACKLOG_KINDS}
        for kind in BACKLOG_KINDS * ROUNDS:
            elapsed = timed(work[kind], sandbox, kind)
            # From here on the figures would be those of an idle system.
            if sandbox.accepted() - first >= BACKLOG:
                break
            taken[kind].append(elapsed)
            time.sleep(BACKLOG_PAUSE_S)
        sent = sandbox.accepted() - first
        rate = sent / (time.perf_counter() - began)
        note = f"{rate:,.0f} messages/s accepted meanwhile, {max(0, BACKLOG - sent):,} of the backlog left at the end"
        for kind, found in taken.items():
            if len(found) < LEAST_ROUNDS:
                raise RuntimeError(f"the backlog was sent after {len(found)} commits: LATENCY_BACKLOG is too small")
            yield from _percentiles(
                title, kind, sorted(found), ("≤ 60 ms", "≤ 120 ms"), f"{len(found)} commits, {note}"
            )


def _percentiles(
    title: str, kind: ObjectType, taken: Sequence[float], targets: tuple[str, str], note: str = ""
) -> Iterator[Row]:
    yield Row(f"{title}, {kind.value}, p50", statistics.median(taken), "ms", targets[0], note)
    yield Row(f"{title}, {kind.value}, p99", taken[int(len(taken) * 0.99)], "ms", targets[1], note)


@contextlib.contextmanager
def _running(port: int, database: str) -> Iterator[tuple[Daemon, SandboxThread]]:
    """A daemon with a new state, whose first load has begun, and its receiver."""
    sandbox = SandboxThread()
    with (
        contextlib.closing(sandbox),
        tempfile.TemporaryDirectory() as folder,
        Daemon(Path(folder), settings_of(port, database, sandbox.url)) as daemon,
    ):
        command("mapping", "push", cwd=Path(folder))
        daemon.start()
        yield daemon, sandbox
        daemon.stop()


def _await_load(daemon: Daemon) -> None:
    wait_until(lambda: daemon.ask("/status")["load"]["state"] == "done", LOAD_LIMIT_S, "the first load")


def _add_customers(connection: Connection[Any], count: int) -> None:
    """Customers that make the backlog, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO customer_entity (website_id, email, group_id, firstname, lastname)"
            f" SELECT 1, CONCAT('backlog', seq, '@example.com'), 1, 'A', 'B' FROM seq_1_to_{count}"
        )
    connection.commit()
