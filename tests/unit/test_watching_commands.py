"""``status --watch`` and ``check --watch`` look again and again; ``position set --dry-run`` moves nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cdc.cli import check, status
from cdc.cli.main import app
from cdc.clock import SystemClock
from cdc.engine.engine import Engine
from cdc.model import CheckResult, Position
from cdc.replica.cascades import core_foreign_keys
from cdc.replica.load_state import Phase
from cdc.settings.config import load
from mappers.mapping import MagentoMapping


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of a state that stands at binlog.000003:100, read from files."""
    for name in [name for name in os.environ if name.startswith("MAGENTO_CDC__")]:
        monkeypatch.delenv(name)
    path = tmp_path / "magento-cdc.toml"
    path.write_text(
        f'[source]\nkind = "files"\nfiles = ["{tmp_path / "binlog.*"}"]\n[sink]\nkind = "jsonl"\n'
        f'[state]\ndir = "{tmp_path / "state"}"\n[web]\nport = 0\n'
    )
    held = load(path)
    engine = Engine(held.state.dir, MagentoMapping(held.mapping), core_foreign_keys(), SystemClock())
    with engine.store.transaction():
        engine.moves.begin(Position("binlog.000003", 100), Phase.COMPLETE)
    engine.close()
    return path


def run(settings: Path, *words: str) -> Result:
    """The command on that state."""
    return CliRunner().invoke(app, [*words, "--config", str(settings)])


def test_status_is_shown_again_until_ctrl_c(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look replaces the one before, and Ctrl-C ends it with exit code 0, without a traceback."""
    looks: Iterator[dict[str, object] | None] = iter([{"ready": True, "outbox": {"total": 3}}, None])
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(status, "of_daemon", lambda _: next(looks))
    monkeypatch.setattr("cdc.cli.status.time.sleep", pause)
    done = run(settings, "status", "--watch")

    assert done.exit_code == 0, done.output
    assert pauses == [status.WATCH_S, status.WATCH_S]
    assert "none answers on web.host and web.port" in done.output  # the last look; a terminal saw the first one, too


def test_check_looks_again_until_nothing_fails(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong is printed once as long as it stays the same; the end is exit code 0."""
    wrong = [CheckResult("server", False, "nobody answers on 127.0.0.1:3306", "start it")]
    looks = iter([wrong, wrong, [CheckResult("server", True, "MariaDB 11.8")]])
    monkeypatch.setattr(check, "_all", lambda _: next(looks))
    monkeypatch.setattr("cdc.cli.check.time.sleep", lambda _: None)
    done = run(settings, "check", "--watch")

    assert done.exit_code == 0, done.output
    assert done.output.count("FAIL  server") == 1
    assert done.output.count("looking again") == 1
    assert done.stdout.splitlines()[-1] == "ok    server: MariaDB 11.8"


@pytest.mark.parametrize(
    ("position", "way"),
    [
        ("binlog.000002:4", "back: a replay"),
        ("binlog.000004:4", "forward: the changes between are never read"),
        ("binlog.000003:100", "the same place"),
    ],
)
def test_a_dry_run_of_position_set_moves_nothing(settings: Path, position: str, way: str) -> None:
    """It says from where to where, and which way; without the option the position moves."""
    said = run(settings, "position", "set", position, "--dry-run")
    assert said.exit_code == 0, said.output
    assert f"from binlog.000003:100 to {position} ({way}); nothing was moved" in said.output
    assert run(settings, "position", "show").stdout.strip() == "binlog.000003:100"

    assert run(settings, "position", "set", position).exit_code == 0
    shown = json.loads(run(settings, "position", "show", "--json").stdout)
    assert f"{shown['file']}:{shown['offset']}" == position
