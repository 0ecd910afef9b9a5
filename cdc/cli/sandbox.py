"""``sandbox``: the local HubSpot look-alike."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cdc.cli.common import say

if TYPE_CHECKING:
    from sinks.sandbox.server import SandboxServer


def sandbox(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 picks a free one.", min=0, max=65535)] = 8090,
    api_key: Annotated[str, typer.Option(help="The hapikey that the bridge's paths accept.")] = "sandbox",
    manual: Annotated[
        bool, typer.Option("--manual", help="Validate messages of the bridge only on POST /_sandbox/validate.")
    ] = False,
    validation_delay_ms: Annotated[
        int, typer.Option(help="How long after its arrival a message is validated.", min=0)
    ] = 5,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with 1 if a rule of sending was broken, and say which.")
    ] = False,
    record: Annotated[
        Path | None, typer.Option(help="Append every CRM request and answer to this file, as JSON lines.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Answer for this name in the Host header too. May be repeated.")
    ] = None,
) -> None:
    """Run a local HubSpot look-alike (CRM API and Ecommerce Bridge) with a page, until Ctrl-C or SIGTERM."""
    import asyncio

    raise typer.Exit(
        asyncio.run(_serve(host, port, api_key, manual, validation_delay_ms, strict, record, tuple(allow_host or ())))
    )


async def _serve(
    host: str,
    port: int,
    api_key: str,
    manual: bool,
    validation_delay_ms: int,
    strict: bool,
    record: Path | None,
    allow_hosts: tuple[str, ...],
) -> int:
    import asyncio

    from sinks.sandbox.crm.gate import TOKEN
    from sinks.sandbox.server import start

    server = await start(
        host,
        port,
        api_key=api_key,
        auto_validate=not manual,
        validation_delay_ms=validation_delay_ms,
        strict=strict,
        record=record,
        allow_hosts=allow_hosts,
    )
    say(f"sandbox: {server.url} (page and API)")
    say(f'CRM:     [sink] kind = "crm", base_url = "{server.url}", access_token = "{TOKEN}"')
    say(f'bridge:  [sink] kind = "bridge", base_url = "{server.url}", api_key = "{api_key}"')
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await server.close()
    return _verdict(server) if strict else 0


def _verdict(server: SandboxServer) -> int:
    """Print which rules were broken; 1 if any was."""
    watch = server.store.watch
    calls = server.crm.exchanges.counts["all"]
    broken = sum(watch.counts.values())
    say(f"{server.store.accepted} messages accepted, {calls} CRM calls, {broken} rules of sending broken")
    for item in list(watch.kept)[:20]:
        say(f"  {item.rule}: {item.object_type or ''} {item.external_id}: {item.text}")
    return 1 if watch.counts else 0
