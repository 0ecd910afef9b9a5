"""The operator's page at / and what it asks for under /page: lists, a look-up, charts, and two changes.

The page has no log-in. So it answers only requests for host names that no stranger can own, its changes need
``web.admin_token`` and come from the page itself, and values are left out unless ``web.show_values`` is set. GET never
changes anything.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Any, Final

import orjson
from aiohttp import web

from cdc.errors import CdcError
from cdc.log_events import get_logger
from cdc.same_site import PAGE_HEADERS, foreign_page, host_name, is_own_name
from cdc.settings.secret_files import fresh
from cdc.settings.web import WebSettings
from cdc.web.samples import Samples
from cdc.web.view import Operations, View

log = get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

FILES: Final[Mapping[str, str]] = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "page_parts.js": "text/javascript",
    "page_lists.js": "text/javascript",
    "page_trace.js": "text/javascript",
}
"""The page's own files, each under /page/."""

MOST_BYTES: Final = 16 * 1024
"""Of a request's body: what the page sends is a name or a few ids."""


class Refused(CdcError):
    """A request that is answered with an error and a sentence. ``status``: the HTTP status."""

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class OperatorPage:
    """The handlers of / and /page."""

    def __init__(self, view: View, samples: Samples, settings: WebSettings) -> None:
        self._view = view
        self._samples = samples
        self._settings = settings
        self._hosts = frozenset(name.lower() for name in (*settings.allow_hosts, settings.host))
        self._files = {name: files("cdc.web").joinpath(name).read_bytes() for name in ("page.html", *FILES)}

    def add_to(self, app: web.Application) -> None:
        """Add the page's addresses."""
        app.router.add_get("/", self._guarded(self._page))
        for name in FILES:
            app.router.add_get(f"/page/{name}", self._guarded(self._file))
        app.router.add_get("/page/charts", self._guarded(self._charts))
        app.router.add_get("/page/waiting", self._guarded(self._waiting))
        # A look-up changes nothing, and is a POST so that no email address stands in an address line or a proxy's log.
        app.router.add_post("/page/find", self._guarded(self._find))
        app.router.add_post("/page/retry", self._guarded(self._retry))
        app.router.add_post("/page/release", self._guarded(self._release))

    # ----------------------------------------------------------------------------------------------- who may ask

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                self._require_own_page(request)
                response = await handler(request)
            except Refused as error:
                response = _json({"error": error.message, "hint": error.hint}, error.status)
            except CdcError as error:  # what was asked for is not there, or is not so any more
                response = _json({"error": error.message, "hint": error.hint}, 409)
            response.headers.update(PAGE_HEADERS)
            return response

        return guarded

    def _require_own_page(self, request: web.Request) -> None:
        name = host_name(request.headers.get("Host", ""))
        # A stranger's name that was pointed at this machine would let the stranger's page read ours.
        if not is_own_name(name, self._hosts):
            raise Refused(403, f"the page does not answer for the host {name!r}", "add the name to web.allow_hosts")
        wrong = foreign_page(request.method, request.headers)
        if wrong:
            raise Refused(403, wrong)
        # A plain form of another site cannot send JSON.
        if request.method == "POST" and request.content_type != "application/json":
            raise Refused(415, "a POST needs the header Content-Type: application/json")

    def _require_admin(self, request: web.Request) -> None:
        """The token is compared in constant time, and read again from its file, so that it can be rotated."""
        token = fresh(self._settings.admin_token, self._settings.admin_token_file)
        if not token:
            raise Refused(403, "nothing can be changed here: web.admin_token is not set", "use the commands, or set it")
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        # The text that was given is never logged: it may be the right token with a letter too much.
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
            log.warning("admin_token_refused", path=request.path)
            raise Refused(401, "the admin token is wrong", "give the token of web.admin_token")

    # ------------------------------------------------------------------------------------------------- looking

    async def _page(self, _request: web.Request) -> web.Response:
        return self._served("page.html", "text/html")

    async def _file(self, request: web.Request) -> web.Response:
        name = request.path.rpartition("/")[2]
        return self._served(name, FILES[name])

    def _served(self, name: str, content_type: str) -> web.Response:
        return web.Response(body=self._files[name], content_type=content_type, charset="utf-8")

    async def _charts(self, _request: web.Request) -> web.Response:
        settings = self._settings
        can_change = bool(settings.admin_token.get_secret_value())
        return _json({**self._samples.as_dict(), "can_change": can_change, "shows_values": settings.show_values}, 200)

    async def _waiting(self, _request: web.Request) -> web.Response:
        return _json(await self._operations().waiting(), 200)

    async def _find(self, request: web.Request) -> web.Response:
        body = await _body(request)
        text = body.get("name")
        if not isinstance(text, str) or not text.strip():
            raise Refused(400, "name an object")
        try:
            found = await self._operations().find(text)
        # What is refused keeps its own status; for a name that nothing goes by it is 404.
        except Refused:
            raise
        except CdcError as error:
            raise Refused(404, error.message, error.hint) from None
        return _json({"found": found}, 200)

    # ------------------------------------------------------------------------------------------------- changing

    async def _retry(self, request: web.Request) -> web.Response:
        self._require_admin(request)
        body = await _body(request)
        names, reason = body.get("objects", []), body.get("reason")
        is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
        # One way of choosing at a time, and never "all" because a field is missing.
        if not is_list or not (reason is None or isinstance(reason, str)) or bool(names) == (reason is not None):
            raise Refused(400, 'give either "objects", a list of our ids, or "reason"')
        return _json({"count": await self._operations().retry(names, reason)}, 200)

    async def _release(self, request: web.Request) -> web.Response:
        self._require_admin(request)
        body = await _body(request)
        kind, count = body.get("type"), body.get("count")
        # True is an integer to Python, and must not count as 1.
        if not isinstance(kind, str) or not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise Refused(400, 'give "type" ("" for all) and "count", the number of deletions that are held')
        return _json({"count": await self._operations().release(kind, count)}, 200)

    def _operations(self) -> Operations:
        found = self._view.operations()
        # Before the state is open there is nothing to ask; the page says so and asks again.
        if found is None:
            raise Refused(503, "the state is not open yet, or this is a relay, which sends nothing")
        return found


async def _body(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request. Raises Refused for anything else."""
    if (request.content_length or 0) > MOST_BYTES:
        raise Refused(413, f"the body is longer than {MOST_BYTES} bytes")
    try:
        found = orjson.loads(await request.read())
    # What is no JSON is treated like JSON of the wrong kind.
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise Refused(400, "the body is no JSON object")
    return found


def _json(document: Any, status: int) -> web.Response:
    body = orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)
    return web.Response(body=body, status=status, content_type="application/json")
