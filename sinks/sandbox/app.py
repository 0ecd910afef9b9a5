"""The sandbox as one web application: bridge routes, JSON API, page, and the judge that runs a moment later."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from sinks.sandbox.routes_api import add_api_routes
from sinks.sandbox.routes_bridge import RUNTIME, Runtime, add_bridge_routes, bridge_requests, now_ms
from sinks.sandbox.store import SandboxStore

MAX_BODY: Final = 16 * 1024 * 1024
"""Bytes of a request: 200 messages of 80 KB."""

JUDGE_DELAY_S: Final = 0.005
"""Accepting and judging are two steps; this lies between them."""

SLICE: Final = 200
"""Messages judged before other requests get their turn."""


def make_app(
    store: SandboxStore,
    *,
    api_key: str = "sandbox",
    token: str = "sandbox-token",  # noqa: S107  # protects nothing: lets clients show that they send one
    auto_judge: bool = True,
) -> web.Application:
    """A local Ecommerce Bridge over ``store``.

    ``auto_judge``: judge each message a few milliseconds after its acceptance, in order; else only on
    ``POST /_sandbox/judge``.
    """
    app = web.Application(client_max_size=MAX_BODY, middlewares=[bridge_requests])
    app[RUNTIME] = Runtime(store, api_key, token)
    add_bridge_routes(app)
    add_api_routes(app)
    app.on_shutdown.append(_end_hanging_requests)
    if auto_judge:
        app.cleanup_ctx.append(_judge_in_background)
    return app


async def _end_hanging_requests(app: web.Application) -> None:
    app[RUNTIME].closing.set()


async def _judge_in_background(app: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(_judge_forever(app[RUNTIME]), name="sandbox-judge")
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _judge_forever(runtime: Runtime) -> None:
    while True:
        await runtime.arrived.wait()
        runtime.arrived.clear()
        await asyncio.sleep(JUDGE_DELAY_S)
        while runtime.store.judge_next(now_ms(), SLICE):  # noqa: ASYNC110  # work in slices, not polling
            await asyncio.sleep(0)
