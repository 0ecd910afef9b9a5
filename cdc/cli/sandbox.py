"""``sandbox``: the local HubSpot look-alike."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer

from cdc.cli.common import say


def sandbox(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 picks a free one.", min=0, max=65535)] = 8090,
    api_key: Annotated[str, typer.Option(help="The hapikey it accepts.")] = "sandbox",
    manual: Annotated[bool, typer.Option("--manual", help="Judge messages only on POST /_sandbox/judge.")] = False,
) -> None:
    """Run a local HubSpot look-alike with a page, until Ctrl-C."""

    async def serve() -> None:
        from sinks.sandbox.server import start

        server = await start(host, port, api_key=api_key, auto_judge=not manual)
        say(f"sandbox: {server.url} (page and API; hapikey {api_key!r})")
        say(f'settings: [sink] base_url = "{server.url}", api_key = "{api_key}"')
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()
        await server.close()

    asyncio.run(serve())
