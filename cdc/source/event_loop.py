"""Calls from the reader thread into the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from cdc.errors import SourceDisconnectedError

T = TypeVar("T")

CALL_S: Final = 40.0
"""The longest time for a call into the loop: the client's own time-outs are shorter."""


class Loop:
    """The event loop, as the reader thread uses it: each call waits for its answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def call(self, work: Coroutine[Any, Any, T], timeout_s: float = CALL_S) -> T:
        """Run ``work`` in the loop. Raises what ``work`` raises; SourceDisconnectedError if it does not end in
        ``CALL_S``.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            future.cancel()
            raise SourceDisconnectedError(f"Kafka did not answer within {timeout_s:.0f} s") from None

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` in the loop without waiting for its end."""
        asyncio.run_coroutine_threadsafe(work, self._loop)
