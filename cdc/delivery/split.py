"""Splits a refused batch: halves are sent until every faulty message is
alone; the other messages are accepted at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from cdc.delivery.batch_sender import BatchSender
from cdc.delivery.blame import SplitWatch
from cdc.delivery.context import Context
from cdc.delivery.quota import Traffic
from cdc.log_events import get_logger
from cdc.messages.outbox import Entry

log = get_logger(__name__)

T = TypeVar("T")

PIECES: Final = 4
"""The most pieces of one split batch in flight at once."""


async def bisect(batch: Sequence[T], attempt: Callable[[Sequence[T]], Awaitable[bool]]) -> int:
    """Send the halves of ``batch``, and the halves of those that are refused again. Returns how many were sent.

    ``attempt`` sends a piece and settles it; it returns False for a piece that has to be cut further. It must settle
    a piece of one message in any case. One faulty message of n costs about 2·log2(n) requests; both halves go at the
    same time, so it takes log2(n) round trips. Raises what ``attempt`` raises.
    """
    if len(batch) < 2:
        raise ValueError("a single message cannot be split")
    middle = len(batch) // 2
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(_branch(batch[:middle], attempt))
        second = tasks.create_task(_branch(batch[middle:], attempt))
    return first.result() + second.result()


async def _branch(piece: Sequence[T], attempt: Callable[[Sequence[T]], Awaitable[bool]]) -> int:
    if await attempt(piece):
        return 1
    return 1 + await bisect(piece, attempt)


class Splitter:
    """Splits one batch of a lane, within the share of the quota that is set aside for it."""

    def __init__(self, batch_sender: BatchSender, context: Context, is_closing: Callable[[], bool]) -> None:
        self._batch_sender = batch_sender
        self._context = context
        self._is_closing = is_closing
        self._watch = SplitWatch((), context.health.successes)
        self._places = asyncio.Semaphore(PIECES)

    async def run(self, entries: Sequence[Entry]) -> None:
        """Settle all of ``entries`` (in flight), or give back to the outbox what cannot be settled now."""
        kind = entries[0].ref.object_type.value
        self._watch.entries = entries
        with self._context.permits.busy():  # until it is known whom to blame
            requests = await bisect(entries, self._attempt)
            await self._batch_sender.decide_on_held(self._watch)
        log.warning("batch_split", object_type=kind, messages=len(entries), requests=requests)

    def _is_open(self) -> bool:
        health = self._context.health
        if self._is_closing() or health.is_closed or "dead_letters" in health.circuit_breaker:
            return False
        # the account may refuse everything: some messages tell that as well as all of them
        return not (self._watch.is_hopeless and health.successes == self._watch.successes)

    async def _attempt(self, piece: Sequence[Entry]) -> bool:
        async with self._places:
            return await self._batch_sender.deliver(piece, Traffic.SPLIT, is_open=self._is_open, watch=self._watch)
