"""``state backup|check|compact``: a copy while the daemon runs, a check for damage, and free disk space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdc.cli.common import AsJson, Config, Sets, open_state, print_json, print_table, say, settings_of
from cdc.errors import CdcError, ConfigError, StateError

app = typer.Typer(help="The state folder: copy it, look for damage, give disk back.", no_args_is_help=True)


@app.command("backup")
def backup(
    context: typer.Context,
    to: Annotated[Path, typer.Argument(help="The file to write; it must not exist.", metavar="FILE")],
    config: Config = None,
    sets: Sets = None,
) -> None:
    """Copy the state as it is at one moment, even while the daemon runs. The copy holds customers' data.

    To go back to it: stop the daemon, put the file into an empty state folder as state.sqlite3, start.
    """
    from cdc.state.copies import STATE_FILE, copy_state

    settings = settings_of(context, config, sets)
    held = settings.state.dir / STATE_FILE
    if not held.exists():
        raise ConfigError([f"state.dir = {str(settings.state.dir)!r}: there is no state yet"])
    if to.exists():
        raise ConfigError([f"{to} is there already; name another file"], source="command line")
    if not to.absolute().parent.is_dir():
        raise ConfigError([f"{to.absolute().parent} is no folder"], source="command line")
    try:
        copy_state(held, to)
    except BaseException:
        to.unlink(missing_ok=True)  # half a copy would look like a whole one
        raise
    say(f"{to}: {to.stat().st_size / 1e6:.1f} MB, for its owner's eyes alone")


@app.command("check")
def check(context: typer.Context, config: Config = None, sets: Sets = None, as_json: AsJson = False) -> None:
    """Read the whole state file and look for damage; exits 1 if there is any. Takes minutes for gigabytes."""
    from cdc.messages import dead_letters, outbox, sent_versions
    from cdc.state.copies import disk_use
    from cdc.state.migrations import SCHEMA_VERSION
    from cdc.state.upkeep import damage

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False, only_looks=True) as engine:
        found = damage(engine.store)
        if found:
            raise StateError(
                f"state folder {settings.state.dir} is damaged: {'; '.join(found)}",
                hint="put a backup in its place, or remove it to import the store afresh",
            )
        use = disk_use(settings.state.dir)
        fields = {
            "damage": "none",
            "layout": SCHEMA_VERSION,
            "position": str(engine.positions.position or ""),
            "objects": sent_versions.size(engine.store),
            "outbox": outbox.counts(engine.store)["total"],
            "dead_letters": dead_letters.count(engine.store),
            **use._asdict(),
        }
    if as_json:
        print_json(fields)
    else:
        print_table(("what", "value"), list(fields.items()))


@app.command("compact")
def compact(context: typer.Context, config: Config = None, sets: Sets = None) -> None:
    """Rewrite the state file without its empty pages. The daemon must be stopped; needs as much free disk again."""
    from cdc.state.copies import disk_use
    from cdc.state.upkeep import compact as rewrite

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=True) as engine:
        before = disk_use(settings.state.dir)
        size = before.state_bytes + before.wal_bytes
        if before.free_bytes < 2 * size:
            raise CdcError(
                f"{before.free_bytes / 1e6:.0f} MB are free on the disk of {settings.state.dir}, and rewriting"
                f" {size / 1e6:.0f} MB may need {2 * size / 1e6:.0f} MB",
                hint="free some disk space, or give the state a bigger volume",
            )
        rewrite(engine.store)
    after = disk_use(settings.state.dir)
    say(f"{size / 1e6:.1f} MB before, {(after.state_bytes + after.wal_bytes) / 1e6:.1f} MB now")
