"""``deletes list|release``: deletions held by the circuit breaker (delivery.max_deletes_per_hour)."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cdc.cli.common import (
    AsJson,
    Config,
    Sets,
    Yes,
    open_state,
    print_json,
    print_table,
    say,
    settings_of,
)
from cdc.cli.objects import Objects, those_in
from cdc.clock import iso_ms
from cdc.errors import CdcError, ConfigError

if TYPE_CHECKING:
    from cdc.engine.engine import Engine
    from cdc.model import ObjectRef
    from cdc.settings.config import Settings

app = typer.Typer(help="Deletions held because there were too many at once.", no_args_is_help=True)

COLUMNS = ("object", "type", "since", "position")


@app.command("list")
def list_held(context: typer.Context, config: Config = None, sets: Sets = None, as_json: AsJson = False) -> None:
    """List every object whose deletion is held, oldest first: type, since when, and where in the log it was deleted."""
    from cdc.delivery import circuit_breaker

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False, only_looks=True) as engine:
        held = circuit_breaker.held(engine.store)
    namespace = settings.mapping.namespace
    rows = [
        (one.ref.external_id(namespace), one.ref.object_type.value, iso_ms(one.rendered_ms), one.position)
        for one in held
    ]
    if as_json:
        print_json([dict(zip(COLUMNS, row, strict=True)) for row in rows])
    elif not rows:
        say("no deletions are held")
    else:
        print_table(COLUMNS, rows)
        say(f"{_by_type(row[1] for row in rows)}: deleted in the shop, or left out by mapping.filter since then")


@app.command("release")
def release(
    context: typer.Context,
    names: Objects = None,
    kind: Annotated[
        str | None, typer.Option("--type", help="Of this type only: contact, product, deal, line_item ...")
    ] = None,
    count: Annotated[
        int | None, typer.Option(help="Go on only if exactly so many are held; for scripts.", metavar="N", min=0)
    ] = None,
    config: Config = None,
    sets: Sets = None,
    yes: Yes = False,
) -> None:
    """Release held deletions: all, one type, or objects by name. On a terminal their number must be typed first.

    Look at `deletes list` before: a wrong database looks just like a mass deletion.
    """
    from cdc.clock import SystemClock
    from cdc.delivery import circuit_breaker

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False) as engine, engine.store.transaction():
        held = [one.ref for one in circuit_breaker.held(engine.store)]
        chosen = _chosen(settings, engine, held, names, kind)
        # What is held may have grown since somebody looked, and a deletion cannot be taken back.
        if count is not None and count != len(chosen):
            raise CdcError(
                f"{len(chosen)} deletions are held, not {count}: nothing was released",
                hint="look at `magento-cdc deletes list` again",
            )
        if chosen and not yes:
            _ask_for_count(chosen)
        is_all = not names and kind is None
        done = circuit_breaker.release(engine.store, SystemClock().now_ms(), None if is_all else chosen)
    say(f"{done} deletions released; a running daemon sends them within seconds")


def _chosen(
    settings: Settings, engine: Engine, held: Sequence[ObjectRef], names: list[str] | None, kind: str | None
) -> Sequence[ObjectRef]:
    """The held objects that are meant. ConfigError for an unknown type; CdcError if none of them is held."""
    from mappers.finding import WORDS

    # Both at once could mean either of two things.
    if names and kind is not None:
        raise ConfigError(["name the objects, or give --type; not both"], source="command line")
    if names:
        return those_in(settings, engine, names, held, "no deletion of it is held")
    if kind is None:
        return held
    if kind.lower() not in WORDS:
        raise ConfigError([f"--type {kind}: write one of {', '.join(WORDS)}"], source="command line")
    found = [ref for ref in held if ref.kind in WORDS[kind.lower()]]
    # Nothing is released by a word that nothing goes by.
    if not found:
        raise CdcError(f"no deletion of a {kind} is held", hint="`magento-cdc deletes list` shows what is held")
    return found


def _ask_for_count(chosen: Sequence[ObjectRef]) -> None:
    """On a terminal the number must be typed: a yes is typed too easily. A script is not asked."""
    if not _is_terminal():
        return
    counted = _by_type(ref.object_type.value for ref in chosen)
    answer = typer.prompt(f"this deletes {counted} in HubSpot; type the number of deletions to go on")
    if answer.strip().replace(",", "") != str(len(chosen)):
        say(f"{len(chosen)} are held: nothing was released")
        raise typer.Abort


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _by_type(types: Iterable[str]) -> str:
    """``3 DEAL, 7 LINE_ITEM``."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(types).items()))
