"""``position show|set``: the source's position, and how to change it by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cdc.cli.common import AsJson, Config, Sets, open_state, print_json, say, settings_of
from cdc.errors import ConfigError
from cdc.model import Position, Start, StartKind, parse_start

if TYPE_CHECKING:
    from cdc.engine.engine import Engine
    from cdc.settings.config import Settings

app = typer.Typer(help="Show or move the position in the log.", no_args_is_help=True)


@app.command("show")
def show(context: typer.Context, config: Config = None, sets: Sets = None, as_json: AsJson = False) -> None:
    """Print the position of the next transaction to read."""
    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False, only_looks=True) as engine:
        position = engine.positions.position
    # There is nothing to show, and "nothing" could be taken for position 0.
    if position is None:
        raise ConfigError(["the state has no position yet; start `magento-cdc run`"], source=str(settings.state.dir))
    if as_json:
        print_json({"file": position.file, "offset": position.offset, "gtid": position.gtid, "server": position.server})
    else:
        typer.echo(str(position))
        # The set is shown beside, as it is what holds after a failover.
        if position.gtid:
            typer.echo(f"gtid:{position.gtid}")


@app.command("set")
def set_position(
    context: typer.Context,
    position: Annotated[str, typer.Argument(help="binlog.000123:4567, gtid:<set>, earliest or latest")],
    config: Config = None,
    sets: Sets = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say where it would move, move nothing.")] = False,
) -> None:
    """Change the position by hand; the daemon must be stopped, and the server must be reachable.

    Going back replays changes (equal messages are not sent twice). Going forward skips changes: their rows stay wrong
    until they change again or are imported again.
    """
    settings = settings_of(context, config, sets)
    try:
        start = parse_start(position, allow_import=False)
    except ValueError as error:
        raise ConfigError([f"POSITION: {error}"], source="command line") from None
    from cdc.replica.load_state import Phase

    with open_state(settings, exclusive=True) as engine:
        held = engine.positions.position
        target, is_new_log = _resolved(start, held, settings)
        if dry_run:
            way = "another log" if is_new_log else _way(engine, held, target)
            say(f"the position would move from {held or 'nowhere'} to {target} ({way}); nothing was moved")
            return
        with engine.store.transaction():
            # A fresh state begins here, and fetches what changes.
            if held is None:
                engine.moves.begin(target, Phase.FETCHING_REFERENCES)
            else:
                # Going back replays; a new log gets an epoch of its own.
                engine.moves.rewind(target, is_new_log=is_new_log, by_gtid=start.kind is StartKind.GTID)
        say(f"position moved from {held} to {target}")


def _way(engine: Engine, held: Position | None, target: Position) -> str:
    if held is None:
        return "the state has none yet"
    here, there = engine.positions.lsn(held), engine.positions.lsn(target)
    if here == there:
        return "the same place"
    return "back: a replay" if there < here else "forward: the changes between are never read"


def _resolved(start: Start, held: Position | None, settings: Settings) -> tuple[Position, bool]:
    """The position on the server, and whether its log is another one than that of ``held``.

    A files source has no server.
    """
    import threading

    from cdc.source.binlog import BinlogSource
    from cdc.startup import is_gone

    # Files have no server that could work out other starts.
    if settings.source.kind == "files":
        if start.position is None or start.kind is not StartKind.FILE_OFFSET:
            raise ConfigError(["POSITION: write a position as binlog.000123:4567"], source="command line")
        return start.position, False
    source = BinlogSource(settings.source, (), stop=threading.Event())
    try:
        return source.resolve(start), held is not None and is_gone(held, source)
    finally:
        source.close()
