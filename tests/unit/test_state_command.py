"""``state backup``, ``check`` and ``compact``: a copy that opens, damage that is found, disk that is given back."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cdc.cli.main import app
from cdc.errors import ConfigError, SetupError, StateError
from cdc.settings.config import load
from tests.kit.replica_harness import ReplicaHarness

PRODUCTS = 400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with settings and a state of some products."""
    path = tmp_path / "magento-cdc.toml"
    path.write_text(f'[sink]\nkind = "jsonl"\n[state]\ndir = "{tmp_path / "state"}"\n')
    shop = ReplicaHarness(tmp_path / "state", load(path).mapping)
    for number in range(1, PRODUCTS + 1):
        shop.insert("catalog_product_entity", entity_id=number, sku=f"sku-{number}", type_id="simple")
    shop.engine.close()
    return tmp_path


def run(folder: Path, *words: str) -> Result:
    """The command on that state."""
    return CliRunner().invoke(app, ["state", *words, "--config", str(folder / "magento-cdc.toml")])


def test_a_backup_is_a_whole_state_for_its_owner_alone(folder: Path) -> None:
    """It is made while somebody else holds the state, opens as one, and is not written over."""
    shop = ReplicaHarness(folder / "state", load(folder / "magento-cdc.toml").mapping)
    target = folder / "copy.sqlite3"
    done = run(folder, "backup", str(target))
    shop.engine.close()

    assert done.exit_code == 0, done.output
    assert target.stat().st_mode & 0o777 == 0o600
    (folder / "restored").mkdir()
    target.rename(folder / "restored" / "state.sqlite3")
    restored = json.loads(run(folder, "check", "--json", "--set", f"state.dir={folder / 'restored'}").stdout)
    held = json.loads(run(folder, "check", "--json").stdout)
    assert restored["objects"] == held["objects"] == PRODUCTS
    assert restored["position"] == held["position"]
    (folder / "there").write_text("")
    assert isinstance(run(folder, "backup", str(folder / "there")).exception, ConfigError)
    assert isinstance(run(folder, "backup", str(folder / "no" / "folder")).exception, ConfigError)


def test_damage_is_found(folder: Path) -> None:
    """A page that was overwritten in the middle of the file ends the check with a sentence."""
    path = folder / "state" / "state.sqlite3"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        for at in range(size // 2, size, 4096):
            file.seek(at)
            file.write(b"\xff" * 512)

    error = run(folder, "check").exception
    assert isinstance(error, StateError)
    assert error.exit_code == 1


def test_compact_gives_disk_back_and_wants_the_state_alone(folder: Path) -> None:
    """Deleted rows leave empty pages, which go; while another process holds the folder, it is refused."""
    shop = ReplicaHarness(folder / "state", load(folder / "magento-cdc.toml").mapping)
    assert isinstance(run(folder, "compact").exception, SetupError)
    with shop.engine.store.transaction():
        shop.engine.store.db.execute("DELETE FROM outbox")
        shop.engine.store.db.execute("DELETE FROM ledger_line")
    shop.engine.close()
    path = folder / "state" / "state.sqlite3"
    before = path.stat().st_size
    done = run(folder, "compact")

    assert done.exit_code == 0, done.output
    assert path.stat().st_size < before
