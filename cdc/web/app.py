"""The daemon's web pages: /live, /ready, /metrics, /status, and the operator's page at / (page.py).

No log-in, and no personal data unless ``web.show_values``: listen on loopback or inside the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from cdc.settings.web import WebSettings
from cdc.web.metrics import CONTENT_TYPE, Metrics
from cdc.web.page import MOST_BYTES, OperatorPage
from cdc.web.view import View

VALUE_FIELDS: Final = frozenset({"properties", "values", "email", "before", "after"})
"""Fields of a status that carry personal data; left out unless ``web.show_values``."""

_NO_STORE: Final = {"Cache-Control": "no-store"}


def make_app(view: View, metrics: Metrics, settings: WebSettings) -> web.Application:
    """The web application. With ``web.show_values``, /status includes the fields that may hold personal data."""
    pages = _Pages(view, metrics, settings.show_values)
    app = web.Application(client_max_size=MOST_BYTES)
    app.router.add_get("/live", pages.live)
    app.router.add_get("/ready", pages.ready)
    app.router.add_get("/metrics", pages.metrics)
    app.router.add_get("/status", pages.status)
    OperatorPage(view, metrics.samples, settings).add_to(app)
    return app


class _Pages:
    def __init__(self, view: View, metrics: Metrics, show_values: bool) -> None:
        self._view = view
        self._metrics = metrics
        self._show_values = show_values

    async def live(self, _request: web.Request) -> web.Response:
        is_live, reasons = self._view.live()
        return _json({"live": is_live, "reasons": reasons}, 200 if is_live else 503)

    async def ready(self, _request: web.Request) -> web.Response:
        is_ready, reasons = self._view.ready()
        return _json({"ready": is_ready, "role": self._view.role(), "reasons": reasons}, 200 if is_ready else 503)

    async def metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE} | _NO_STORE)

    async def status(self, _request: web.Request) -> web.Response:
        status: Any = self._view.status()
        return _json(status if self._show_values else _without_values(status), 200)


def _json(document: Any, status: int) -> web.Response:
    body = orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS, default=str)
    return web.Response(body=body, status=status, content_type="application/json", headers=_NO_STORE)


def _without_values(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _without_values(below) for key, below in tree.items() if key not in VALUE_FIELDS}
    if isinstance(tree, list | tuple):
        return [_without_values(below) for below in tree]
    return tree
