"""Starts the web pages on the port in the settings, in the running event loop."""

from __future__ import annotations

import os
from dataclasses import dataclass

from aiohttp import web

from cdc.errors import SetupError
from cdc.settings.web import WebSettings
from cdc.web.app import make_app
from cdc.web.metrics import Metrics
from cdc.web.view import View


@dataclass(slots=True)
class WebServer:
    """A running server. ``port``: the port that it listens on, also when ``web.port`` is 0."""

    port: int
    _runner: web.AppRunner

    async def close(self) -> None:
        """Stop listening and close all connections. May be called twice."""
        await self._runner.cleanup()


async def start_web(view: View, metrics: Metrics, settings: WebSettings) -> WebServer:
    """Listen on ``web.host`` and ``web.port``. SetupError when that address is not available."""
    app = make_app(view, metrics, settings)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError as error:
        await runner.cleanup()
        raise SetupError(
            f"cannot listen on {settings.host}:{settings.port}: {_reason(error)}",
            hint="set web.host and web.port to an address of this machine that is free (web.port = 0 picks one)",
        ) from error
    return WebServer(runner.addresses[0][1], runner)


def _reason(error: OSError) -> str:
    """The system's text of an error number: asyncio's own sentence around it is left out."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror or error)
