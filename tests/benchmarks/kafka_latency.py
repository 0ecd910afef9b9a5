"""What Kafka adds to commit → accepted: `run` on the server itself, then relay, broker and member. An idle system.

The same shop, the same commits, one after the other; every daemon is a process of its own, the sandbox is over loopback
HTTP, no quota is in the way. What stands on the machine beside them is the broker and MariaDB.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterable
from pathlib import Path

from cdc.model import ObjectType
from tests.benchmarks import latency
from tests.benchmarks.latency import Client
from tests.benchmarks.row import Row
from tests.kit import schema, topics
from tests.kit.broker import Broker
from tests.kit.daemon import Daemon, command, wait_until
from tests.kit.sandbox import SandboxThread
from tests.kit.servers import MariaDB
from tests.kit.shop import Shop
from tests.kit.topics import Member, leader_of

KINDS = (ObjectType.CONTACT, ObjectType.DEAL)
ROUNDS = 100
ONLY_BY_NAME = True


def rows() -> Iterable[Row]:
    """p50 and p99 of both ways, and what the longer one adds."""
    with Broker() as broker, MariaDB() as server, server.database("shop") as database:
        connection = server.connect(database=database)
        schema.load(connection)
        shop = Shop(connection)
        shop.install()
        product = shop.create_product("LAT-1", "A product", "9.90")
        client = Client(connection, shop.register(), product)
        direct = _direct(client, server.port, database)
        through = _through_kafka(client, server.port, database, broker)
        for kind in KINDS:
            for name, taken in (("run", direct[kind]), ("relay, Kafka, member", through[kind])):
                yield Row(f"{name}, {kind.value}, p50", statistics.median(taken), "ms")
                yield Row(f"{name}, {kind.value}, p99", _p99(taken), "ms")
            added = statistics.median(through[kind]) - statistics.median(direct[kind])
            yield Row(f"Kafka adds, {kind.value}, p50", added, "ms")
            yield Row(f"Kafka adds, {kind.value}, p99", _p99(through[kind]) - _p99(direct[kind]), "ms")
        connection.close()


def _p99(taken: list[float]) -> float:
    return taken[int(len(taken) * 0.99)]


def _measured(client: Client, sandbox: SandboxThread) -> dict[ObjectType, list[float]]:
    work = client.work()
    for kind in KINDS:  # the first of a kind pays for statements and connections
        latency.times(work[kind], sandbox, kind, 3)
    return {kind: latency.times(work[kind], sandbox, kind, ROUNDS) for kind in KINDS}


def _direct(client: Client, port: int, database: str) -> dict[ObjectType, list[float]]:
    sandbox = SandboxThread()
    with (
        tempfile.TemporaryDirectory() as folder,
        Daemon(Path(folder), latency.settings_of(port, database, sandbox.url)) as daemon,
    ):
        command("mapping", "push", cwd=Path(folder))
        daemon.start()
        wait_until(lambda: daemon.ask("/status")["load"]["state"] == "done", 60, "the first load")
        found = _measured(client, sandbox)
        daemon.stop()
    sandbox.close()
    return found


def _through_kafka(client: Client, port: int, database: str, broker: Broker) -> dict[ObjectType, list[float]]:
    sandbox = SandboxThread()
    kafka = f'[kafka]\nbrokers = ["{broker.bootstrap}"]\nprefix = "bench"\n'
    toml = topics.settings_of(
        broker, {"prefix": "bench"}, sandbox.url, source={"database": database}, sink={"max_requests_per_10s": 100_000}
    )
    with (
        tempfile.TemporaryDirectory() as first,
        tempfile.TemporaryDirectory() as second,
        Daemon(Path(first), latency.settings_of(port, database, sandbox.url) + kafka, verb="relay") as relay,
        Member(Path(second), toml) as member,
    ):
        command("mapping", "push", cwd=Path(second))
        relay.start()
        wait_until(lambda: relay.ask("/ready")["ready"], 60, "the relay has published the store")
        member.start()
        leader_of([member])
        found = _measured(client, sandbox)
        member.stop()
        relay.stop()
    sandbox.close()
    return found
