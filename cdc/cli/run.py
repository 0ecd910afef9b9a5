"""``run``: the daemon."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cdc.cli.common import Config, Sets, failure_in_log, load_again, run_in_loop, settings_of
from cdc.errors import ConfigError
from cdc.model import Start, parse_start

if TYPE_CHECKING:
    from cdc.protocols import Sink


def run(
    context: typer.Context,
    config: Config = None,
    sets: Sets = None,
    start: Annotated[
        str | None,
        typer.Option(help="Replay from here: binlog.000123:4567, gtid:<set>, earliest or latest.", metavar="POSITION"),
    ] = None,
    resend: Annotated[
        bool, typer.Option("--resend", help="Send every object again, also objects that have not changed.")
    ] = False,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop once the log is read to its end and the outbox is empty.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Read to the end of the log on a copy of the state, print what would be sent, send nothing.",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Take a changed mapping, however much of HubSpot it deletes or changes.")
    ] = False,
    sink: Annotated[str | None, typer.Option(help="sink.kind", metavar="KIND")] = None,
) -> None:
    """Follow the log and keep HubSpot in step, until SIGTERM.

    Exit codes: 0 stopped or done, 1 failed, 2 wrong settings, grants, log format or tables, 3 position lost.
    """
    with failure_in_log(sys.stderr if dry_run else sys.stdout):
        _run(context, config, sets, start, resend=resend, until_end=until_end, dry_run=dry_run, yes=yes, sink=sink)


def _run(
    context: typer.Context,
    config: Path | None,
    sets: list[str] | None,
    start: str | None,
    *,
    resend: bool,
    until_end: bool,
    dry_run: bool,
    yes: bool,
    sink: str | None,
) -> None:
    overrides = [*(sets or []), *([f"sink.kind={sink}"] if sink else [])]
    overrides += ["delivery.max_change_share=1"] if yes else []
    settings = settings_of(context, config, overrides)
    first = _parsed(start)

    from cdc import logs
    from cdc.daemon import RunOptions
    from cdc.sink_output import run_daemon
    from sinks.registry import entry_of

    # The data goes to stdout, so the log must not.
    is_data = dry_run or entry_of(settings).writes_stdout(settings)
    stream = sys.stderr if is_data else sys.stdout
    logs.configure(settings.log, stream, logs.secrets_of(settings))
    options = RunOptions(
        start=first,
        resend=resend,
        until_end=until_end or dry_run,
        reload=lambda: load_again(context, config, overrides).settings,
    )
    preview: Sink | None = None
    with ExitStack() as stack:
        # A dry run works on a copy of the state, and its sink sends nothing.
        if dry_run:
            from cdc.cli.dry_run import dry

            settings, preview = stack.enter_context(dry(settings))
        code = run_in_loop(run_daemon(settings, options, preview))
    raise typer.Exit(code)


def _parsed(text: str | None) -> Start | None:
    # Without --start the state's own position counts.
    if text is None:
        return None
    try:
        return parse_start(text, allow_import=False)
    except ValueError as error:
        raise ConfigError([f"--start: {error}"], source="command line") from None
