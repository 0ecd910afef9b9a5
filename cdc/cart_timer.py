"""Tells the state when carts are left: the one place where the passing of time makes messages.

A cart counts as abandoned at a time only if every change that the shop made until that time is applied: an order may
stand in a part of the log that is not read yet, after a day of downtime, say. So the end of the log is asked for first,
and the log is read up to there. The server is asked only while a cart is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from cdc.engine.state_thread import StateThread
from cdc.errors import CdcError
from cdc.model import Position
from cdc.protocols import Clock
from cdc.stopping import in_thread

log = structlog.get_logger(__name__)

LOOK_S: Final = 15.0
"""How often is looked for carts that are due: a cart is noticed at most this much later, when the log is read."""

READ_S: Final = 0.5
"""How often is looked whether the log is read up to its end."""

MOST_READS: Final = 120


class ShopTime:
    """The time in the shop: that of its last commit, and what has passed on the monotonic clock since it was read.

    So a step of this machine's clock makes no cart older. Before anything was read, this machine's clock has to do.

    ``is_live``: the log's end can be asked of the shop's own server. A topic's end says nothing of the shop (the relay
    may stand still), and neither does a file's: there the time goes on only with the commits.
    """

    def __init__(self, clock: Clock, *, is_live: bool) -> None:
        self._clock = clock
        self._is_live = is_live
        self._seen: tuple[int, float] | None = None

    def note(self, commit_ms: int) -> None:
        """A transaction with this commit time was read. May be called from any thread."""
        # Records of several topics come in no common order, and time does not go back.
        if self._seen is None or self._is_live or commit_ms > self._seen[0]:
            self._seen = commit_ms, self._clock.monotonic()

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        seen = self._seen
        if seen is None:
            return self._clock.now_ms() if self._is_live else 0
        commit_ms, at_s = seen
        # Without the server nobody knows whether an order came since.
        if not self._is_live:
            return commit_ms
        return commit_ms + int((self._clock.monotonic() - at_s) * 1000)


class CartTimer:
    """Looks for carts that are due, until it is cancelled. ``end``: asks for the log's end; ``has_read_to``: whether
    the log is applied up to there.
    """

    def __init__(
        self,
        state: StateThread,
        time: ShopTime,
        end: Callable[[], Position | None],
        has_read_to: Callable[[Position | None], bool],
        stopping: asyncio.Event,
    ) -> None:
        self._state = state
        self._time = time
        self._end = end
        self._has_read_to = has_read_to
        self._stopping = stopping

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except CdcError as error:
                # The server is away: the reader says so, and what is due stays due.
                log.debug("carts_not_looked_at", reason=str(error))

    async def look(self) -> None:
        """Note the carts that are left by now, if the log can be read up to now. Raises CdcError for a server that does
        not answer.
        """
        carts = self._state.engine.rendering.carts
        now_ms = self._time.now_ms()
        if not await self._state.call(lambda _: carts.has_due(now_ms)):
            return
        end = await in_thread(self._stopping, self._end)
        for _ in range(MOST_READS):
            if self._has_read_to(end):
                break
            await asyncio.sleep(READ_S)
        else:
            return  # the log is far behind: the next look asks again
        has_more = True
        while has_more:  # in portions: live changes go in between
            has_more = await self._state.call(lambda _: carts.abandon(now_ms))
