"""Keeps the silence that a sink asks for (Retry-After) over a restart: a new process must keep it too."""

from __future__ import annotations

from cdc.delivery.context import Context
from cdc.errors import MAX_RETRY_AFTER_S, SinkError


async def keep(context: Context, before_s: float) -> None:
    """Write down until when the sink wants silence, if that is later than ``before_s`` (``Health.quiet_s``)."""
    quiet_s = context.health.quiet_s
    if quiet_s > before_s:
        until_ms = context.clock.now_ms() + int((quiet_s - context.clock.monotonic()) * 1000)
        await context.state.call(lambda store: setattr(store.meta, "quiet_until_ms", until_ms))


async def heed(context: Context, error: SinkError) -> None:
    """A call beside sending (a sample, a look at the account) failed: keep the silence that its answer asks for."""
    before_s = context.health.quiet_s
    context.health.heed(error, context.clock.monotonic())
    await keep(context, before_s)


async def take_up(context: Context) -> None:
    """At start: keep the silence that the last run was asked for, for at most
    the longest silence: clocks may be set.
    """
    until_ms = await context.state.call(lambda store: store.meta.quiet_until_ms)
    left_s = min(MAX_RETRY_AFTER_S, (until_ms - context.clock.now_ms()) / 1000)
    if left_s > 0:
        context.health.be_quiet(context.clock.monotonic(), left_s)
