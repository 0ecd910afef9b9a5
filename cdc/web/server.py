"""Starts the web pages on the port of the settings, in the event loop that runs."""

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
    """A running server. ``port``: the one it listens on, also when ``web.port`` is 0."""

    port: int
    _runner: web.AppRunner

    async def close(self) -> None:
        """Stop listening and cut what is open. May be called twice."""
        await self._runner.cleanup()


async def start_web(view: View, metrics: Metrics, settings: WebSettings) -> WebServer:
    """Listen on ``web.host`` and ``web.port``. SetupError when that address cannot be had."""
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
    """The plain words of an error number: asyncio puts a sentence of its own around them."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror or error)
