"""Structured logs: one JSON object a line with ``event``, ``level`` and ``timestamp`` (ISO 8601, UTC).

Every module logs through ``cdc.log_events.get_logger``, and ``configure`` decides where lines go. Event names are
snake_case and stable, details are fields. Known secrets and fields that hold them are blanked, and repeats are limited.
Lines that libraries log through ``logging`` come in the same form, from level warning on.
"""

from __future__ import annotations

import atexit
import logging
import re
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO, cast
from urllib.parse import quote

import structlog
from pydantic import BaseModel, SecretStr

from cdc import log_events
from cdc.log_writer import LogWriter, to_descriptor
from cdc.settings import secret_files
from cdc.settings.config import LogSettings, Settings

HIDDEN = "***"
LIMIT_S = 60.0
BURST = 20  # like lines that pass in LIMIT_S
HELD_BACK = "lines_held_back"
LIMIT_KEYS = 1000  # about 100 kB; the key seen longest ago is forgotten first
SECRET_FIELDS = frozenset({"password", "passwd", "api_key", "access_token", "hapikey", "authorization", "token"})
WITHIN_FROM = 6  # characters; a shorter secret is blanked only where it is the whole value, else it would eat words
_IN_TEXT = re.compile(r"(?i)((?:hapikey|access_token|password)=|bearer\s+)[^\s&\"',;]+")

EventDict = MutableMapping[str, Any]


def configure(settings: LogSettings, stream: TextIO, secrets: Iterable[str] = ()) -> None:
    """Send all logs to ``stream``. May be called again; the last call counts.

    ``secrets``: values that must never be shown (``secrets_of``). Lines for a file descriptor go through a bounded
    queue (cdc/log_writer.py): logging never waits for the reader of the stream.
    """
    global _held
    log_events.forget()
    _held = _Held(stream, tuple(secrets))
    renderer: Any = structlog.processors.JSONRenderer(ensure_ascii=False)
    if shows_console(settings, stream):
        renderer = _Console(colors=stream.isatty())
    level = getattr(logging, settings.level.upper())
    redactor = Redactor(_held.secrets)
    secret_files.on_new[:] = [redactor.add]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            RepeatLimit(),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _Exceptions(is_verbose=level <= logging.DEBUG),
            redactor,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=_writer(stream)),
        cache_logger_on_first_use=False,  # loggers are made at import time, before the settings are known
    )
    _bridge_standard_logging(max(level, logging.WARNING))


class _Console(structlog.dev.ConsoleRenderer):
    """Lines for people. While a bar of progress stands in the terminal's last line, a log line takes its place, and the
    bar is drawn again below.
    """

    def __call__(self, logger: Any, name: str, event_dict: EventDict) -> str:
        line = super().__call__(logger, name, event_dict)
        return f"\r\x1b[K{line}" if _is_bar_drawn else line


_is_bar_drawn = False


def note_bar(*, is_drawn: bool) -> None:
    """A bar of progress was drawn into the terminal's last line, or removed from it."""
    global _is_bar_drawn
    _is_bar_drawn = is_drawn


def reconfigure(settings: LogSettings) -> None:
    """Change level or format; the stream and the secrets stay."""
    assert _held is not None
    configure(settings, _held.stream, _held.secrets)


class _Held(NamedTuple):
    stream: TextIO
    secrets: tuple[str, ...]


_held: _Held | None = None
"""The arguments of the last ``configure``."""


def shows_console(settings: LogSettings, stream: TextIO) -> bool:
    """Whether lines on this stream are for people."""
    return settings.format == "console" or (settings.format == "auto" and stream.isatty())


def is_for_eyes() -> bool:
    """Whether the log as configured now is for people."""
    return isinstance(structlog.get_config()["processors"][-1], structlog.dev.ConsoleRenderer)


_writers: dict[int, LogWriter] = {}  # file descriptor → its only writer: two would mix their lines


def _writer(stream: TextIO) -> TextIO:
    """The object that writes to ``stream``: the stream itself if it is in memory, else the writer of its descriptor."""
    try:
        descriptor = stream.fileno()
    except OSError:  # a stream in memory cannot block
        return stream
    if descriptor not in _writers:
        stream.flush()  # what was printed before stays before
        _writers[descriptor] = LogWriter(to_descriptor(descriptor), on_dropped=_say_dropped)
        if len(_writers) == 1:
            atexit.register(drain)
    return cast(TextIO, _writers[descriptor])  # it has the two methods that structlog's logger uses


def _say_dropped(lines: int) -> None:
    structlog.get_logger().warning("log_lines_dropped", lines=lines, reason="the reader of the log was too slow")


def drain() -> None:
    """Wait a moment for lines that are not written yet. For the end of the process."""
    for writer in _writers.values():
        writer.drain()


def dropped_lines() -> int:
    """Lines dropped since the process started, because their reader did not read."""
    return sum(writer.dropped for writer in _writers.values())


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Every secret in the settings, without empty ones."""
    return tuple(sorted(set(_secrets(settings))))


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        # An empty secret would blank everything.
        if value.get_secret_value():
            yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, Mapping):
        for below in value.values():
            yield from _secrets(below)
    elif isinstance(value, list | tuple):
        for below in value:
            yield from _secrets(below)


class RepeatLimit:
    """Prevents a fault of thousands of objects from writing thousands of lines.

    Lines are alike if they have one event, and one ``limit=<key>`` if they have that. In ``every_s`` seconds, ``BURST``
    lines of an event pass, and one line of an event with a key. The next line that passes has in ``repeats`` how many
    were held back. If none comes, a line ``lines_held_back`` has the number, at the first log line after the time is
    over. Lines of level debug always pass.
    """

    def __init__(self, every_s: float = LIMIT_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._seen: OrderedDict[tuple[str, str], _Burst] = OrderedDict()
        self._looked_at = clock()
        self._lock = threading.Lock()  # three threads log

    def __call__(self, _logger: object, method: str, line: EventDict) -> EventDict:
        if method == "debug":
            return line
        # A line with ``limit`` repeats one fact: once in each period is enough.
        most = 1 if "limit" in line else BURST
        event = str(line.get("event"))
        now = self._clock()
        with self._lock:
            ended = self._ended(now)
            repeats = self._count((event, str(line.pop("limit", ""))), now, most)
        for name, lines in ended.items():
            # The event that is logged now carries its own count; a line of its own would repeat it.
            if name != HELD_BACK and (name != event or repeats is None):
                structlog.get_logger().warning("lines_held_back", of=name, lines=lines, within_s=round(self._every_s))
        if repeats is None:
            raise structlog.DropEvent
        if repeats or ended.get(event):
            line["repeats"] = repeats or ended[event]
        return line

    def _count(self, key: tuple[str, str], now: float, most: int) -> int | None:
        """How many lines like this were held back before it, if it passes; None if it is held back too."""
        burst = self._seen.get(key)
        if burst is not None and now - burst.began_at < self._every_s:
            if burst.passed >= most:
                burst.held_back += 1
                return None
            burst.passed += 1
            return 0
        self._seen[key] = _Burst(now)
        self._seen.move_to_end(key)
        while len(self._seen) > LIMIT_KEYS:
            self._seen.popitem(last=False)
        return burst.held_back if burst is not None else 0

    def _ended(self, now: float) -> dict[str, int]:
        """Events with lines that were held back in a period that is over, with their numbers; searched once
        per period.
        """
        if now - self._looked_at < self._every_s:
            return {}
        self._looked_at = now
        ended: dict[str, int] = {}
        for (event, _), burst in self._seen.items():
            if burst.held_back and now - burst.began_at >= self._every_s:
                ended[event] = ended.get(event, 0) + burst.held_back
                burst.held_back = 0
        return ended


@dataclass(slots=True)
class _Burst:
    """Lines that are alike since ``began_at``, monotonic seconds: those that passed, and those that were held back."""

    began_at: float
    passed: int = 1
    held_back: int = 0


class Redactor:
    """Makes every value plain (text, number, list, mapping) and blanks secrets in it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._whole: frozenset[str] = frozenset()
        self._within: re.Pattern[str] | None = None
        self._hide({secret for secret in secrets if secret})

    def add(self, secret: str) -> None:
        """Hide this secret too from now on: its file was replaced. Any thread may call."""
        self._hide({*self._whole, secret})

    def _hide(self, known: Collection[str]) -> None:
        spelled = {form for secret in known for form in (secret, quote(secret, safe=""), repr(secret)[1:-1])}
        longest_first = sorted((form for form in spelled if len(form) >= WITHIN_FROM), key=len, reverse=True)
        self._within = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        self._whole = frozenset(known)

    def __call__(self, _logger: object, _method: str, line: EventDict) -> EventDict:
        return {str(key): self._field(str(key), value) for key, value in line.items()}

    def _field(self, key: str, value: object) -> object:
        # By the name of the field: the value may be a secret that the settings do not hold.
        if key.lower().replace("-", "_") in SECRET_FIELDS and value:
            return HIDDEN
        return self._plain(value)

    def _plain(self, value: object) -> object:
        # A number may be a secret too, as a numeric password.
        if value is None or (isinstance(value, bool | int | float) and str(value) not in self._whole):
            return value
        if isinstance(value, Mapping):
            return {str(key): self._field(str(key), below) for key, below in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._plain(below) for below in value]
        if isinstance(value, SecretStr):
            return HIDDEN
        return self._text(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))

    def _text(self, text: str) -> str:
        # Short secrets are blanked only where they are the whole value.
        if text in self._whole:
            return HIDDEN
        if self._within:
            text = self._within.sub(HIDDEN, text)
        return _IN_TEXT.sub(rf"\1{HIDDEN}", text)


class _Exceptions:
    """``exc_info`` becomes ``error`` (kind and text) and ``error_at`` (the innermost frame); the whole
    traceback at debug.
    """

    def __init__(self, *, is_verbose: bool) -> None:
        self._is_verbose = is_verbose

    def __call__(self, _logger: object, _method: str, line: EventDict) -> EventDict:
        error = _exception_in(line.pop("exc_info", None))
        # Nothing was caught.
        if error is None:
            return line
        line["error"] = f"{type(error).__name__}: {error}"
        frames = traceback.extract_tb(error.__traceback__, limit=-1)
        if frames:
            line["error_at"] = f"{Path(frames[0].filename).name}:{frames[0].lineno} in {frames[0].name}"
        if self._is_verbose:
            line["exception"] = "".join(traceback.format_exception(error)).rstrip()
        return line


def _exception_in(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None


class _Bridge(logging.Handler):
    """Passes lines of libraries (aiohttp, asyncio, pymysql) to structlog as event ``library``."""

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises: a log line must not end the daemon."""
        try:
            log = structlog.get_logger().bind(logger=record.name, message=record.getMessage())
            method = log.error if record.levelno >= logging.ERROR else log.warning
            method("library", exc_info=record.exc_info)
        except Exception:  # noqa: BLE001  # logging's own rule for handlers
            self.handleError(record)


def _bridge_standard_logging(level: int) -> None:
    root = logging.getLogger()
    for handler in [held for held in root.handlers if isinstance(held, _Bridge)]:
        root.removeHandler(handler)
    root.addHandler(_Bridge(level))
    root.setLevel(level)
