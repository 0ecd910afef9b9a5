"""``help``: what ``--help`` prints of a verb."""

from __future__ import annotations

from typing import Annotated

import typer

from cdc.errors import ConfigError


def show_help(
    context: typer.Context,
    words: Annotated[list[str] | None, typer.Argument(metavar="[VERB]...", show_default=False)] = None,
) -> None:
    """Print the help of a verb, or of all."""
    from cdc.settings.faults import nearest

    here = context.parent
    assert here is not None
    for word in words or ():
        command = here.command
        verbs = getattr(command, "commands", {})  # a verb without verbs of its own has none
        # As everywhere, the nearest name helps.
        if word not in verbs:
            raise ConfigError([f"there is no verb {word}{nearest(word, verbs)}"], source="help")
        here = typer.Context(verbs[word], info_name=word, parent=here)
    typer.echo(here.get_help())
