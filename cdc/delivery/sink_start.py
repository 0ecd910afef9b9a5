"""Lets a sink learn about the account before the first send (``SinkStart``),
and keeps the sink's notes between runs.
"""

from __future__ import annotations

import asyncio
from typing import Final

from cdc.delivery import silence
from cdc.delivery.context import Context, State
from cdc.delivery.quota import Traffic
from cdc.delivery.verdict import RETRY_CAP_S, RETRY_FIRST_S, Step, Verdict, decide
from cdc.errors import SendingStoppedError, SinkError, SinkThrottledError
from cdc.protocols import SinkStart
from cdc.retry_pause import jittered_s
from cdc.state.store import Store

GATE_LOOK_S: Final = 0.5
"""How often a follower checks whether it leads now."""

MAX_NOTE: Final = 32_768
"""The most characters of a note: the state file keeps what a sink must remember, not everything that it read."""


def kept_notes(store: Store, sink: str) -> dict[str, str]:
    """The notes of the sink of this name, by the sink's own names; for commands."""
    prefix = f"{sink}:"
    notes = store.meta.sink_notes
    return {name.removeprefix(prefix): text for name, text in notes.items() if name.startswith(prefix)}


class StateNotes:
    """A sink's notes in the state file (``SinkNotes``)."""

    def __init__(self, state: State, sink: str) -> None:
        """``sink``: the sink's name, so that two sinks that use one state in turn share no notes."""
        self._state, self._prefix = state, f"{sink}:"

    async def get(self, name: str) -> str:
        """The last text under this name; "" if there is none."""
        return await self._state.call(lambda store: store.meta.sink_notes.get(self._prefix + name, ""))

    async def put(self, name: str, text: str) -> None:
        """Keep a text. ValueError for a text of more than ``MAX_NOTE`` characters."""
        if len(text) > MAX_NOTE:
            raise ValueError(f"a note of {len(text)} characters; {MAX_NOTE} is the most")

        def write(store: Store) -> None:
            store.meta.sink_notes = {**store.meta.sink_notes, self._prefix + name: text}

        await self._state.call(write)


async def start_sink(context: Context, stopping: asyncio.Event) -> bool:
    """Start the sink if it needs a start. True once messages may be sent, False if ``stopping`` is set first.

    While the receiver cannot be asked, this tries again with back-off, and ``/ready`` says why. Raises SetupError if
    the account is not set up for this sink.
    """
    sink = context.sink
    if not isinstance(sink, SinkStart):
        return True
    failures = 0
    notes = StateNotes(context.state, sink.traits.name)
    while not stopping.is_set():
        wait_s = context.health.quiet_delay_s(context.clock.monotonic())
        try:
            with context.permits.requests(Traffic.LIVE, is_open=lambda: not stopping.is_set()) as requests:
                await sink.start(requests, notes)
        except SendingStoppedError:  # a follower starts the sink when it comes to lead
            wait_s = GATE_LOOK_S
        except SinkError as error:
            failures += 1
            wait_s = max(wait_s, await _failed(context, error, failures))
        else:
            context.health.succeeded(context.clock.monotonic())
            return True
        await _sleep_unless(stopping, wait_s)
    return False


async def _failed(context: Context, error: SinkError, failures: int) -> float:
    """Log the failure. Returns how many seconds to wait before the next attempt."""
    quiet_s, now_s = context.health.quiet_s, context.clock.monotonic()
    wait_s = RETRY_FIRST_S / 2 + jittered_s(failures, RETRY_FIRST_S, RETRY_CAP_S, context.random)
    verdict = Verdict(Step.STOP, wait_s)
    # A limit ends when the answer says so: asking again before only uses it up further.
    if isinstance(error, SinkThrottledError):
        verdict = decide(error, failures=failures, others_succeed=False, size=1, random=context.random)
    context.health.failed(error, verdict, now_s, own_fault=False)
    await silence.keep(context, quiet_s)
    return max(verdict.wait_s, context.health.quiet_delay_s(now_s))


async def _sleep_unless(stopping: asyncio.Event, seconds: float) -> None:
    """Sleep until the time is over or ``stopping`` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        pass
