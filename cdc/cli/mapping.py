"""``mapping push``: create or change what the receiver needs."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cdc.cli.common import Config, Sets, say, settings_of

app = typer.Typer(help="The mapping between the shop and HubSpot.", no_args_is_help=True)


@app.command("push")
def push(
    context: typer.Context,
    config: Config = None,
    sets: Sets = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, change nothing.")] = False,
) -> None:
    """Install the bridge and store the mapping in its settings."""
    settings = settings_of(context, config, sets)

    from sinks.make import make_sink

    async def pushed() -> list[str]:
        sink = make_sink(settings.sink, settings.mapping)
        try:
            return list(await sink.push_mapping(dry_run=dry_run))
        finally:
            await sink.close()

    for line in asyncio.run(pushed()) or ["nothing to do"]:
        say(line)
