"""``deadletter list|show|retry|drop``: messages set aside for good, and records of topics that could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cdc.cli.common import AsJson, Config, Sets, open_state, print_json, print_table, record_of, say, settings_of
from cdc.errors import ConfigError
from cdc.model import BadRecord, ObjectRef, parse_external_id
from cdc.settings.config import Settings

if TYPE_CHECKING:
    from cdc.messages.dead_letters import DeadLetter

app = typer.Typer(help="Messages set aside for good: why, and what to do with them.", no_args_is_help=True)

Object = Annotated[str, typer.Argument(help="Object, e.g. magento-order-42 or order-42.", metavar="OBJECT")]
Objects = Annotated[list[str] | None, typer.Argument(help="Objects.", metavar="OBJECT...")]
Names = Annotated[
    list[str] | None, typer.Argument(help="Objects, or records as TOPIC/PARTITION/OFFSET.", metavar="NAME...")
]
Everything = Annotated[bool, typer.Option("--all", help="All of them.")]


def _ref(settings: Settings, text: str) -> ObjectRef:
    try:
        return parse_external_id(text, settings.mapping.namespace)
    except ValueError as error:
        raise ConfigError([str(error)], source="command line") from None


def _record_fields(record: BadRecord, at_ms: int) -> dict[str, Any]:
    at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
    return {"record": record.name, **record._asdict(), "at": at}


def _fields(letter: DeadLetter, settings: Settings, record: Mapping[str, str]) -> dict[str, Any]:
    """All of a letter, with its record, and with advice where the sink has some for the reason."""
    from sinks.registry import entry_of

    namespace = settings.mapping.namespace
    fields = letter.as_dict(namespace) | dict(record)
    advice = entry_of(settings).traits(settings).advice.get(letter.reason, "")
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
    if as_json:
        print_json([*(_fields(letter, settings, links[letter.ref]) for letter in letters), *records])
        return
    if letters:
        shown = [links[x.ref].get("record_link") or links[x.ref].get("record_id", "") for x in letters]
        rows = [
            (x.ref.external_id(namespace), x.at, x.action.value, x.reason, record, x.detail)
            for x, record in zip(letters, shown, strict=True)
        ]
        print_table(("object", "since", "action", "reason", "record", "detail"), rows)
    if records:
        print_table(("record", "since", "reason"), [(x["record"], x["at"], x["reason"]) for x in records])
    if not letters and not records:
        say("no dead letters")


@app.command("show")
def show(
    context: typer.Context, name: Object, config: Config = None, sets: Sets = None, as_json: AsJson = False
) -> None:
    """All that is known of one."""
    from cdc.messages import dead_letters

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False, only_looks=True) as engine:
        letter = dead_letters.show(engine.store, _ref(settings, name))
        record = record_of(settings, engine.store, letter.ref) if letter is not None else {}
    if letter is None:
        raise ConfigError([f"{name} has no dead letter; `magento-cdc deadletter list` names the objects that have one"])
    fields = _fields(letter, settings, record)
    if as_json:
        print_json(fields)
    else:
        print_table(("what", "value"), list(fields.items()))


@app.command("retry")
def retry(
    context: typer.Context,
    names: Objects = None,
    everything: Everything = False,
    config: Config = None,
    sets: Sets = None,
) -> None:
    """Render objects afresh and send their newest state."""
    from cdc.messages import dead_letters

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False) as engine, engine.store.transaction():
        refs = _chosen(settings, names, everything, [x.ref for x in dead_letters.list_all(engine.store)])
        done = [ref for ref in refs if dead_letters.retry(engine.store, ref)]
    if done:
        say(f"{len(done)} will be rendered and sent again; a running daemon begins within a second")
    else:
        say("no dead letters; nothing to do")


@app.command("drop")
def drop(
    context: typer.Context,
    names: Names = None,
    everything: Everything = False,
    config: Config = None,
    sets: Sets = None,
) -> None:
    """Forget dead letters and unread records. HubSpot keeps what it last accepted of the objects until they change."""
    from cdc.messages import dead_letters
    from cdc.replica import feeds

    settings = settings_of(context, config, sets)
    with open_state(settings, exclusive=False) as engine, engine.store.transaction():
        store = engine.store
        held = {record.name: record for record, _ in feeds.bad_records(store)}
        named = [name for name in names or () if "/" in name]
        missing = [name for name in named if name not in held]
        if missing:
            raise ConfigError([f"no record {name} was set aside" for name in missing], source="command line")
        objects = [name for name in names or () if "/" not in name]
        refs: list[ObjectRef] = []
        if everything or objects or not named:
            refs = _chosen(settings, objects, everything, [x.ref for x in dead_letters.list_all(store)])
        lines = [dead_letters.drop(store, ref, settings.mapping.namespace) for ref in refs]
        for name in held if everything else named:
            feeds.drop_bad(store, held[name])
            lines.append(f"{name}: forgotten; its row stays as it was before this record until the row changes again")
    for line in lines or ["no dead letters; nothing to do"]:
        say(line)


def _chosen(settings: Settings, names: list[str] | None, everything: bool, held: list[ObjectRef]) -> list[ObjectRef]:
    if everything:
        return held
    if not names:
        raise ConfigError(["name the objects, or give --all"], source="command line")
    refs = [_ref(settings, name) for name in names]
    missing = [ref.external_id(settings.mapping.namespace) for ref in refs if ref not in held]
    if missing:
        raise ConfigError([f"{name} has no dead letter" for name in missing], source="command line")
    return refs
