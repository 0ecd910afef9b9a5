"""The command ``magento-cdc``. Each command has its own file and imports only what it needs."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from cdc import logs
from cdc.cli import (
    check,
    config,
    deadletter,
    deletes,
    demo,
    help,
    imports,
    init,
    mapping,
    outbox,
    position,
    relay,
    run,
    sandbox,
    settings,
    state,
    status,
    trace,
    verify,
)
from cdc.cli.common import Config, Sets, limit_reached, say
from cdc.errors import CdcError

app = typer.Typer(
    name="magento-cdc",
    help="Keeps HubSpot in step with a Magento store from the store's binlog.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    # Asked before the settings are read, so that it works with wrong ones.
    if asked:
        sys.stdout.write(f"magento-cdc {version('magento-cdc')}\n")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    file: Config = None,
    sets: Sets = None,
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    context.obj = {"config": file, "sets": sets}


app.command("run")(run.run)
app.command("init")(init.init)
app.command("relay")(relay.relay)
app.command("check")(check.check)
app.command("status")(status.status)
app.command("trace")(trace.trace)
app.command("verify")(verify.verify)
app.command("settings")(settings.settings)
app.command("sandbox")(sandbox.sandbox)
app.command("demo")(demo.demo)
app.command("help")(help.show_help)
app.add_typer(config.app, name="config")
app.add_typer(position.app, name="position")
app.add_typer(outbox.app, name="outbox")
app.add_typer(deadletter.app, name="deadletter")
app.add_typer(state.app, name="state")
app.add_typer(deletes.app, name="deletes")
app.add_typer(mapping.app, name="mapping")
app.add_typer(imports.app, name="import")


def main() -> None:
    """Run the command. Our errors become one sentence on stderr and their exit code."""
    code: str | int | None = 0
    try:
        app()
    except CdcError as error:
        # Errors of ours are sentences for people, and no traceback.
        say(f"magento-cdc: {error}")
        code = error.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away: nothing to say, and nobody to say it to
        code = 1
    except SystemExit as end:
        # typer ends by this exception, with the code of the verb.
        code = end.code
    except (MemoryError, OSError, RuntimeError) as error:
        limit = limit_reached(error)
        if limit is None:
            raise
        say(f"magento-cdc: {limit}")
        code = limit.exit_code
    _leave(code)


def _leave(code: str | int | None) -> NoReturn:
    """End the process.

    A thread may still be waiting for the server, for minutes. If it is inside C code while the interpreter shuts down,
    the process crashes. So with such a thread the process ends without that clean-up.
    """
    logs.drain()  # the last line of a bad end says why
    is_left = any(one.daemon for one in threading.enumerate() if one is not threading.main_thread())
    # A text as code is an error message that the interpreter itself has to print.
    if is_left and not isinstance(code, str):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code or 0)
    sys.exit(code)
