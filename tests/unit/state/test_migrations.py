"""A state folder of another version is brought to ours, or refused by a sentence that says what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from cdc.errors import StateError
from cdc.state.copies import STATE_FILE
from cdc.state.migrations import MIGRATIONS, SCHEMA_VERSION, migrate
from cdc.state.store import Store


def version_of(folder: Path) -> int:
    """The number in the file's head."""
    with sqlite3.connect(folder / STATE_FILE) as database:
        (found,) = database.execute("PRAGMA user_version").fetchone()
    database.close()
    return int(found)


def write(folder: Path, *statements: str) -> None:
    """Change the file as another release would have."""
    with sqlite3.connect(folder / STATE_FILE) as database:
        for statement in statements:
            database.execute(statement)
    database.close()


def test_a_new_folder_gets_the_version(tmp_path: Path) -> None:
    """The first run notes the version of the layout, and the next run opens the folder."""
    for _ in range(2):
        Store(tmp_path, ()).close()

    assert version_of(tmp_path) == SCHEMA_VERSION


def test_every_version_has_its_migration() -> None:
    """A layout that changed since release 0.1.0 has statements for every step on the way."""
    assert sorted(MIGRATIONS) == list(range(2, SCHEMA_VERSION + 1))


def test_a_folder_of_a_later_release_is_refused(tmp_path: Path) -> None:
    """A program does not guess what a layout means that it does not know."""
    Store(tmp_path, ()).close()
    write(tmp_path, "PRAGMA user_version = 99")

    with pytest.raises(StateError, match=r"later release .*layout 99") as caught:
        Store(tmp_path, ())
    assert "run the release that wrote it" in caught.value.hint


def test_a_folder_from_before_the_first_release_is_refused(tmp_path: Path) -> None:
    """A build from before 0.1.0 kept no number in the file's head, and its tables are not ours."""
    write(tmp_path, "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)", "INSERT INTO meta VALUES ('schema', '1')")

    with pytest.raises(StateError, match=r"before release 0\.1\.0") as caught:
        Store(tmp_path, ())
    assert "import the store afresh" in caught.value.hint


def test_an_older_folder_is_migrated_step_by_step(tmp_path: Path) -> None:
    """Each version's statements run in their order, and the number in the file's head goes along."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.execute("CREATE TABLE held (one TEXT)")
    database.execute("PRAGMA user_version = 1")
    steps = {
        2: ["ALTER TABLE held ADD COLUMN two TEXT NOT NULL DEFAULT 'b'"],
        3: ["INSERT INTO held (one, two) VALUES ('a', 'c')", "UPDATE held SET two = 'd'"],
    }
    migrate(database, tmp_path, may_write=True, version=3, migrations=steps)

    assert database.execute("SELECT one, two FROM held").fetchall() == [("a", "d")]
    assert database.execute("PRAGMA user_version").fetchone() == (3,)
    database.close()


def test_a_command_that_only_looks_migrates_nothing(tmp_path: Path) -> None:
    """Only ``run`` changes the layout: a daemon of the older release may still be using the folder."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.execute("CREATE TABLE held (one TEXT)")
    database.execute("PRAGMA user_version = 1")
    with pytest.raises(StateError, match="earlier release") as caught:
        migrate(database, tmp_path, may_write=False, version=2, migrations={2: ["DROP TABLE held"]})

    assert "magento-cdc run" in caught.value.hint
    assert database.execute("SELECT count(*) FROM held").fetchone() == (0,)
    database.close()
