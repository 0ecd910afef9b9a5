"""``help``: what ``--help`` prints of a verb; and lists of verbs with whole sentences."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cdc.errors import ConfigError

_NEVER_CUT = 10_000  # letters


class WholeSentences(TyperGroup):
    """A command with verbs. Its help has each verb's first sentence whole, over several lines if it is long: typer
    would cut the sentence at the terminal's width.
    """

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of verbs."""
        verbs = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, verb.get_short_help_str(_NEVER_CUT)) for name, verb in verbs if verb is not None and not verb.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


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
