"""The sandbox as one web application: bridge, CRM, JSON API, page, and the validation that runs a moment later."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Final

from aiohttp import web

from sinks.sandbox.crm.app import add_crm
from sinks.sandbox.crm.gate import CrmRuntime, crm_requests, runtime_of
from sinks.sandbox.guard import ALLOWED_HOSTS, guard
from sinks.sandbox.routes_api import add_api_routes
from sinks.sandbox.routes_bridge import RUNTIME, Runtime, add_bridge_routes, bridge_requests, now_ms
from sinks.sandbox.routes_v2 import add_v2_routes
from sinks.sandbox.store import SandboxStore

MAX_BODY: Final = 16 * 1024 * 1024
"""Bytes of a request: 200 messages of 80 KB."""

VALIDATION_DELAY_MS: Final = 5
"""Default time from the acceptance of a message to its validation, milliseconds."""

LOOK_S: Final = 0.1
"""How often a changed delay is noticed while messages wait."""

SLICE: Final = 200
"""Messages validated before other requests get their turn."""


def make_app(
    store: SandboxStore,
    *,
    api_key: str = "sandbox",
    token: str = "sandbox-token",  # noqa: S107  # protects nothing: lets clients show that they send one
    auto_validate: bool = True,
    validation_delay_ms: int = VALIDATION_DELAY_MS,
    strict: bool = False,
    crm: CrmRuntime | None = None,
    allow_hosts: Iterable[str] = (),
) -> web.Application:
    """A local Ecommerce Bridge over ``store``, and the CRM API over ``crm`` (a new account, if None).

    ``auto_validate``: validate each message ``validation_delay_ms`` after its acceptance, in order; else only on ``POST
    /_sandbox/validate``. ``strict``: ``/_sandbox/report`` is a 500 once a rule of sending was broken. ``allow_hosts``:
    accepted names in ``Host``, besides names that cannot be registered on the internet.
    """
    app = web.Application(client_max_size=MAX_BODY, middlewares=[guard, bridge_requests, crm_requests])
    app[ALLOWED_HOSTS] = frozenset(name.lower() for name in allow_hosts)
    app[RUNTIME] = Runtime(store, api_key, token, validation_delay_ms=validation_delay_ms, strict=strict)
    add_bridge_routes(app)
    add_v2_routes(app)
    add_api_routes(app)
    add_crm(app, crm if crm is not None else runtime_of(lambda: store.watch))
    app.on_shutdown.append(_end_hanging_requests)
    if auto_validate:
        app.cleanup_ctx.append(_validate_in_background)
    return app


async def _end_hanging_requests(app: web.Application) -> None:
    app[RUNTIME].closing.set()


async def _validate_in_background(app: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(_validate_forever(app[RUNTIME]), name="sandbox-validation")
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _validate_forever(runtime: Runtime) -> None:
    while True:
        await runtime.arrived.wait()
        runtime.arrived.clear()
        while runtime.store.waiting:
            due_s = (runtime.store.waiting[0].arrived_ms + runtime.validation_delay_ms - now_ms()) / 1000
            if due_s > 0:
                await asyncio.sleep(min(due_s, LOOK_S))
            else:
                runtime.store.validate_next(now_ms(), SLICE, arrived_by_ms=now_ms() - runtime.validation_delay_ms)
                await asyncio.sleep(0)
