"""``status``: what the running daemon says of itself; without one, what its state holds."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import typer

from cdc.cli.common import AsJson, Config, Sets, open_state, print_json, print_table, say, settings_of
from cdc.settings.config import Settings

TIMEOUT_S = 3.0


def status(context: typer.Context, config: Config = None, sets: Sets = None, as_json: AsJson = False) -> None:
    """Show lag, position, queue, outbox and what delivery is doing."""
    settings = settings_of(context, config, sets)
    held = _of_daemon(settings)
    if held is None:
        say("no daemon answers on web.host and web.port; this is what the state folder holds")
        held = _of_state(settings)
    if as_json:
        print_json(held)
    else:
        print_table(("what", "value"), list(_flat("", held)))


def _of_daemon(settings: Settings) -> dict[str, Any] | None:
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
    """Lines for a person: one a value, lists with one a member; what has no value is not shown."""
    if isinstance(value, list):
        named = [(prefix if len(value) == 1 else f"{prefix}.{at}", below) for at, below in enumerate(value, 1)]
        return [line for name, below in named for line in _flat(name, below)]
    if isinstance(value, dict):
        return [
            line for key, below in value.items() for line in _flat(f"{prefix}.{key}" if prefix else str(key), below)
        ]
    if isinstance(value, bool):
        return [(prefix, "yes" if value else "no")]
    return [] if value is None or value == "" else [(prefix, value)]
