"""Logs: their form, what they never show, and how repeats are limited."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from cdc import logs
from cdc.settings.config import LogSettings, load

SECRET = "s3cret/+Key with space"


@pytest.fixture
def lines() -> Iterator[Callable[..., Callable[[], list[dict[str, Any]]]]]:
    """Configure logs for one test; what comes back reads the lines written so far."""
    root = logging.getLogger()
    held_handlers, held_level = list(root.handlers), root.level

    def configured(level: str = "info") -> Callable[[], list[dict[str, Any]]]:
        stream = io.StringIO()
        logs.configure(LogSettings(level=level), stream, [SECRET, "abc"])
        return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]

    yield configured
    structlog.reset_defaults()
    root.handlers[:], root.level = held_handlers, held_level


def test_a_line_is_json_with_event_level_and_utc_time(lines: Any) -> None:
    """Each line is one JSON object that names the event, its level and when it was."""
    read = lines()
    structlog.get_logger().info("started", position="binlog.000001:4")

    [line] = read()
    assert (line["event"], line["level"], line["position"]) == ("started", "info", "binlog.000001:4")
    assert datetime.fromisoformat(line["timestamp"]).tzinfo == UTC


def test_lines_under_the_level_are_not_written(lines: Any) -> None:
    """log.level decides what is written."""
    read = lines("warning")
    structlog.get_logger().info("quiet")

    assert read() == []


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"text": SECRET}, id="whole value"),
        pytest.param({"text": f"GET /x?key={SECRET}&y"}, id="inside a text"),
        pytest.param({"url": "/x?k=s3cret%2F%2BKey%20with%20space"}, id="percent-encoded"),
        pytest.param({"error": ValueError(SECRET)}, id="inside an error"),
        pytest.param({"nested": {"list": [SECRET, {"deep": SECRET}]}}, id="nested"),
        pytest.param({"raw": SECRET.encode()}, id="bytes"),
        pytest.param({"short": "abc"}, id="a short one as a whole value"),
        pytest.param({"hapikey": "other"}, id="field name"),
        pytest.param({"Authorization": "Bearer other"}, id="field name in other case"),
        pytest.param({"nested": {"api-key": "other"}}, id="field name with a dash, nested"),
        pytest.param({"url": "https://api.example.com/x?hapikey=other&limit=1"}, id="unknown key in a URL"),
        pytest.param({"header": "sent Bearer other."}, id="unknown bearer token"),
    ],
)
def test_secrets_are_blanked_wherever_they_stand(lines: Any, fields: dict[str, Any]) -> None:
    """No secret of the settings, and no field or text that plainly holds one, reaches a line."""
    read = lines()
    structlog.get_logger().info("request_failed", **fields)

    text = json.dumps(read())
    assert "s3cret" not in text
    assert "other" not in text
    assert '"abc"' not in text
    assert logs.HIDDEN in text


def test_a_short_secret_does_not_eat_other_words(lines: Any) -> None:
    """A secret under six characters is blanked only where it is the whole value."""
    read = lines()
    structlog.get_logger().info("started", text="abcdef")

    assert read()[0]["text"] == "abcdef"


def test_settings_give_all_their_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """secrets_of finds every secret of the tree, and no empty ones."""
    monkeypatch.chdir(tmp_path)
    settings = load(None, {"source": {"password": "one"}, "sink": {"api_key": "two"}})

    assert logs.secrets_of(settings) == ("one", "two")


@pytest.mark.parametrize(("level", "has_trace"), [("info", False), ("debug", True)])
def test_tracebacks_are_for_debug(lines: Any, level: str, has_trace: bool) -> None:
    """An exception is one sentence with its place; the traceback comes with log.level = debug only."""
    read = lines(level)
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger().exception("failed")

    [line] = read()
    assert line["error"] == "ValueError: broken"
    assert line["error_at"].startswith("test_logs.py:")
    assert ("Traceback" in line.get("exception", "")) == has_trace


def test_libraries_come_in_the_same_form_from_warning_up(lines: Any) -> None:
    """What aiohttp or pymysql log becomes a line of ours, redacted as well."""
    read = lines()
    logging.getLogger("aiohttp.server").info("not shown")
    logging.getLogger("aiohttp.server").warning("odd request with %s", SECRET)

    [line] = read()
    assert (line["event"], line["logger"], line["level"]) == ("library", "aiohttp.server", "warning")
    assert line["message"] == "odd request with ***"


def test_configuring_twice_writes_each_library_line_once(lines: Any) -> None:
    """The last configuration holds alone."""
    lines()
    read = lines()
    logging.getLogger("pymysql").warning("once")

    assert len(read()) == 1


def test_repeats_are_counted_and_held_back() -> None:
    """A line with limit= passes once per window, event and key, and then says how many were held back."""
    now = [0.0]
    limit = logs.RepeatLimit(10, clock=lambda: now[0])

    def said(**line: Any) -> Any:
        try:
            return limit(None, "", dict(line))
        except structlog.DropEvent:
            return None

    assert said(event="failed", limit="a") == {"event": "failed"}
    assert said(event="failed", limit="a") is None
    assert said(event="failed", limit="a") is None
    assert said(event="failed", limit="b") == {"event": "failed"}
    assert said(event="other", limit="a") == {"event": "other"}
    assert said(event="failed") == {"event": "failed"}
    now[0] = 10.0
    assert said(event="failed", limit="a") == {"event": "failed", "repeats": 2}
    assert said(event="failed", limit="a") is None


def test_a_burst_of_like_lines_is_summed_up() -> None:
    """A fault that meets thousands of objects writes 20 lines a minute, and then how many were held back."""
    out = io.StringIO()
    logs.configure(LogSettings(format="json"), out)
    now = [0.0]
    structlog.configure(processors=[logs.RepeatLimit(60, clock=lambda: now[0]), structlog.processors.JSONRenderer()])
    log = structlog.get_logger()
    for number in range(5000):
        log.error("dead_letter", object=f"order-{number}")
    assert len(out.getvalue().splitlines()) == logs.BURST
    now[0] = 61.0
    log.info("activity")
    said = [json.loads(line) for line in out.getvalue().splitlines()[logs.BURST :]]
    assert said == [
        {"event": "lines_held_back", "of": "dead_letter", "lines": 4980, "within_s": 60},
        {"event": "activity"},
    ]
    for number in range(25):
        log.error("dead_letter", object=f"order-{number}")
    now[0] = 122.0
    log.error("dead_letter", object="order-1")
    last = json.loads(out.getvalue().splitlines()[-1])
    assert last == {"object": "order-1", "event": "dead_letter", "repeats": 5}


def test_lines_for_debugging_are_never_held_back() -> None:
    """Who asks for level debug wants all of them."""
    limit = logs.RepeatLimit(10, clock=lambda: 0.0)
    assert all(limit(None, "debug", {"event": "request"}) for _ in range(100))


def test_the_limiter_forgets_rather_than_grows() -> None:
    """Its memory is bounded, whatever keys come."""
    limit = logs.RepeatLimit(10, clock=lambda: 0.0)
    for number in range(logs.LIMIT_KEYS + 5):
        limit(None, "", {"event": "failed", "limit": number})

    assert len(limit._seen) == logs.LIMIT_KEYS
