"""What the daemon says of itself: lag and silence of a source that went away, and what the state takes of the disk."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from cdc.engine.state_thread import StateThread, TransactionQueue
from cdc.settings.config import ApplySettings, Settings
from cdc.state.copies import disk_use
from cdc.state.store import Store
from cdc.status import DaemonView, SourceState
from tests.kit.toy import toy_engine


class Idle:
    """An output that does nothing, as far as the view asks."""

    is_accepting, reason, role = True, "", "alone"

    def status(self) -> Mapping[str, object]:
        """Nothing to tell."""
        return {}

    def member(self) -> Mapping[str, object]:
        """Alone."""
        return {"role": self.role}


class Nobody:
    """Is told of commits and failures."""

    def on_commit(self, seconds: float, *, has_news: bool) -> None:
        """Not looked at."""

    def on_failure(self, error: BaseException) -> None:
        """Not looked at."""


def view(source: SourceState, silent_s: float) -> Mapping[str, Any]:
    """The source's part of the status, of a source last heard of so long ago."""
    made = DaemonView(TransactionQueue(1024), source, Idle())  # type: ignore[arg-type]  # no more is asked for
    heard_s = time.monotonic() - silent_s
    made.heard_s = lambda: heard_s
    part = made.status()["source"]
    assert isinstance(part, dict)
    return part


@pytest.mark.parametrize(
    ("state", "lag_s"),
    [("connected", 2.0), ("finished", 2.0), ("disconnected", 602.0), ("unreachable", 602.0), ("starting", 602.0)],
)
def test_the_read_lag_grows_while_the_source_is_away(state: str, lag_s: float) -> None:
    """A source that is away cannot tell how much it has to say, so its silence counts as lag."""
    said = view(SourceState(name=state, read_lag_s=2.0), 600)

    assert said["read_lag_s"] == pytest.approx(lag_s, abs=5)
    assert said["silence_s"] == pytest.approx(600, abs=5)


@pytest.mark.parametrize(("taken_s", "is_told", "is_live"), [(2, False, True), (23, True, True), (70, True, False)])
def test_a_disk_that_hangs_is_told_before_the_daemon_is_restarted(
    tmp_path: Path, taken_s: float, is_told: bool, is_live: bool
) -> None:
    """While a commit waits for the disk, nothing else could say why no message goes."""
    state = StateThread(toy_engine(tmp_path), TransactionQueue(1024), ApplySettings(), Nobody())
    has_begun, may_end = Event(), Event()

    def hang(_: Store) -> None:
        has_begun.set()
        may_end.wait(30)

    state.submit(hang)
    state.start()
    made = DaemonView(TransactionQueue(1024), SourceState(name="connected"), Idle())  # type: ignore[arg-type]  # as above
    made.attach(state, Settings(), is_relay=True)
    assert has_begun.wait(30)
    state.engine.heartbeat.at -= taken_s
    is_ready, reasons = made.ready()
    live = made.live()
    may_end.set()
    state.stop()
    state.join(30)

    assert is_ready
    assert [reason[:40] for reason in reasons] == ["state: one step of the state thread has "] * is_told
    assert live[0] is is_live


def test_what_the_state_takes_is_told_in_bytes(tmp_path: Path) -> None:
    """The file, its write-ahead log while it is open, and the room that is left."""
    store = Store(tmp_path, ())
    use = disk_use(tmp_path)
    store.close()

    assert use.state_bytes == (tmp_path / "state.sqlite3").stat().st_size or use.wal_bytes
    assert use.wal_bytes > 0
    assert use.free_bytes > 0
    assert disk_use(tmp_path).wal_bytes == 0
