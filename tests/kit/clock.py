"""Time in tests: an event loop whose clock jumps to the next timer instead of waiting, and clocks to set."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

START_MS = 1_700_000_000_000


class SimLoop(asyncio.SelectorEventLoop):
    """Time stands still while anything can run and jumps to the next timer when nothing can.

    Code under test uses plain ``asyncio.sleep`` and time-outs; an hour of back-off takes no time, and two runs with
    the same seeds are equal. Nothing may wait for real I/O.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def time(self) -> float:
        return self.now_s

    def _run_once(self) -> None:
        if not self._ready:  # type: ignore[attr-defined]
            if not self._scheduled:  # type: ignore[attr-defined]
                raise AssertionError("everything waits for something that never comes")
            self.now_s = max(self.now_s, self._scheduled[0]._when)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def simulate(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in simulated time."""
    return run_in(SimLoop(), work)


def run_in(loop: SimLoop, work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in this loop and close it, with whatever is left in it."""
    try:
        return loop.run_until_complete(work)
    finally:
        leftover = asyncio.all_tasks(loop)
        for task in leftover:
            task.cancel()
        if leftover:
            loop.run_until_complete(asyncio.gather(*leftover, return_exceptions=True))
        loop.close()


class LoopClock:
    """The running loop's time as a Clock; ``skew_ms`` sets the wall clock wrong."""

    def __init__(self, start_ms: int = START_MS) -> None:
        self.start_ms = start_ms
        self.skew_ms = 0

    def now_ms(self) -> int:
        return self.start_ms + self.skew_ms + int(self.monotonic() * 1000)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()
