"""Verbs that only look never wait for a daemon that writes; verbs that write say what is so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cdc.cli.main import app
from cdc.clock import SystemClock
from cdc.engine.engine import Engine
from cdc.errors import StateError
from cdc.messages import dead_letters
from cdc.messages.dead_letters import DeadLetter
from cdc.model import Action, Kind, ObjectRef, Position
from cdc.replica.cascades import core_foreign_keys
from cdc.replica.load_state import Phase
from cdc.settings.mapping import MappingSettings
from cdc.state import store
from mappers.mapping import MagentoMapping


@pytest.fixture
def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The state folder of a daemon in the midst of a transaction that no end is in sight of."""
    for name in [name for name in os.environ if name.startswith("MAGENTO_CDC__")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(store, "BUSY_MS", 50)
    folder = tmp_path / "state"
    engine = Engine(folder, MagentoMapping(MappingSettings()), core_foreign_keys(), SystemClock())
    with engine.store.transaction():
        engine.moves.begin(Position("binlog.000001", 4), Phase.COMPLETE)
        letter = DeadLetter(ObjectRef(Kind.ORDER, 1), Action.UPSERT, 1, 1, "refused", "it was", "binlog.000001:4")
        dead_letters.add(engine.store, letter)
    engine.store.db.execute("BEGIN IMMEDIATE")
    engine.store.meta.fed_ms = 1
    yield folder
    engine.store.db.execute("ROLLBACK")
    engine.close()


@pytest.mark.parametrize(
    ("verb", "shown"),
    [
        (("position", "show"), "binlog.000001:4"),
        (("deadletter", "list"), "order-1"),
        (("deadletter", "show", "order-1"), "it was"),
        (("deletes", "list"), "no deletions are held"),
        (("status", "--set", "web.port=1"), "binlog.000001:4"),
        (("trace", "order", "1", "--no-ask"), "dead letter: refused: it was"),
        (("trace", "order", "2", "--no-ask"), "nothing is known of order 2"),
    ],
)
def test_a_verb_that_looks_shows_what_was_committed_before(busy: Path, verb: tuple[str, ...], shown: str) -> None:
    """However long the daemon's transaction takes."""
    done = CliRunner().invoke(app, [*verb, "--set", f"state.dir={busy}", "--set", "sink.kind=jsonl"])
    assert shown in done.output + str(done.exception or "")


@pytest.mark.parametrize("verb", [("deadletter", "retry", "--all"), ("deletes", "release")])
def test_a_verb_that_writes_says_that_a_daemon_is_writing(busy: Path, verb: tuple[str, ...]) -> None:
    """It is not the disk: the advice is to wait."""
    done = CliRunner().invoke(app, [*verb, "--set", f"state.dir={busy}", "--set", "sink.kind=jsonl"])
    assert isinstance(done.exception, StateError)
    assert "a running daemon has been writing one transaction" in done.exception.message
    assert "try again" in done.exception.hint
