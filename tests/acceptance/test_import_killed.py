"""A first load that is killed again and again goes on where it was, and reads no row into the replica twice."""

from __future__ import annotations

import json
import random
import sqlite3
import time

import pytest

from tests.acceptance.conftest import Rig
from tests.kit.daemon import command, wait_until
from tests.kit.shop_day import play

pytestmark = pytest.mark.slow
SOAK_SERVERS = ("mysql",)

KILLS = 6


def loaded(rig: Rig) -> dict[str, int]:
    """Rows that each table's load has brought into the replica, by the state file."""
    db = sqlite3.connect(f"file:{rig.folder / 'state' / 'state.sqlite3'}?mode=ro", uri=True)
    try:
        return dict(db.execute("SELECT tbl, rows FROM table_load WHERE done = 1"))
    finally:
        db.close()


def test_a_first_load_that_is_killed_ends_equal_and_loads_each_row_once(rig: Rig) -> None:
    """Each chunk is durable with its cursor; plan, pause and progress are in the state, too."""
    rig.toml = rig.toml.replace("chunk_rows = 50", "chunk_rows = 5\nchunk_s = 0")
    play(rig.shop, seed=6)
    (rig.folder / "magento-cdc.toml").write_text(rig.toml, encoding="utf-8")
    plan = json.loads(command("import", "--dry-run", "--json", cwd=rig.folder).stdout)
    rng = random.Random(6)
    with rig.daemon() as daemon:
        for _ in range(KILLS):
            daemon.start()
            time.sleep(rng.uniform(0.1, 0.8))  # anywhere in a chunk, a commit, a request
            daemon.kill()
        daemon.start()
        rig.wait_for_equality()
        wait_until(lambda: daemon.ask("/status")["first_load"]["phase"] == "", 30, "the end of the load is noted")
        assert daemon.stop() == 0
        sent = [line for line in daemon.lines() if line["event"] == "first_load_sent"]

    rows = loaded(rig)
    assert rows == {table: plan["tables"][table] for table in rows}
    assert len(sent) == 1
    assert sent[0]["rows"] == plan["rows"]
    assert sum(sent[0]["messages"].values()) == sum(plan["messages"].values())
