"""Loggers for modules. The log's library is loaded, and the log set up, when the first line is logged.

Loading the library takes a tenth of a short command's time, and most short commands log nothing. A leaf of the import
graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_set_up: Callable[[], None] | None = None


def set_up_at_first_line(set_up: Callable[[], None]) -> None:
    """Call ``set_up`` once, before the first line is logged. The last call counts."""
    global _set_up
    _set_up = set_up


def forget() -> None:
    """The log is set up in another way."""
    global _set_up
    _set_up = None


def set_up_now() -> None:
    """Set the log up, if that still waits for the first line."""
    global _set_up
    waiting, _set_up = _set_up, None
    # What sets the log up may log itself, so it counts as done before it begins.
    if waiting is not None:
        waiting()


def get_logger(name: str) -> Any:
    """A logger with the methods of structlog's loggers."""
    return _Logger(name)


class _Logger:
    """Passes every method on to structlog's logger of this name."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        import structlog

        set_up_now()
        return getattr(structlog.get_logger(self._name), method)
