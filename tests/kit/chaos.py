"""Schedules drawn by lot: an event loop that runs ready callbacks in any order, and a process that dies at any of them.

No threads and no real time: the state's calls run inline as steps of the loop. The same seed draws the same story,
deaths included: asyncio cancels the tasks of a group in the order of a set, so a task's hash is drawn like all else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeVar

from tests.kit.clock import SimLoop, run_in

T = TypeVar("T")


class DrawnTask(asyncio.Task[Any]):
    """A task whose hash is drawn by its loop, and not its address in memory."""

    def __init__(self, drawn: int, coro: Coroutine[Any, Any, Any], **more: Any) -> None:
        self._drawn = drawn  # before the base class registers the task, which asks for the hash
        super().__init__(coro, **more)

    def __hash__(self) -> int:
        return self._drawn


class ChaosLoop(SimLoop):
    """Runs one ready callback at a time, drawn by lot; ``at_step`` interrupts between two of them.

    asyncio promises the order of ``call_soon``; nothing in delivery may need it, as locks, threads and the network
    give no such promise.
    """

    _ready: deque[Any]  # asyncio's own, which its stubs do not tell

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self._interrupts: list[tuple[int, Callable[[], None]]] = []
        self.steps = 0
        self.set_task_factory(self._task)

    def _task(self, loop: asyncio.AbstractEventLoop, coro: Any, **more: Any) -> asyncio.Task[Any]:
        return DrawnTask(self._random.getrandbits(40), coro, loop=loop, **more)

    def at_step(self, steps: int, interrupt: Callable[[], None]) -> None:
        """Call ``interrupt`` after so many more callbacks."""
        self._interrupts.append((self.steps + steps, interrupt))

    def _run_once(self) -> None:
        ready = self._ready
        others: list[Any] = []
        if len(ready) > 1:
            others = list(ready)
            ready.clear()
            ready.append(others.pop(self._random.randrange(len(others))))
        if ready:
            self.steps += 1
        super()._run_once()
        self._ready.extend(others)
        for at, interrupt in [one for one in self._interrupts if one[0] <= self.steps]:
            self._interrupts.remove((at, interrupt))
            interrupt()


def play(make: Callable[[ChaosLoop], Coroutine[Any, Any, T]], random: Random) -> T:
    """Run a story in a schedule drawn from ``random``."""
    loop = ChaosLoop(random)
    return run_in(loop, make(loop))
