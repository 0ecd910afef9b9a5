"""Who may talk to the sandbox: it has no login, so a web page elsewhere must not reach it through somebody's browser.

Three doors are shut. A foreign name in ``Host`` (a page whose name was pointed at this machine), a foreign ``Origin``
(a form or script of another site), and a POST under ``/_sandbox`` that a form could send (no JSON content type).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ALLOWED_HOSTS: Final = web.AppKey("allowed_hosts", frozenset[str])
"""Names besides localhost, IP addresses and names without a dot, which nobody can register on the internet."""

PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_CHANGES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


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
    host = request.headers.get("Host", "")
    name = _name(f"//{host}")
    if not is_own_name(name, request.app[ALLOWED_HOSTS]):
        return f"The sandbox does not answer for the host {name!r}; --allow-host {name} makes it."
    if request.method not in _CHANGES:
        return ""
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return "Another site's page may not change anything here."
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return "Another site's page may not change anything here."
    if request.path.startswith("/_sandbox") and request.method == "POST" and request.content_type != "application/json":
        return "A POST under /_sandbox needs the header Content-Type: application/json."
    return ""


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_own_name(name: str, allowed: frozenset[str]) -> bool:
    """Whether this machine is meant by a host name that no stranger can own."""
    if not name:
        return False
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return name.lower() in allowed or name.endswith(".localhost") or "." not in name
    return True
