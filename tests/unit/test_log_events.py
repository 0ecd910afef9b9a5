"""Loggers that set the log up at the first line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from cdc import log_events
from cdc.log_events import get_logger

log = get_logger(__name__)


@pytest.fixture
def calls() -> Iterator[list[str]]:
    """What set the log up, in order; nothing waits afterwards."""
    made: list[str] = []
    yield made
    log_events.forget()


def test_the_first_line_sets_the_log_up_once(calls: list[str]) -> None:
    """The last request counts, and what sets the log up may log itself."""
    log_events.set_up_at_first_line(lambda: calls.append("dropped"))

    def set_up() -> None:
        calls.append("set up")
        log.info("began")

    log_events.set_up_at_first_line(set_up)
    assert calls == []
    with capture_logs() as lines:
        log.warning("first", reason="a test")
        log.info("second")

    assert calls == ["set up"]
    assert [line["event"] for line in lines] == ["began", "first", "second"]
    assert lines[1] == {"event": "first", "reason": "a test", "log_level": "warning"}


def test_a_log_that_is_set_up_in_another_way_is_left_alone(calls: list[str]) -> None:
    """A command that sends its lines elsewhere must not have them turned back by an earlier request."""
    log_events.set_up_at_first_line(lambda: calls.append("late"))
    log_events.forget()
    with capture_logs() as lines:
        log.info("line")
        log_events.set_up_now()

    assert calls == []
    assert len(lines) == 1
