"""The relay behind a server whose log tells rows in part: what it publishes is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.test_relay import PREFIX, relay_rig
from tests.kit.broker import Broker
from tests.kit.changes_topic import replica_rows
from tests.kit.daemon import Daemon
from tests.kit.servers import Server

pytestmark = pytest.mark.slow


def test_minimal_images_are_published_whole(mariadb: Server, kafka: Broker, tmp_path: Path) -> None:
    """Each record has every published column, and the topic folds to what a fresh import reads from the shop."""
    mariadb.run("SET GLOBAL binlog_row_image = 'MINIMAL'")
    try:
        with relay_rig(mariadb, kafka, tmp_path, f"{PREFIX}.minimal") as relays:
            first = relays.must_hold()
            relays.traffic(80, seed=5)
            found = relays.must_hold()
            (tmp_path / "run").mkdir()
            lines = relays.rig.toml.replace('kind = "bridge"\n', 'kind = "jsonl"\npath = "out.jsonl"\n')
            with Daemon(tmp_path / "run", lines, "--until-end") as run:
                assert run.start().wait() == 0
    finally:
        mariadb.run("SET GLOBAL binlog_row_image = DEFAULT")

    columns = {record.table: set(record.columns) for record in found.tables}
    fresh = found.changes[len(first.changes) :]
    assert {change.op for change in fresh} >= {"c", "u"}
    assert [change for change in fresh if change.after is not None and set(change.after) != columns[change.table]] == []
    assert found.rows() == replica_rows(tmp_path / "run" / "state")
