"""``outbox list``: the waiting messages, and what each waits for."""

from __future__ import annotations

from typing import Annotated

import typer

from cdc.cli.common import AsJson, Config, Sets, open_state, print_json, print_table, say, settings_of
from cdc.clock import iso_ms
from cdc.errors import ConfigError

app = typer.Typer(help="Messages that wait to be sent.", no_args_is_help=True)

COLUMNS = ("object", "type", "action", "since", "attempts", "waits for")


@app.command("list")
def list_outbox(
    context: typer.Context,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
    kind: Annotated[str | None, typer.Option("--type", help="Of this type only: contact, deal, order ...")] = None,
    limit: Annotated[int, typer.Option(help="So many at most, the oldest first.", min=1)] = 100,
) -> None:
    """One line per message, the oldest first: object, since when, and what it waits for."""
    from cdc.messages import outbox, waiting
    from mappers.finding import WORDS

    settings = settings_of(context, config, sets)
    if kind is not None and kind.lower() not in WORDS:
        raise ConfigError([f"--type {kind}: write one of {', '.join(WORDS)}"], source="command line")
    kinds = WORDS[kind.lower()] if kind else ()
    with open_state(settings, exclusive=False, only_looks=True) as engine, engine.store.transaction():
        found = waiting.listed(engine.store, limit, kinds)
        total = outbox.counts(engine.store)["total"]
    namespace = settings.mapping.namespace
    rows = [
        (
            one.ref.external_id(namespace),
            one.ref.object_type.value,
            one.action.value,
            iso_ms(one.rendered_ms),
            one.attempts,
            one.cause,
        )
        for one in found
    ]
    if as_json:
        print_json(
            [dict(zip(("object", "type", "action", "since", "attempts", "waits_for"), r, strict=True)) for r in rows]
        )
        return
    if rows:
        print_table(COLUMNS, rows)
    say(f"{len(rows)} of the {total} messages in the outbox" if rows else "nothing waits to be sent")
