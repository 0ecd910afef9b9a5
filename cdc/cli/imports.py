"""``import``: read and send the shop's history, for the first time or again, with a running daemon or without."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cdc.cli.common import AsJson, Config, Sets, open_state, print_json, print_table, run_in_loop, say, settings_of
from cdc.errors import ConfigError
from cdc.model import OBJECT_TYPE, parse_external_id

if TYPE_CHECKING:
    from cdc.engine.engine import Engine
    from cdc.engine.import_job import Selection
    from cdc.settings.config import Settings

app = typer.Typer(help="Send the shop's history, or parts of it again, while live changes go on.")

EVERYTHING = "contacts,products,deals,carts"
Objects = Annotated[str, typer.Option(help="Which types, parted by commas: contacts, products, deals, carts.")]
Since = Annotated[
    str | None,
    typer.Option(
        help="Orders placed since this day (UTC), with the customers and products they refer to.", metavar="DATE"
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(help="A condition on a mapped column of the main table, e.g. status=complete. May be repeated."),
]
Ids = Annotated[list[str] | None, typer.Option("--ids", help="These objects, e.g. order-42. May be repeated.")]


@app.callback(invoke_without_command=True)
def import_(
    context: typer.Context,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
    objects: Objects = EVERYTHING,
    since: Since = None,
    where: Where = None,
    ids: Ids = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Read the tables of the chosen types again, and send what differs, deletions included."
        ),
    ] = False,
    resend: Annotated[bool, typer.Option("--resend", help="Send also what equals what HubSpot holds.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, do nothing.")] = False,
) -> None:
    """Render the chosen objects from the shop's rows, and send those that HubSpot does not have.

    A running daemon begins with the request within a second. Without a daemon the import runs here, until all is sent.
    """
    if context.invoked_subcommand is not None:
        context.obj = {**(context.find_root().obj or {}), **({"config": config} if config else {})}
        return
    from cdc.state.copies import has_state
    from cdc.state.store import is_in_use

    settings = settings_of(context, config, sets)
    selection = _selection(settings, objects, since, where, ids, resend=resend)
    is_narrowed = since is not None or where or ids or resend
    if repair and is_narrowed:
        fault = "--repair reads whole tables again; it goes with none of --since, --where, --ids, --resend"
        raise ConfigError([fault], source="command line")
    if not has_state(settings.state.dir):
        _first_load(settings, dry_run=dry_run, as_json=as_json)
        return
    if dry_run:
        _say_selected(settings, selection, as_json)
        return
    _ask(settings, selection, repair=repair)
    if is_in_use(settings.state.dir):
        say("asked for; the running daemon begins within a second. `magento-cdc import status` tells how far it is")
        return
    _run(settings)


def _selection(
    settings: Settings, objects: str, since: str | None, where: list[str] | None, ids: list[str] | None, *, resend: bool
) -> Selection:
    from cdc.engine.import_job import Selection, parse_condition, types_of

    try:
        types = types_of([word.strip() for word in objects.split(",") if word.strip()])
        since_ms = int(datetime.fromisoformat(since).replace(tzinfo=UTC).timestamp() * 1000) if since else None
        conditions = tuple(parse_condition(text) for text in where or ())
        names = tuple(
            parse_external_id(text, settings.mapping.namespace).external_id(settings.mapping.namespace)
            for text in ids or ()
        )
    except ValueError as error:
        raise ConfigError([str(error)], source="command line") from None
    _require_columns(settings, types, [one.column for one in conditions])
    return Selection(types, since_ms, conditions, names, resend)


def _require_columns(settings: Settings, types: tuple[str, ...], columns: list[str]) -> None:
    """Refuse a column that no chosen type's main table has: it would choose no object, without any message."""
    from cdc.settings.faults import nearest
    from mappers.history import MAIN_TABLE
    from mappers.mapping import MagentoMapping

    if not columns:
        return
    specs = {spec.name: spec for spec in MagentoMapping(settings.mapping).tables}
    tables = {table for kind, table in MAIN_TABLE.items() if OBJECT_TYPE[kind].value in types}
    tables &= specs.keys()  # without the setting no table of carts is read
    known = {column for table in tables for column in specs[table].columns}
    for column in columns:
        if column not in known:
            raise ConfigError([f"--where: {column} is no mapped column of {', '.join(sorted(tables))}"
                               f"{nearest(column, known)}"], source="command line")  # fmt: skip


def _first_load(settings: Settings, *, dry_run: bool, as_json: bool) -> None:
    """There is no state yet: the import is the first load."""
    from cdc.first_load import plan_of

    plan = plan_of(settings)
    if as_json:
        print_json(plan.as_dict())
    else:
        for line in plan.lines():
            say(line)
    if not dry_run:
        _run(settings)


def _say_selected(settings: Settings, selection: Selection, as_json: bool) -> None:
    from cdc.messages.digests import Effect

    counts: dict[str, dict[str, int]] = {}
    with open_state(settings, exclusive=False, only_looks=True) as engine:
        for kind, effect in _effects(settings, engine, selection):
            by_effect = counts.setdefault(kind, {"new": 0, **dict.fromkeys((one.value for one in Effect), 0)})
            by_effect[effect] += 1
    if as_json:
        print_json(counts)
        return
    columns = ("new", "changed", "deleted", "same", "failed")
    print_table(("object", *columns), [(kind, *(found[one] for one in columns)) for kind, found in counts.items()])
    say(
        "this was a dry run: nothing was asked for"
        + ("; --resend sends what is the same, too" if selection.resend else "")
    )


def _effects(settings: Settings, engine: Engine, selection: Selection) -> list[tuple[str, str]]:
    """(type, effect) of each chosen object; ``new`` for an object that was never sent to HubSpot."""
    from cdc.engine.import_job import refs_of
    from cdc.messages import sent_versions
    from cdc.messages.digests import Effect
    from cdc.sink_output import render_for
    from sinks.registry import entry_of

    render_for(engine, entry_of(settings).traits(settings))
    found = []
    for ref in refs_of(engine.parts, selection, settings.mapping.namespace):
        effect = engine.renderer.effect(ref)
        is_known = sent_versions.sent_side(engine.store, ref).is_held
        if is_known or effect is Effect.CHANGED:
            found.append((ref.object_type.value, effect.value if is_known else "new"))
    return found


def _ask(settings: Settings, selection: Selection, *, repair: bool) -> None:
    from cdc.engine import import_job

    with open_state(settings, exclusive=False) as engine, engine.store.transaction():
        if repair:
            meta = engine.store.meta
            meta.repair_types = [*dict.fromkeys([*meta.repair_types, *selection.types])]  # an earlier request stays
        elif not import_job.ask(engine.store, selection, settings.mapping.namespace):
            raise ConfigError(
                ["another import is under way; `magento-cdc import status` tells how far, `import stop` ends it"],
                source="command line",
            )


def _run(settings: Settings) -> None:
    """No daemon is running: do the import here."""
    from cdc.daemon import RunOptions
    from cdc.sink_output import run_daemon

    raise typer.Exit(run_in_loop(run_daemon(settings, RunOptions(until_end=True))))


# --------------------------------------------------------------------------------------------- while it runs


@app.command("pause")
def pause(context: typer.Context, config: Config = None, sets: Sets = None) -> None:
    """Read no table and send no history until `import resume`; live changes go on. The pause outlasts restarts."""
    _set_paused(context, config, sets, is_paused=True)
    say("paused; live changes go on")


@app.command("resume")
def resume(context: typer.Context, config: Config = None, sets: Sets = None) -> None:
    """Go on after `import pause`."""
    _set_paused(context, config, sets, is_paused=False)
    say("a running daemon goes on within a second")


def _set_paused(context: typer.Context, config: Any, sets: Any, *, is_paused: bool) -> None:
    from cdc.engine import import_job

    with open_state(settings_of(context, config, sets), exclusive=False) as engine, engine.store.transaction():
        import_job.pause(engine.store, is_paused=is_paused)


@app.command("stop")
def stop(context: typer.Context, config: Config = None, sets: Sets = None) -> None:
    """End the import, or withhold what a first load has not sent yet. A repair can only be paused."""
    from cdc.engine import import_job
    from cdc.messages import history_stop

    settings = settings_of(context, config, sets)
    # Members share the sending, and each would have to take the same messages back.
    is_member = settings.source.kind == "kafka"
    with open_state(settings, exclusive=False) as engine, engine.store.transaction():
        is_ended = import_job.stop(engine.store)
        is_load_stopped = not is_member and history_stop.ask(engine.store)
    if is_ended:
        say("the import is stopped; what it rendered is sent" + (", unless it is history" if is_load_stopped else ""))
    if is_load_stopped:
        say("the first load is stopped: what is not sent yet is withheld, and sent when it changes, or by"
            " `magento-cdc import`. Tables are read to the end, because live changes need their rows")  # fmt: skip
    if not (is_ended or is_load_stopped):
        say("no import or first load is under way here; nothing to do")


@app.command("status")
def status(context: typer.Context, config: Config = None, sets: Sets = None, as_json: AsJson = False) -> None:
    """Show the progress of the import and of the first load."""
    from cdc.engine import import_job, load_progress
    from cdc.messages import outbox, render_queue

    with open_state(settings_of(context, config, sets), exclusive=False, only_looks=True) as engine:
        store = engine.store
        first = load_progress.progress(engine, render_queue.counts(store), outbox.counts(store))
        found = {**import_job.status(store), "first_load": first}
    if as_json:
        print_json(found)
        return
    first_load: Any = found["first_load"]
    rows = [("import", "under way" if found["is_open"] else "none"), ("paused", "yes" if found["is_paused"] else "no")]
    rendered: Any = found["rendered"]
    rows += [(f"rendered {kind}", f"{count:,}") for kind, count in rendered.items()]
    if first_load["phase"]:
        rows.append(("first load", first_load["phase"]))
        rows += [(name, f"{one['done']:,} of {one['expected']:,}") for name, one in first_load["tables"].items()]
        rows += [(name, f"{one['done']:,} of {one['expected']:,}") for name, one in first_load["objects"].items()]
    print_table(("what", "value"), rows)
