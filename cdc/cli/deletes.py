"""``deletes list|release``: deletions held by the circuit breaker (delivery.max_deletes_per_hour)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import typer

from cdc.cli.common import (
    AsJson,
    Config,
    Sets,
    Yes,
    confirmed,
    iso,
    open_state,
    print_json,
    print_table,
    say,
    settings_of,
)

app = typer.Typer(help="Deletions held because there were too many at once.", no_args_is_help=True)

COLUMNS = ("object", "type", "since", "position")


@app.command("list")
def list_held(context: typer.Context, config: Config = None, sets: Sets = None, as_json: AsJson = False) -> None:
    """Name every object whose deletion is held, oldest first: type, since when, and where in the log it went."""
    from cdc.delivery import circuit_breaker

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False, only_looks=True) as engine:
        held = circuit_breaker.held(engine.store)
    namespace = settings.mapping.namespace
    rows = [
        (one.ref.external_id(namespace), one.ref.object_type.value, iso(one.rendered_ms), one.position) for one in held
    ]
    if as_json:
        print_json([dict(zip(COLUMNS, row, strict=True)) for row in rows])
    elif not rows:
        say("no deletions are held")
    else:
        print_table(COLUMNS, rows)
        say(f"{_by_type(row[1] for row in rows)}: deleted in the shop, or left out by mapping.filter since then")


@app.command("release")
def release(context: typer.Context, config: Config = None, sets: Sets = None, yes: Yes = False) -> None:
    """Let them all go. Look at `deletes list` first: a wrong database looks just like a mass deletion."""
    from cdc.clock import SystemClock
    from cdc.delivery import circuit_breaker

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False) as engine:
        held = circuit_breaker.held(engine.store)
        counted = _by_type(one.ref.object_type.value for one in held)
        if held and not confirmed(f"delete in HubSpot: {counted}?", yes=yes):
            raise typer.Abort
        with engine.store.transaction():
            count = circuit_breaker.release(engine.store, SystemClock().now_ms())
    say(f"{count} deletions released; a running daemon sends them within seconds")


def _by_type(types: Iterable[str]) -> str:
    """``3 DEAL, 7 LINE_ITEM``."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(types).items()))
