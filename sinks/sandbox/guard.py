"""Protects the sandbox, which has no login: a foreign web page must not reach it through a person's browser.

Three ways are closed: a foreign name in ``Host`` (a page whose name was pointed at this machine), a foreign ``Origin``
(a form or script of another site), and a POST under ``/_sandbox`` that a form could send (no JSON content type).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from cdc.same_site import PAGE_HEADERS, foreign_page, host_name, is_own_name

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ALLOWED_HOSTS: Final = web.AppKey("allowed_hosts", frozenset[str])
"""Accepted names besides localhost, IP addresses and names without a dot: nobody can register these on the internet."""


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests from a foreign page with 403 and a sentence. Add the headers that restrict our own page."""
    wrong = _foreign(request)
    if wrong:
        return web.json_response({"status": "error", "message": wrong}, status=403, headers=PAGE_HEADERS)
    response = await handler(request)
    if not response.prepared and not request.path.startswith(("/extensions/", "/crm/", "/account-info/")):
        response.headers.update(PAGE_HEADERS)
    return response


def _foreign(request: web.Request) -> str:
    """Why a request is refused; "": it is accepted."""
    name = host_name(request.headers.get("Host", ""))
    if not is_own_name(name, request.app[ALLOWED_HOSTS]):
        return f"The sandbox does not answer for the host {name!r}; --allow-host {name} makes it."
    wrong = foreign_page(request.method, request.headers)
    if wrong:
        return wrong
    if request.path.startswith("/_sandbox") and request.method == "POST" and request.content_type != "application/json":
        return "A POST under /_sandbox needs the header Content-Type: application/json."
    return ""
