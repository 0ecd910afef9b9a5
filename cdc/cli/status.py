"""``status``: the running daemon's status; without a daemon, what the state holds."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cdc.cli.common import AsJson, Config, Sets, begin_log_late, open_state, print_json, print_table, say, settings_of

if TYPE_CHECKING:
    from cdc.settings.config import Settings

TIMEOUT_S = 3.0
WATCH_S = 2.0


def status(
    context: typer.Context,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds, until Ctrl-C.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 1 if no daemon answers, or it is not ready; for scripts.")
    ] = False,
) -> None:
    """Show lag, position, queue, outbox and what delivery is doing."""
    settings = settings_of(context, config, sets, has_log=False)  # a daemon's answer needs none
    if watch:
        _watch(settings)
        return
    daemon = _show(settings, as_json)
    if exit_code and not (daemon and daemon.get("ready") is True):
        raise typer.Exit(1)


def _watch(settings: Settings) -> None:
    from rich.live import Live
    from rich.table import Table

    with contextlib.suppress(KeyboardInterrupt), Live(refresh_per_second=4) as live:
        while True:
            held = of_daemon(settings)
            table = Table("what", "value", title=f"{datetime.now(UTC):%H:%M:%S} UTC", title_justify="left", box=None)
            for name, value in _flat("", held) if held else [("daemon", "none answers on web.host and web.port")]:
                table.add_row(name, str(value))
            live.update(table)
            time.sleep(WATCH_S)


def _show(settings: Settings, as_json: bool) -> dict[str, Any] | None:
    """Print the status. Returns the daemon's answer, None if no daemon answers."""
    daemon = of_daemon(settings)
    held = daemon
    if held is None:
        say("no daemon answers on web.host and web.port; this is what the state folder holds")
        held = _of_state(settings)
    if as_json:
        print_json(held)
    else:
        print_table(("what", "value"), list(_flat("", held)))
    return daemon


def of_daemon(settings: Settings) -> dict[str, Any] | None:
    """The status of the daemon on ``web.host`` and ``web.port``; None if no daemon answers."""
    host = "127.0.0.1" if settings.web.host in ("0.0.0.0", "::") else settings.web.host  # noqa: S104  # compared
    try:
        # HTTP_PROXY leads to HubSpot, and cannot lead to the daemon beside us
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"http://{host}:{settings.web.port}/status", timeout=TIMEOUT_S) as answer:
            document: dict[str, Any] = json.loads(answer.read())
            return document
    except (urllib.error.URLError, OSError, ValueError):
        return None


def _of_state(settings: Settings) -> dict[str, Any]:
    begin_log_late(settings)
    from cdc.messages import dead_letters, outbox, render_queue

    with open_state(settings, exclusive=False, only_looks=True) as engine:
        return {
            "position": str(engine.positions.position or ""),
            "complete": engine.load.is_complete,
            "waiting": render_queue.counts(engine.store),
            "outbox": outbox.counts(engine.store),
            "dead_letters": dead_letters.count(engine.store),
        }


def _flat(prefix: str, value: Any) -> list[tuple[str, object]]:
    """Lines for people: one per value, lists with one per entry; empty values are not shown."""
    if isinstance(value, list):
        named = [(prefix if len(value) == 1 else f"{prefix}.{at}", below) for at, below in enumerate(value, 1)]
        return [line for name, below in named for line in _flat(name, below)]
    if isinstance(value, dict):
        return [
            line for key, below in value.items() for line in _flat(f"{prefix}.{key}" if prefix else str(key), below)
        ]
    # Before the numbers: True is also an int, and "1" would say nothing.
    if isinstance(value, bool):
        return [(prefix, "yes" if value else "no")]
    return [] if value is None or value == "" else [(prefix, value)]
