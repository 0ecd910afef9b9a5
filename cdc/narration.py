"""A run's log lines beside events: one line when everything is open, and counts once a minute.

Pure but for the log: status and monotonic seconds are passed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

from cdc.log_events import get_logger
from cdc.settings.config import Settings
from cdc.settings.ends import sink_of, source_of

log = get_logger(__name__)

EVERY_S: Final = 60.0

_COUNTED: Final[Mapping[str, tuple[str, ...]]] = {
    "transactions": ("transactions",),
    "changes": ("changes",),
    "rendered": ("rendered",),
    "enqueued": ("enqueued",),
    "load_rows": ("load", "rows"),
    "accepted": ("delivery", "accepted"),
    "requests": ("delivery", "requests"),
    "retried": ("delivery", "retried"),
    "dead_lettered": ("delivery", "dead_lettered"),
    "published": ("delivery", "records"),
}
"""Field of the line → where the status has its total since the start; a table of totals is summed up."""


def tell_start(settings: Settings, *, position: str, server: str, is_relay: bool) -> None:
    """State and source are open: log what runs. ``server``: the identity of the log's server, "" for files."""
    log.info(
        "started",
        version=version("magento-cdc"),
        source=source_of(settings),
        sink=sink_of(settings, is_relay=is_relay),
        state=str(settings.state.dir.absolute()),
        position=position,
        server=server,
    )


class Activity:
    """One line a minute with the work since the last line; no line if there was no work."""

    def __init__(self, now_s: float) -> None:
        self._logged_s = now_s
        self._before: dict[str, int] = {}

    def look(self, status: Mapping[str, object], now_s: float, *, is_last: bool = False) -> None:
        """Log the work, if a minute has passed or the run ends."""
        if not is_last and now_s - self._logged_s < EVERY_S:
            return
        totals = {name: _total(status, path) for name, path in _COUNTED.items()}
        # a total that fell began anew (another connection, a loader that started again): all of it is news
        done = {
            name: total - before if total >= (before := self._before.get(name, 0)) else total
            for name, total in totals.items()
        }
        seconds, self._logged_s, self._before = now_s - self._logged_s, now_s, totals
        done = {name: count for name, count in done.items() if count}
        if done:
            log.info(
                "activity",
                seconds=round(seconds),
                done=done,
                outbox=_total(status, ("outbox", "total")),
                position=str(status.get("position") or ""),
            )


def _total(status: Mapping[str, object], path: tuple[str, ...]) -> int:
    found: object = status
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    if isinstance(found, Mapping):
        return sum(value for value in found.values() if isinstance(value, int))
    return found if isinstance(found, int) else 0
