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
    manual: Annotated[
        bool, typer.Option("--manual", help="SyncErrorPoller messages only on POST /_sandbox/judge.")
    ] = False,
    judge_delay_ms: Annotated[int, typer.Option(help="How long after its arrival a message is judged.", min=0)] = 5,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with 1 if a rule of sending was broken, and say which.")
    ] = False,
) -> None:
    """Run a local HubSpot look-alike (Ecommerce Bridge v1 and v2) with a page, until Ctrl-C or SIGTERM."""
    raise typer.Exit(asyncio.run(_serve(host, port, api_key, manual, judge_delay_ms, strict)))


async def _serve(host: str, port: int, api_key: str, manual: bool, judge_delay_ms: int, strict: bool) -> int:
    from sinks.sandbox.server import start

    server = await start(
        host, port, api_key=api_key, auto_judge=not manual, judge_delay_ms=judge_delay_ms, strict=strict
    )
    say(f"sandbox: {server.url} (page and API; hapikey {api_key!r})")
    say(f'settings: [sink] base_url = "{server.url}", api_key = "{api_key}"')
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    watch = server.store.watch
    await server.close()
    if not strict:
        return 0
    say(f"{server.store.accepted} messages accepted, {sum(watch.counts.values())} rules of sending broken")
    for item in list(watch.kept)[:20]:
        say(f"  {item.rule}: {item.object_type or ''} {item.external_id}: {item.text}")
    return 1 if watch.counts else 0
