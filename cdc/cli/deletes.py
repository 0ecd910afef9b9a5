"""``deletes list|release``: deletions held by the brake (delivery.max_deletes_per_hour)."""

from __future__ import annotations

import typer

from cdc.cli.common import AsJson, Config, Sets, open_state, print_json, print_table, say, settings_of

app = typer.Typer(help="Deletions held because there were too many at once.", no_args_is_help=True)


@app.command("list")
def list_held(context: typer.Context, config: Config = None, sets: Sets = None, as_json: AsJson = False) -> None:
    """Name the objects whose deletion is held, oldest first."""
    from cdc.delivery import circuit_breaker

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False, only_looks=True) as engine:
        names = [ref.external_id(settings.mapping.namespace) for ref in circuit_breaker.held(engine.store)]
    if as_json:
        print_json(names)
    elif not names:
        say("no deletions are held")
    else:
        print_table(("object",), [(name,) for name in names])


@app.command("release")
def release(context: typer.Context, config: Config = None, sets: Sets = None) -> None:
    """Let them all go. Look at ``deletes list`` first: a wrong database looks just like a mass deletion."""
    from cdc.clock import SystemClock
    from cdc.delivery import circuit_breaker

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False) as engine, engine.store.transaction():
        count = circuit_breaker.release(engine.store, SystemClock().now_ms())
    say(f"{count} deletions released; a running daemon sends them within seconds")
