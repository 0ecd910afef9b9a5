"""Tells the state when carts are left: the one place where the passing of time makes messages.

A cart counts as abandoned at a time only if every change that the shop made until that time is applied: an order may
stand in a part of the log that is not read yet, after a day of downtime, say. So the end of the log is asked for first,
and the log is read up to there. The server is asked only while a cart is due.

After a restart the last commits that are read again may be hours old, in a shop where nothing was written since. Then
the server itself is asked for the time, if it is the one that the shop writes to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from cdc.engine.state_thread import StateThread
from cdc.errors import CdcError
from cdc.log_events import get_logger
from cdc.model import Position
from cdc.protocols import Clock
from cdc.stopping import in_thread

if TYPE_CHECKING:
    from cdc.engine.carts import Carts

log = get_logger(__name__)

LOOK_S: Final = 15.0
"""How often is looked for carts that are due: a cart is noticed at most this much later, when the log is read."""

READ_S: Final = 0.5
"""How often is looked whether the log is read up to its end."""

MOST_READS: Final = 120

ASK_S: Final = 60.0
"""How often the server is asked for its time at most: by a fast clock of this machine, carts are due all the time."""


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

    def monotonic(self) -> float:
        """Seconds that no step of a clock changes."""
        return self._clock.monotonic()

    def latest_ms(self) -> int:
        """The latest that it may be, by this machine's clock: no more than a reason to ask the server."""
        return max(self.now_ms(), self._clock.now_ms()) if self._is_live else self.now_ms()


class AsksServer(Protocol):
    """The questions to the server (``Components``). ``end``: the log's end; None where there is none."""

    @property
    def end(self) -> Callable[[], Position | None]: ...

    @property
    def shop_ms(self) -> Callable[[], int]: ...


class CartTimer:
    """Looks for carts that are due, until it is cancelled. ``has_read_to``: whether the log is applied up to there."""

    def __init__(
        self,
        state: StateThread,
        time: ShopTime,
        server: AsksServer,
        has_read_to: Callable[[Position | None], bool],
        stopping: asyncio.Event,
    ) -> None:
        self._state = state
        self._time = time
        self._server = server
        self._asked_s: float | None = None
        self._has_read_to = has_read_to
        self._stopping = stopping

    async def run(self) -> None:
        """Look again and again, at once after a start."""
        while True:
            try:
                await self.look()
            except CdcError as error:
                # The server is away: the reader says so, and what is due stays due.
                log.debug("carts_not_looked_at", reason=str(error))
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Note the carts that are left by now, if the log can be read up to now. Raises CdcError for a server that does
        not answer.
        """
        carts = self._state.engine.rendering.carts
        now_ms = self._time.now_ms()
        if not await self._state.call(lambda _: carts.has_due(now_ms)):
            now_ms = await self._server_ms(carts)
            if not await self._state.call(lambda _: carts.has_due(now_ms)):
                return
        # Asked for after the time: what was committed until then is before this end.
        end = await in_thread(self._stopping, self._server.end)
        for _ in range(MOST_READS):
            if self._has_read_to(end):
                break
            await asyncio.sleep(READ_S)
        else:
            return  # the log is far behind: the next look asks again
        has_more = True
        while has_more:  # in portions: live changes go in between
            has_more = await self._state.call(lambda _: carts.abandon(now_ms))

    async def _server_ms(self, carts: Carts) -> int:
        """The time by the shop's own server, 0 if there is no reason to ask it, or if it cannot say."""
        latest_ms, now_s = self._time.latest_ms(), self._time.monotonic()
        if self._asked_s is not None and now_s < self._asked_s + ASK_S:
            return 0
        if not await self._state.call(lambda _: carts.has_due(latest_ms)):
            return 0
        self._asked_s = now_s
        return await in_thread(self._stopping, self._server.shop_ms) or 0
