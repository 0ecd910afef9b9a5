"""Paths of the CRM API: a dated version, and the numbered ones that HubSpot's official SDK still uses."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from cdc.model import ObjectType
from sinks.sandbox.crm.gate import Handler
from sinks.sandbox.crm.refusals import refuse
from sinks.sandbox.crm.types import type_named

_DATED: Final = r"{version:\d\d\d\d-\d\d(?:-beta)?}"
_NUMBERED: Final = "{version:v[34]}"
FIRST_WITH_RULES: Final = "2026-09"


def add(app: web.Application, method: str, family: str, tail: str, handler: Handler) -> None:
    """Serve ``/crm/<family>/<version><tail>`` and ``/crm/v3/<family><tail>`` by one handler."""
    app.router.add_route(method, f"/crm/{family}/{_DATED}{tail}", handler)
    app.router.add_route(method, f"/crm/{_NUMBERED}/{family}{tail}", handler)


def is_numbered(request: web.Request) -> bool:
    """Whether the call uses version 3 or 4, whose statuses and ids differ here and there."""
    return request.match_info.get("version", "").startswith("v")


def has_rules(request: web.Request) -> bool:
    """Whether an admin's rules bind this call: 2026-09 and later only."""
    return not is_numbered(request) and request.match_info["version"] >= FIRST_WITH_RULES


def kind_in(request: web.Request, name: str = "type") -> ObjectType:
    """The object type in a path. CrmRefusalError for a type that the sandbox does not have."""
    text = request.match_info[name]
    found = type_named(text)
    if found is None:
        raise refuse(f"Unable to infer object type from: {text}", category="")
    return found


def asks_archived(request: web.Request) -> bool:
    """Whether a read asks for what was archived; HubSpot's own client for Python writes ``True``."""
    return request.query.get("archived", "").lower() == "true"
