"""Signals of a daemon: SIGHUP reloads the settings, SIGTERM and SIGINT stop the daemon."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Final

from cdc import logs
from cdc.log_events import get_logger

log = get_logger(__name__)

SAME_SIGNAL_S: Final = 0.01  # Ctrl-C reaches a whole group of processes, and one of them may pass it on: one signal


def listen_to_signals(
    loop: asyncio.AbstractEventLoop,
    *,
    stop: Callable[[str], None],
    is_stopping: Callable[[], bool],
    reload: Callable[[], Coroutine[object, object, None]],
) -> None:
    """Call ``stop`` with the signal's name at SIGTERM or SIGINT. A signal that comes while ``is_stopping`` ends the
    process at once.

    Run ``reload`` at SIGHUP. A SIGHUP that comes while ``reload`` still runs is ignored.
    """
    stopping = _Stopping(stop, is_stopping)
    reloading = _Reloading(reload)
    loop.add_signal_handler(signal.SIGHUP, reloading.on_signal)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.on_signal, number)


class _Reloading:
    def __init__(self, reload: Callable[[], Coroutine[object, object, None]]) -> None:
        self._reload = reload
        self._running: asyncio.Task[None] | None = None

    def on_signal(self) -> None:
        # Two reloads at once could leave the older settings in use.
        if self._running is None or self._running.done():
            self._running = asyncio.ensure_future(self._reload())


class _Stopping:
    def __init__(self, stop: Callable[[str], None], is_stopping: Callable[[], bool]) -> None:
        self._stop = stop
        self._is_stopping = is_stopping
        self._since_s = 0.0

    def on_signal(self, number: signal.Signals) -> None:
        now_s = time.monotonic()
        if not self._is_stopping():
            self._since_s = now_s
            self._stop(number.name)
            return
        if now_s - self._since_s < SAME_SIGNAL_S:
            return
        # The operator insists. Everything sent so far is safe in the state, or sent again.
        log.warning("ended_at_once", signal=number.name, reason="a second signal; open requests are sent again")
        logs.drain()  # the end comes without any clean-up, and the line above should be seen
        os._exit(128 + number)  # not the default action: the kernel ignores that for process 1 of a container
