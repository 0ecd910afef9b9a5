"""A large first load that is killed every few seconds, to its end: nothing is missing, overtaken or read twice.

Part of ``make soak``, with SOAK_ORDERS orders (10,000 if it is not set). 200,000 orders take a quarter of an hour, and
need 6 GB of disk: ``SOAK_SEED=1 SOAK_ORDERS=200000 pytest tests/acceptance/test_large_import_killed.py``.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
from pathlib import Path
from typing import Any, Final

import pytest

from cdc.clock import SystemClock
from cdc.engine.engine import Engine
from cdc.settings.config import load
from cdc.source.foreign_keys import ask_foreign_keys
from tests.kit import big_shop, schema
from tests.kit.big_shop import Sizes, settings_for
from tests.kit.canary import PASSWORD
from tests.kit.daemon import Daemon, command
from tests.kit.full_render import fresh_engine
from tests.kit.load_proof import read_chunks, read_sent, render_digests, replica_digests
from tests.kit.servers import MariaDB, MySQL, Server
from tests.kit.shop import Shop

pytestmark = [pytest.mark.slow, pytest.mark.soak]

ORDERS: Final = int(os.environ.get("SOAK_ORDERS", "10000"))
LIVES_S: Final = (2.0, 6.0)
"""How long a process lives: enough to start and to read a chunk, on a busy machine too."""
LIMIT_S: Final = 120 + ORDERS / 40


@pytest.mark.parametrize("kind", [MariaDB, MySQL], ids=["mariadb", "mysql"])
def test_a_large_import_that_is_killed_again_and_again_ends_as_one_that_never_was(
    request: pytest.FixtureRequest, tmp_path: Path, kind: type[Server]
) -> None:
    """Replica = tables, sent = a full render; a kill costs at most the chunk that was being read."""
    request.getfixturevalue(kind.flavor)  # skips where there is none
    options = {"general_log_file": str(tmp_path / "general.log"), "log_output": "FILE"}
    with kind(options) as server, server.database() as database:
        with contextlib.closing(server.connect(database=database)) as connection:
            schema.load(connection)
            Shop(connection).install()
        big_shop.fill(server, database, Sizes(ORDERS))
        server.create_user(
            "cdc", PASSWORD, ["REPLICATION SLAVE, REPLICATION CLIENT ON *.*", f"SELECT ON `{database}`.*"]
        )
        # On MySQL the log is read from the start of its present file: definitions there would have tables read again.
        server.rotate()
        server.run("SET GLOBAL general_log = ON")
        toml = settings_for(server, database, user="cdc", password=PASSWORD)
        (tmp_path / "magento-cdc.toml").write_text(toml, encoding="utf-8")
        plan = json.loads(command("import", "--dry-run", "--json", cwd=tmp_path, limit_s=300).stdout)
        kills = _killed_until_sent(tmp_path, toml)
        server.run("SET GLOBAL general_log = OFF")
        _assert_read_once(tmp_path / "general.log", kills)
        _assert_equal(tmp_path, plan)


def _killed_until_sent(folder: Path, toml: str) -> int:
    """Start and kill until a process finds everything sent; the number of kills."""
    rng, kills, end = random.Random(3), 0, time.monotonic() + LIMIT_S
    with Daemon(folder, toml) as daemon:
        daemon.start()
        while not _lives_to_its_end(daemon, rng.uniform(*LIVES_S)):
            assert time.monotonic() < end, f"not sent within {LIMIT_S:.0f} s and {kills} kills"
            assert daemon.is_running, (folder / "run.log").read_text()[-3000:]
            daemon.kill()
            kills += 1
            daemon.start()
        assert daemon.stop() == 0
        assert [line["event"] for line in daemon.lines()].count("first_load_sent") == 1
    return kills


def _lives_to_its_end(daemon: Daemon, seconds: float) -> bool:
    """Whether the load is read, sent and told within so many seconds."""
    until = time.monotonic() + seconds
    while (left_s := until - time.monotonic()) > 0:
        time.sleep(min(0.5, left_s))
        with contextlib.suppress(OSError, AssertionError):  # it does not listen yet
            if _is_sent(daemon.ask("/status")):
                return True
    return False


def _is_sent(status: dict[str, Any]) -> bool:
    # Before the first look into the state, a status has no such parts.
    if "first_load" not in status or "outbox" not in status:
        return False
    return status["load"]["state"] == "done" and not status["first_load"]["phase"] and not status["outbox"]["total"]


def _assert_read_once(log: Path, kills: int) -> None:
    with log.open(encoding="utf-8", errors="replace") as lines:
        reads = read_chunks(lines)
    assert reads.faults == []
    assert {"sales_order", "sales_order_item"} <= reads.chunks.keys()
    assert reads.again.total() <= kills, reads.again


def _assert_equal(folder: Path, plan: dict[str, Any]) -> None:
    settings = load(folder / "magento-cdc.toml")
    with fresh_engine(settings) as fresh:
        held = Engine(folder / "state", fresh.mapper, ask_foreign_keys(settings.source), SystemClock())
        read = {table: load.rows for table, load in held.table_loads.states().items()}
        assert read == {table: plan["tables"].get(table, 0) for table in read}
        assert replica_digests(held) == replica_digests(fresh)
        held.close()
        expected = render_digests(fresh, settings.mapping.namespace)
    sent = read_sent(folder / "out.jsonl")
    assert sent.faults == []
    assert sent.objects == expected
    assert len(expected) == sum(plan["messages"].values())
