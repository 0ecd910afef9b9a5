"""A disk that is full ends a run with a sentence, wherever it fills up."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from pathlib import Path

import pytest

from cdc.daemon import Daemon, RunOptions
from cdc.engine.engine import Engine
from cdc.errors import StateError
from cdc.output import Running
from cdc.settings.config import Settings, StateSettings
from cdc.settings.sink import SinkSettings
from cdc.settings.source import SourceSettings
from cdc.settings.web import WebSettings
from cdc.sink_output import SinkOutput


class OnSmallDisk(SinkOutput):
    """A run whose state may grow by so many pages and no further."""

    pages = 0

    def prepare(self, engine: Engine) -> None:
        """The state is open: bound it."""
        super().prepare(engine)
        (held,) = engine.store.db.execute("PRAGMA page_count").fetchone()
        engine.store.db.execute(f"PRAGMA max_page_count = {held + self.pages}")


class FailsWhileAsked(SinkOutput):
    """A run whose state ends with a commit that fails, just before the task that waits for the end asks it."""

    def attach(self, running: Running) -> None:
        """The state is open, and its thread not started."""
        super().attach(running)
        self.state = running.state

    async def until_empty(self) -> str:
        """Everything is applied."""
        self.state.submit(lambda store: store.db.execute("ROLLBACK"))  # so that the turn's COMMIT fails
        await asyncio.to_thread(self.state.join)
        return await super().until_empty()


def settings_in(folder: Path) -> Settings:
    """The recorded day of a small shop, to a file."""
    recording = files("cdc") / "demo" / "shop-day.000001"
    return Settings(
        source=SourceSettings(kind="files", files=(str(recording),), database="magento"),
        sink=SinkSettings(kind="jsonl", path=str(folder / "lines")),
        state=StateSettings(dir=folder / "state"),
        web=WebSettings(port=0),
    )


@pytest.mark.parametrize("pages", [0, 10, 40, 80])
def test_a_full_disk_ends_a_run_until_the_end_with_a_sentence(tmp_path: Path, pages: int) -> None:
    """Wherever in the run it fills up, the error is the state's, with exit code 1 and what to do."""

    async def run() -> int:
        output = OnSmallDisk(settings_in(tmp_path))
        output.pages = pages
        return await Daemon(settings_in(tmp_path), RunOptions(until_end=True), output).run()

    with pytest.raises(StateError, match="database or disk is full") as caught:
        asyncio.run(run())
    assert caught.value.exit_code == 1
    assert "free some disk space" in caught.value.hint


def test_what_waits_for_the_state_when_it_fails_does_not_end_in_a_cancellation(tmp_path: Path) -> None:
    """A call of a state that has ended is cancelled: the cause is told, not that."""

    async def run() -> int:
        settings = settings_in(tmp_path)
        return await Daemon(settings, RunOptions(until_end=True), FailsWhileAsked(settings)).run()

    with pytest.raises(StateError, match="state folder"):
        asyncio.run(run())
