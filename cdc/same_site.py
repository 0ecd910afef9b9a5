"""Whether a request of a browser comes from our own page. Pure; for web servers on this machine.

A server without log-in must not be reached by another site's page through somebody's browser. Three doors are shut: a
foreign name in ``Host`` (a name that was pointed at this machine), a foreign ``Origin`` (a form or script of another
site), and a change that a plain form could send (no JSON content type).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

CHANGES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})

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
"""Headers that keep a page of ours to itself: it runs its own files only, asks its own server only, and sits in no
frame.
"""

ANOTHER_SITE: Final = "Another site's page may not change anything here."


def is_own_name(name: str, allowed: frozenset[str]) -> bool:
    """Whether a host name means this machine: an IP address, a name without a dot, ``*.localhost``, or an allowed one.

    Nobody can register such a name on the internet, so no stranger's page is reached by it.
    """
    # A request without Host comes from no browser, and might be anything.
    if not name:
        return False
    # An address cannot be pointed elsewhere by a stranger's name server; a name can.
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return name.lower() in allowed or name.endswith(".localhost") or "." not in name
    return True


def host_name(host: str) -> str:
    """The name in a ``Host`` header, without its port; "" for what is no host."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def foreign_page(method: str, headers: Mapping[str, str]) -> str:
    """Why a request that changes something is another site's; "": it is not, or it changes nothing."""
    if method not in CHANGES:
        return ""
    origin = headers.get("Origin")
    # Programs send no Origin; a browser sends it with every change.
    if origin is not None and urlsplit(origin).netloc != headers.get("Host", ""):
        return ANOTHER_SITE
    # Browsers add it themselves, and no script can.
    if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return ANOTHER_SITE
    return ""
