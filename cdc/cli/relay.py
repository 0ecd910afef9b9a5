"""``relay``: publishes the log to Kafka."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cdc.cli.common import Config, Sets, failure_in_log, load_again, run_in_loop, settings_of


def relay(
    context: typer.Context,
    config: Config = None,
    sets: Sets = None,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop once everything in the log is published.")
    ] = False,
) -> None:
    """Publish the shop's rows and every change of them to the Kafka topic <kafka.prefix>.changes, until SIGTERM.

    Exit codes: 0 stopped or done, 1 failed or another relay took over, 2 wrong settings, grants, log format, tables or
    topic, 3 position lost.
    """
    with failure_in_log():
        _relay(context, config, sets, until_end)


def _relay(context: typer.Context, config: Path | None, sets: list[str] | None, until_end: bool) -> None:
    settings = settings_of(context, config, sets)

    from cdc import logs
    from cdc.relay.output import run_relay

    logs.configure(settings.log, sys.stdout, logs.secrets_of(settings))
    relaying = run_relay(settings, until_end=until_end, reload=lambda: load_again(context, config, sets).settings)
    raise typer.Exit(run_in_loop(relaying))
