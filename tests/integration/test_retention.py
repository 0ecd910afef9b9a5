"""The hours until a server drops a log file, asked of real servers."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from cdc.errors import SourceDisconnectedError
from cdc.settings.source import SourceSettings
from cdc.source import retention
from cdc.source.retention import RetentionWatch, look
from tests.integration.test_live_source import NOTE, end_of_log, make_shop, settings_for, write
from tests.kit.follow import Follower
from tests.kit.servers import Server


@pytest.fixture
def shop(server: Server, database: str) -> Iterator[SourceSettings]:
    """A server whose log expires after an hour."""
    make_shop(server, database)
    held = server.run("SELECT @@GLOBAL.binlog_expire_logs_seconds")[0][0]
    server.run("SET GLOBAL binlog_expire_logs_seconds = 3600")
    yield settings_for(server, database)
    server.run(f"SET GLOBAL binlog_expire_logs_seconds = {held}")


def test_hours_are_counted_from_the_next_files_beginning(server: Server, shop: SourceSettings) -> None:
    """A file closed just now lasts about an hour, the newest for ever, and one that is gone no more."""
    needed, _ = server.log_position()
    assert look(shop, needed) is None
    server.rotate()
    hours = look(shop, needed)
    assert hours is not None
    assert 0.9 < hours <= 1
    assert look(shop, "binlog.999999") == 0
    server.run("SET GLOBAL binlog_expire_logs_seconds = 0")
    assert look(shop, needed) is None


def test_looking_disturbs_no_dump(server: Server, shop: SourceSettings) -> None:
    """The reader of the same settings goes on while the beginning of a file is asked for."""
    needed, _ = server.log_position()
    server.rotate()
    with Follower(shop, [NOTE], end_of_log(shop)) as log:
        log.wait_for_state("connected")
        for number in range(3):
            assert look(shop, needed)
            write(server, shop.database, number)
        log.wait_for_ids([0, 1, 2])
        assert [name for name, _ in log.states] == ["connected"]


def test_the_watch_looks_and_outlives_a_server_that_is_away(
    server: Server, shop: SourceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be asked is not known; the next look knows it again."""
    monkeypatch.setattr(retention, "FIRST_LOOK_S", 0)
    monkeypatch.setattr(retention, "LOOK_S", 0.01)
    needed, _ = server.log_position()
    server.rotate()
    stop, asked, answers = threading.Event(), threading.Semaphore(0), []

    def file() -> str:
        answers.append(watch.hours)
        asked.release()
        return needed

    watch = RetentionWatch(shop, file, stop)
    with monkeypatch.context() as broken:

        def away(*_: object) -> float:
            raise SourceDisconnectedError("away")

        broken.setattr(retention, "look", away)
        watch.start()
        assert all(asked.acquire(timeout=30) for _ in range(3))
    while not answers[-1]:
        assert asked.acquire(timeout=30)
    stop.set()
    watch.join(30)
    assert answers[1] is None
    assert "purged in" in watch.warning
