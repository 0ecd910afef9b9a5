"""One lane: sends the outbox entries of one rank, several requests at a time, one message of an object at a time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from functools import partial
from typing import Final

from cdc.delivery.batch_sender import BatchSender
from cdc.delivery.context import Context
from cdc.delivery.permits import LOOK_AGAIN_S
from cdc.delivery.quota import Call, Traffic
from cdc.delivery.split import Splitter
from cdc.delivery.take import Ask, Taken, take
from cdc.messages.outbox import Entry
from cdc.model import Urgency

REQUESTS: Final = 4
"""The most requests of a lane at once. With 80 ms an answer, three lanes make
150 a second: more than any quota allows.
"""

HISTORY_REQUESTS: Final = REQUESTS - 1
"""The most requests with history at once. One place is left, so that a live message waits for no answer."""

SPLITS: Final = 2
"""The most batches of a lane that are split at once. Then the lane takes no new batches, as all of them seem bad."""

SHORTEST_S: Final = 0.001
"""The shortest wait: the difference of two clock readings may be smaller than the clock's step."""

DELETE_LOOK_SHARE: Final = 0.1
"""The share of the state thread's time that looking for DELETEs may take, however many are pending."""


class Lane:
    """``rank``: 0 to 2. ``run`` returns after ``close``, once the lane has no requests in flight."""

    def __init__(self, rank: int, context: Context) -> None:
        self.rank = rank
        self.is_live_busy = False
        """Whether the lane has live messages on the wire or waiting for quota."""
        self._context = context
        self._batch_sender = BatchSender(context)
        self._wake = asyncio.Event()
        self._closing = False
        self._requests = 0
        self._live_requests = 0
        self._splits = 0
        self._live_in_a_row = 0
        self._deletes_from_s = 0.0
        self._tasks: asyncio.TaskGroup | None = None
        self.is_denied = False
        """Whether the lane stopped because a message in flight must come first; it
        is woken when that message is settled.
        """
        context.hub.join(self)

    @property
    def under_way(self) -> int:
        """Requests and splits that have not ended."""
        return self._requests + self._splits

    @property
    def is_backing_off(self) -> bool:
        """Whether messages are in back-off after a failed request."""
        return self._batch_sender.back_off.next_s(self._context.clock.monotonic()) < math.inf

    def wake(self) -> None:
        """There may be new messages to send."""
        self._wake.set()

    def warm_up(self) -> None:
        """The sink accepts messages again: try the messages in back-off at once."""
        self._batch_sender.back_off.warm_up()
        self.wake()

    def close(self) -> None:
        """Take no new batches."""
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        """Send until closed. Raises the state's errors."""
        async with asyncio.TaskGroup() as self._tasks:
            while not self._closing:
                self._wake.clear()
                wait_s = await self._turn()
                # A batch went, and there may be another.
                if wait_s <= 0:
                    continue
                try:
                    async with asyncio.timeout(None if wait_s == math.inf else max(wait_s, SHORTEST_S)):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    async def _turn(self) -> float:
        """Send a batch if there is one to send. Returns how long to wait before
        the next turn; infinite: until woken.
        """
        context = self._context
        # Woken when a request ends, a split ends, or this member comes to lead.
        if self._requests >= REQUESTS or self._splits >= SPLITS or not context.permits.gate.may_send:
            return math.inf
        now_s = context.clock.monotonic()
        wait_s = self._delay_s(now_s, Traffic.LIVE)
        if wait_s > 0:
            return wait_s
        history_s = self._delay_s(now_s, Traffic.HISTORY)
        reserved = context.permits.reserve(now_s)
        try:
            # When a request with history ends, the lane is woken: no time to wait for has to be known.
            # While live messages are on the wire, whatever history does makes their receipts wait.
            most = 1 if self._context.hub.is_live_busy else HISTORY_REQUESTS
            may_history = history_s <= 0 and self._requests - self._live_requests < most
            taken = await context.state.call(partial(take, ask=self._ask(now_s, may_history), context=context))
        except BaseException:
            # A reserved permit that is never used would narrow the window for good.
            context.permits.give_back(reserved)
            raise
        self._note_look(taken, now_s)
        if taken.entries:
            self._send(taken, reserved)
            return 0.0
        context.permits.give_back(reserved)
        context.hub.wake_denied()
        wait_s = min(taken.wait_s, self._batch_sender.back_off.next_s(now_s) - now_s)
        if taken.has_history and history_s > 0:
            # an endless wait ends when a call ends somewhere, which wakes only lanes that are denied all sending
            wait_s = min(wait_s, LOOK_AGAIN_S if history_s == math.inf else history_s)
        # Looking for DELETEs was put off to spare the state thread.
        if self._deletes_from_s > now_s:
            wait_s = min(wait_s, self._deletes_from_s - now_s)
        return wait_s

    def _delay_s(self, now_s: float, traffic: Traffic) -> float:
        context = self._context
        gate_s = context.health.delay_s(now_s, under_way=context.permits.under_way)
        wait_s = max(gate_s, context.permits.delay_s(now_s, traffic))
        if traffic is Traffic.LIVE:
            self.is_denied = wait_s == math.inf
        return wait_s

    def _ask(self, now_s: float, may_history: bool) -> Ask:
        urgencies: tuple[Urgency, ...] = (Urgency.LIVE,)
        if may_history:
            every = round(1 / self._context.settings.delivery.history_share)
            is_turn = self._live_in_a_row >= every  # never starved by live work of its own lane
            urgencies = (Urgency.HISTORY, Urgency.LIVE) if is_turn else (Urgency.LIVE, Urgency.HISTORY)
        return Ask(
            rank=self.rank,
            urgencies=urgencies,
            is_lane_idle=self._requests == 0,
            is_live_idle=self._live_requests == 0,
            backing_off=frozenset(self._batch_sender.back_off.waiting(now_s)),
            deletes=now_s >= self._deletes_from_s,
        )

    def _note_look(self, taken: Taken, now_s: float) -> None:
        if taken.deletes_s:
            self._deletes_from_s = now_s + taken.deletes_s / DELETE_LOOK_SHARE
        if taken.promoted:
            self._context.hub.wake()

    def _send(self, taken: Taken, reserved: Call) -> None:
        is_live = taken.urgency is Urgency.LIVE
        self._live_in_a_row = self._live_in_a_row + 1 if is_live else 0
        traffic = Traffic.LIVE if is_live else Traffic.HISTORY
        self._context.permits.use(reserved, traffic)
        self._requests += 1
        self._live_requests += is_live
        self.is_live_busy = self._live_requests > 0
        assert self._tasks is not None
        self._tasks.create_task(self._deliver(taken.entries, traffic, reserved), name=f"send-{self.rank}")

    async def _deliver(self, entries: Sequence[Entry], traffic: Traffic, reserved: Call) -> None:
        is_live = traffic is Traffic.LIVE
        try:
            is_settled = await self._batch_sender.deliver(entries, traffic, reserved=reserved)
        finally:
            self._requests -= 1
            self._live_requests -= is_live
            self.is_live_busy = self._live_requests > 0
            self.wake()
            self._context.hub.wake_denied()
        if not is_settled:
            await self._split(entries)

    async def _split(self, entries: Sequence[Entry]) -> None:
        self._splits += 1
        try:
            await Splitter(self._batch_sender, self._context, lambda: self._closing).run(entries)
        finally:
            self._splits -= 1
            self.wake()
