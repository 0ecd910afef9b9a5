"""What lies in the state folder is for its owner's eyes, and goes when it should."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc.state.copies import STATE_FILE, folder_for_copy, remove_abandoned_copies
from cdc.state.store import Store
from tests.kit.toy import delete, insert, toy_engine, transaction


@pytest.fixture
def usual_umask() -> Iterator[None]:
    """The umask of most systems, which lets everybody read new files."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folder_and_files_are_for_the_owner_alone(tmp_path: Path, usual_umask: None) -> None:
    """0700 and 0600, SQLite's own files beside the state included: they hold customers' data."""
    folder = tmp_path / "state"
    store = Store(folder, ())
    with store.transaction():
        store.meta.fed_ms = 1

    modes = {path.name: mode(path) for path in folder.iterdir()}
    store.close()

    assert mode(folder) == 0o700
    assert {STATE_FILE, f"{STATE_FILE}-wal", f"{STATE_FILE}-shm"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path, usual_umask: None) -> None:
    """A volume or a home folder is the operator's; the state file of an earlier start is closed to others."""
    (tmp_path / STATE_FILE).touch(0o644)
    tmp_path.chmod(0o755)
    Store(tmp_path, ()).close()

    assert (mode(tmp_path), mode(tmp_path / STATE_FILE)) == (0o755, 0o600)


def test_values_of_deleted_people_are_overwritten(tmp_path: Path) -> None:
    """Once customers are deleted and the state is closed, no file of it holds their addresses, in free pages either."""
    engine = toy_engine(tmp_path)
    people = [(number, f"erase-me-{number}@example.com", 1) for number in range(1, 301)]
    with engine.store.transaction():
        engine.apply_group([transaction(100 + person[0], insert("customers", *person)) for person in people])
    with engine.store.transaction():
        engine.apply_group([transaction(1000 + person[0], delete("customers", *person)) for person in people])
    [setting] = engine.store.db.execute("PRAGMA secure_delete").fetchone()
    engine.close()

    assert setting == 1
    assert [path.name for path in tmp_path.iterdir() if b"erase-me-" in path.read_bytes()] == []


def test_a_copy_whose_maker_was_killed_goes_at_the_next_start(tmp_path: Path) -> None:
    """A dry run that was killed leaves the whole store's data; the next run or dry run removes it."""
    with folder_for_copy(tmp_path) as copy:
        (copy / STATE_FILE).touch()
        left = shutil.copytree(copy, tmp_path / "dry-run-killed")
        remove_abandoned_copies(tmp_path)
        assert copy.exists()
        assert not left.exists()

        shutil.copytree(copy, left)
        Store(tmp_path, ()).close()
        assert copy.exists()
        assert not left.exists()

    assert not copy.exists()


def test_a_copy_that_is_just_being_made_stays(tmp_path: Path) -> None:
    """Before its state file is there, a folder holds nobody's data, and its maker may not have locked it yet."""
    fresh = tmp_path / "dry-run-fresh"
    fresh.mkdir()
    remove_abandoned_copies(tmp_path)

    assert fresh.exists()
