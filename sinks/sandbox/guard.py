"""Who may talk to the sandbox: it has no login, so a web page elsewhere must not reach it through somebody's browser.

The three doors that cdc/same_site.py tells of are shut.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from cdc.same_site import PAGE_HEADERS, foreign_page, host_name, is_own_name

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ALLOWED_HOSTS: Final = web.AppKey("allowed_hosts", frozenset[str])
"""Names besides localhost, IP addresses and names without a dot, which nobody can register on the internet."""


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what comes from a foreign page with 403 and a sentence; add the headers that keep our own page in."""
    wrong = _foreign(request)
    if wrong:
        return web.json_response({"status": "error", "message": wrong}, status=403, headers=PAGE_HEADERS)
    response = await handler(request)
    if not response.prepared and not request.path.startswith(("/extensions/", "/crm/", "/account-info/")):
        response.headers.update(PAGE_HEADERS)
    return response


def _foreign(request: web.Request) -> str:
    """Why a request is refused; "": it is not."""
    name = host_name(request.headers.get("Host", ""))
    if not is_own_name(name, request.app[ALLOWED_HOSTS]):
        return f"The sandbox does not answer for the host {name!r}; --allow-host {name} makes it."
    wrong = foreign_page(request.method, request.headers)
    if wrong:
        return wrong
    if request.path.startswith("/_sandbox") and request.method == "POST" and request.content_type != "application/json":
        return "A POST under /_sandbox needs the header Content-Type: application/json."
    return ""
