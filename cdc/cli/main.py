"""The command ``magento-cdc``. Each command has its own file, which is imported when the command is used, and imports
only what it needs.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.main import get_group

from cdc.cli.common import Config, Sets, limit_reached, say
from cdc.cli.help import WholeSentences
from cdc.errors import CdcError

VERBS: Final[Mapping[str, str]] = {
    **{name: name for name in ("run", "init", "relay", "check", "status", "trace", "verify", "settings", "sandbox")},
    "demo": "demo",
    "help": "show_help",
    **{name: "app" for name in ("config", "position", "outbox", "deadletter", "state", "deletes", "mapping")},
    "import": "app",
}
"""Verb → the name of its function or group in its module."""

MODULES: Final[Mapping[str, str]] = {"import": "imports"}
"""Verb → its module, if the name is another."""


class VerbTable(MutableMapping[str, Any]):
    """Verb → its command, made when it is asked for: to make all takes longer than a short command runs."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = dict.fromkeys(VERBS)

    def __getitem__(self, verb: str) -> Any:
        if self._made[verb] is None:
            self._made[verb] = _command_of(verb)
        return self._made[verb]

    def __setitem__(self, verb: str, command: Any) -> None:
        self._made[verb] = command

    def __delitem__(self, verb: str) -> None:
        del self._made[verb]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


def _command_of(verb: str) -> Any:
    found = getattr(import_module(f"cdc.cli.{MODULES.get(verb, verb)}"), VERBS[verb])
    holder = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=verb, cls=WholeSentences)
    else:
        holder.command(verb)(found)
    return get_group(holder).commands[verb]


class Verbs(WholeSentences):
    """The command's verbs."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = VerbTable()


app = typer.Typer(
    name="magento-cdc",
    cls=Verbs,
    help="Keeps HubSpot in step with a Magento store from the store's binlog.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    # Asked before the settings are read, so that it works with wrong ones.
    if asked:
        from importlib.metadata import version

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
    # A command that never logs has not loaded the log's module, which takes a while.
    if (logs := sys.modules.get("cdc.logs")) is not None:
        logs.drain()  # the last line of a bad end says why
    is_left = any(one.daemon for one in threading.enumerate() if one is not threading.main_thread())
    # A text as code is an error message that the interpreter itself has to print.
    if is_left and not isinstance(code, str):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code or 0)
    sys.exit(code)
