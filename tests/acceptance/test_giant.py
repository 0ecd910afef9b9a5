"""One transaction that is larger than what may be held in memory, with kill -9 in its middle."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.conftest import Rig
from tests.kit.daemon import wait_until

pytestmark = pytest.mark.slow
SOAK_SERVERS = ("mysql",)

CUSTOMERS = 2500


def one_large_transaction(rig: Rig) -> None:
    """Customers come, change their names, and in part go; as many again are rolled back."""
    insert = "INSERT INTO customer_entity (entity_id, website_id, email, group_id, firstname) VALUES (%s, 1, %s, 1, %s)"
    connection = rig.server.connect(database=rig.database)
    connection.begin()
    with connection.cursor() as cursor:
        numbers = range(10_000, 10_000 + CUSTOMERS)
        cursor.executemany(insert, [(n, f"giant{n}@example.com", "Ada") for n in numbers])
        cursor.execute("SAVEPOINT half")
        cursor.executemany(insert, [(n + 50_000, f"never{n}@example.com", "Eve") for n in numbers])
        cursor.execute("ROLLBACK TO half")
        cursor.execute("UPDATE customer_entity SET firstname = 'Grace' WHERE entity_id >= 10000")
        cursor.execute("DELETE FROM customer_entity WHERE entity_id >= 10000 AND entity_id % 3 = 0")
    connection.commit()
    connection.close()


def spills(pid: int, folder: Path) -> bool:
    """Whether the process holds a file without a name in this folder."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:  # closed meanwhile
            continue
        if target.startswith(str(folder)) and target.endswith("(deleted)"):
            return True
    return False


def test_a_giant_transaction_survives_kill_9_and_ends_as_any_other(rig: Rig) -> None:
    """What waits on disk is gone with the process and read again; at the end the sandbox equals a full render."""
    rig.toml = rig.toml.replace("server_id = 990", "server_id = 990\nmax_transaction_mb = 1")
    with rig.daemon() as daemon:
        daemon.start()
        wait_until(lambda: daemon.ask("/status")["load"]["state"] == "done", 30, "the first load")
        one_large_transaction(rig)
        wait_until(lambda: spills(daemon.pid, rig.folder / "state"), 30, "changes wait on disk")
        daemon.kill()
        daemon.start()
        rig.wait_for_equality()

    assert rig.sandbox.violations() == {}
