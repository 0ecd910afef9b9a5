"""The CRM side of the sandbox's web application."""

from __future__ import annotations

from aiohttp import web

from sinks.sandbox.crm.gate import CRM, CrmRuntime
from sinks.sandbox.crm.routes_account import add_account_routes
from sinks.sandbox.crm.routes_associations import add_association_routes
from sinks.sandbox.crm.routes_objects import add_object_routes
from sinks.sandbox.crm.routes_sandbox import add_sandbox_routes
from sinks.sandbox.crm.routes_schema import add_schema_routes


def add_crm(app: web.Application, runtime: CrmRuntime) -> None:
    """Serve the CRM's paths over ``runtime``. The application needs ``gate.crm_requests`` among its middlewares."""
    app[CRM] = runtime
    add_association_routes(app)  # before objects: /{type}/{id} must not hide them
    add_object_routes(app)
    add_schema_routes(app)
    add_account_routes(app)
    add_sandbox_routes(app)
    app.on_shutdown.append(_end_hanging_calls)
    app.on_cleanup.append(_stop_recording)


async def _end_hanging_calls(app: web.Application) -> None:
    app[CRM].closing.set()


async def _stop_recording(app: web.Application) -> None:
    app[CRM].exchanges.close()
