"""Waits for work, but no longer than until the daemon is asked to stop. A leaf of the import graph."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(stopping: asyncio.Event, work: Callable[[], T]) -> T | None:
    """The result of ``work``, run in a thread; None if ``stopping`` is set first. Raises what ``work`` raises.

    The work may be waiting for the server for minutes. Then it is left alone: its thread and its connection end with
    the process, and nothing of it is in the state that it did not commit.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # without an error it is work's result

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  # the thread's top: raised again in the loop
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody is left to hear of it
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="opening", daemon=True).start()
    stopped = asyncio.ensure_future(stopping.wait())
    both: list[asyncio.Future[Any]] = [done, stopped]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return done.result() if done.done() else None
    finally:
        stopped.cancel()
        done.cancel()


async def unless(stopping: asyncio.Event, work: Coroutine[object, object, T]) -> T | None:
    """The result of ``work``; None if ``stopping`` is set first, and then ``work`` is cancelled. Raises what ``work``
    raises.
    """
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stopping.wait())
    both: list[asyncio.Future[Any]] = [task, stopped]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for one in both:
            one.cancel()
        await asyncio.gather(*both, return_exceptions=True)
