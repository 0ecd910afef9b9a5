"""``deadletter list|show|retry|drop``: dead letters, and records of topics that could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cdc.cli.common import (
    AsJson,
    Config,
    Sets,
    Yes,
    confirmed,
    open_state,
    print_json,
    print_table,
    record_of,
    say,
    settings_of,
)
from cdc.cli.objects import Objects, OneObject, one_named, those_in
from cdc.clock import iso_ms, iso_s
from cdc.errors import CdcError, ConfigError

if TYPE_CHECKING:
    from cdc.engine.engine import Engine
    from cdc.messages.dead_letters import DeadLetter
    from cdc.model import BadRecord, ObjectRef
    from cdc.settings.config import Settings

app = typer.Typer(help="Messages set aside for good: why, and what to do with them.", no_args_is_help=True)

Names = Annotated[
    list[str] | None, typer.Argument(help="Objects, or records as TOPIC/PARTITION/OFFSET.", metavar="NAME...")
]
Reason = Annotated[
    str | None, typer.Option(help="Those with this reason, as `deadletter list` shows it.", metavar="REASON")
]
Everything = Annotated[bool, typer.Option("--all", help="All of them.")]


def _record_fields(record: BadRecord, at_ms: int) -> dict[str, Any]:
    at = iso_s(at_ms)
    return {"record": record.name, **record._asdict(), "at": at}


def _fields(letter: DeadLetter, settings: Settings, record: Mapping[str, str]) -> dict[str, Any]:
    """All fields of a dead letter, with its record, and with advice if there is any for the reason."""
    from sinks.registry import entry_of

    namespace = settings.mapping.namespace
    fields = letter.as_dict(namespace) | dict(record)
    advice = letter.advice(namespace, entry_of(settings).traits(settings).advice)
    return fields | ({"advice": advice} if advice else {})


@app.command("list")
def list_letters(context: typer.Context, config: Config = None, sets: Sets = None, as_json: AsJson = False) -> None:
    """One line each: object or record of a topic, since when, reason."""
    from cdc.messages import dead_letters
    from cdc.replica import feeds

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False, only_looks=True) as engine:
        letters = dead_letters.list_all(engine.store)
        links = {letter.ref: record_of(settings, engine.store, letter.ref) for letter in letters}
        records = [_record_fields(record, at_ms) for record, at_ms in feeds.bad_records(engine.store)]
    namespace = settings.mapping.namespace
    # Machines get one list of both sorts.
    if as_json:
        print_json([*(_fields(letter, settings, links[letter.ref]) for letter in letters), *records])
        return
    # Letters and records have different columns, so each sort has a table of its own.
    if letters:
        shown = [links[x.ref].get("record_link") or links[x.ref].get("record_id", "") for x in letters]
        rows = [
            (x.ref.external_id(namespace), x.at, x.action.value, x.reason, record, x.detail)
            for x, record in zip(letters, shown, strict=True)
        ]
        print_table(("object", "since", "action", "reason", "record", "detail"), rows)
    if records:
        print_table(("record", "since", "reason"), [(x["record"], x["at"], x["reason"]) for x in records])
    # Said on stderr: an empty table on stdout would look like a fault.
    if not letters and not records:
        say("no dead letters")


@app.command("show")
def show(
    context: typer.Context, words: OneObject, config: Config = None, sets: Sets = None, as_json: AsJson = False
) -> None:
    """Show everything that is known of one dead letter or record."""
    from cdc.messages import dead_letters

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False, only_looks=True) as engine:
        name, refs = one_named(settings, engine, words)
        letter = next(filter(None, (dead_letters.show(engine.store, ref) for ref in refs)), None)
        record = record_of(settings, engine.store, letter.ref) if letter is not None else {}
    # The object may have been accepted since the operator looked.
    if letter is None:
        raise CdcError(
            f"{name} has no dead letter", hint="`magento-cdc deadletter list` names the objects that have one"
        )
    fields = _fields(letter, settings, record)
    if as_json:
        print_json(fields)
    else:
        shown = fields | {"changed_at": iso_ms(letter.changed_at)}
        print_table(("what", "value"), list(shown.items()))


@app.command("retry")
def retry(
    context: typer.Context,
    names: Objects = None,
    everything: Everything = False,
    reason: Reason = None,
    config: Config = None,
    sets: Sets = None,
) -> None:
    """Render objects again and send their newest state."""
    from cdc.messages import dead_letters

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False) as engine, engine.store.transaction():
        refs = _chosen(settings, engine, names, everything, reason)
        done = [ref for ref in refs if dead_letters.retry(engine.store, ref)]
    # The daemon looks for such requests every second.
    if done:
        say(f"{len(done)} will be rendered and sent again; a running daemon begins within a second")
    else:
        say("no dead letters; nothing to do")


@app.command("drop")
def drop(
    context: typer.Context,
    names: Names = None,
    everything: Everything = False,
    reason: Reason = None,
    yes: Yes = False,
    config: Config = None,
    sets: Sets = None,
) -> None:
    """Remove dead letters and unread records. HubSpot keeps the objects' last accepted versions until they change."""
    from cdc.messages import dead_letters
    from cdc.replica import feeds

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False) as engine, engine.store.transaction():
        store = engine.store
        held = {record.name: record for record, _ in feeds.bad_records(store)}
        named = _named_records(names, held)
        objects = [name for name in names or () if "/" not in name]
        refs: list[ObjectRef] = []
        # Without names ``_chosen`` asks for them; with records alone no object is meant.
        if everything or objects or reason or not named:
            refs = _chosen(settings, engine, objects, everything, reason)
        records = [*held] if everything else named
        if everything and not confirmed(f"forget {len(refs)} dead letters and {len(records)} records?", yes=yes):
            raise typer.Abort
        lines = [dead_letters.drop(store, ref, settings.mapping.namespace) for ref in refs]
        for name in records:
            feeds.drop_bad(store, held[name])
            lines.append(f"{name}: forgotten; its row stays as it was before this record until the row changes again")
    for line in lines or ["no dead letters; nothing to do"]:
        say(line)


def _named_records(names: list[str] | None, held: Mapping[str, BadRecord]) -> list[str]:
    """The records of topics among the names: only their names have a slash. CdcError for a record that is not held."""
    named = [name for name in names or () if "/" in name]
    missing = [name for name in named if name not in held]
    # Nothing is dropped if one of the names is wrong.
    if missing:
        raise CdcError(f"no record {', '.join(missing)} was set aside")
    return named


def _chosen(
    settings: Settings, engine: Engine, names: list[str] | None, everything: bool, reason: str | None
) -> list[ObjectRef]:
    """The objects whose dead letters are meant: all, those with a reason, or the named ones; only one of
    these at a time.
    """
    from cdc.messages import dead_letters

    letters = dead_letters.list_all(engine.store)
    if sum((everything, reason is not None, bool(names))) != 1:
        raise ConfigError(["name the objects, or give --reason or --all"], source="command line")
    if names:
        return those_in(settings, engine, names, [x.ref for x in letters], "has no dead letter")
    found = [x.ref for x in letters if everything or x.reason == reason]
    if reason is not None and not found:
        raise CdcError(f"no dead letter has the reason {reason}", hint="`magento-cdc deadletter list` shows reasons")
    return found
