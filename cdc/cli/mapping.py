"""``mapping show|accept|push``: what is sent and its sources; create or change what the receiver needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cdc.cli.adopt import adopt
from cdc.cli.common import AsJson, Config, Sets, open_state, print_json, print_table, say, settings_of
from cdc.cli.objects import Objects, one_named
from cdc.errors import CdcError
from cdc.model import Action, ObjectRef, Rendered

if TYPE_CHECKING:
    from cdc.engine.engine import Engine
    from cdc.settings.config import Settings

app = typer.Typer(help="The mapping between the shop and HubSpot.", no_args_is_help=True)
app.command("adopt")(adopt)


@app.command("show")
def show(
    context: typer.Context,
    words: Objects = None,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """List every property: its type, its source, and its name in each sink.

    With an OBJECT: render that object from the state; nothing is sent.
    """
    settings = settings_of(context, config, sets)
    if words:
        _show_object(settings, words, as_json)
    else:
        _show_properties(settings, as_json)


def _show_properties(settings: Settings, as_json: bool) -> None:
    from mappers.mapping import MagentoMapping
    from sinks.registry import SINKS

    mapper = MagentoMapping(settings.mapping)
    columns = ("object", "property", "type", "from", *SINKS)
    rows = []
    for source in mapper.sources:
        treatment = mapper.privacy.treatment(source.object_type, source.name)
        kind = f"{source.type.value}, {treatment}" if treatment else source.type.value
        names = [sink.property_name(settings, source.object_type, source.name) or "-" for sink in SINKS.values()]
        rows.append((source.object_type.value, source.name, kind, source.origin, *names))
    rows.sort(key=lambda row: row[0])
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)


def _show_object(settings: Settings, words: Sequence[str], as_json: bool) -> None:
    with open_state(settings, exclusive=False, only_looks=True) as engine:
        name, refs = one_named(settings, engine, words)
        if not engine.load.is_complete:
            say("the first load is not finished: rows that this object is made of may still be missing")
        rendered = [(ref, made) for ref in refs if (made := _render(settings, engine, ref)) is not None]
    if not rendered:
        raise CdcError(f"{name} does not exist: the state has no rows for it, or mapping.filter leaves it out")
    ref, made = rendered[0]
    for warning in made.warnings:
        say(f"warning: {warning}")
    fields = _fields(ref, made, settings.mapping.namespace)
    if as_json:
        print_json(fields)
        return
    links = [(kind, " ".join(names)) for kind, names in fields["associations"].items()]
    print_table(("property", "value"), [*fields["properties"].items(), *links])


def _render(settings: Settings, engine: Engine, ref: ObjectRef) -> Rendered | None:
    from cdc.cli.rendering import mapper_of
    from cdc.replica.rows import ReplicaRows

    mapper = mapper_of(settings, engine)
    return mapper.render(ref, ReplicaRows(engine.store, mapper.tables))


def _fields(ref: ObjectRef, made: Rendered, namespace: str) -> dict[str, Any]:
    links: dict[str, list[str]] = {}
    for other in made.references:
        links.setdefault(other.object_type.value, []).append(other.external_id(namespace))
    return {
        "object_type": ref.object_type.value,
        "external_id": ref.external_id(namespace),
        "action": Action.UPSERT.value,
        "properties": dict(sorted(made.properties.items())),
        "associations": links,
    }


@app.command("accept")
def accept(
    context: typer.Context,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what the mapping does, accept nothing.")] = False,
) -> None:
    """Accept a changed mapping that would delete or change many objects in HubSpot."""
    settings = settings_of(context, config, sets)

    from cdc.messages import mapping_review

    with open_state(settings, exclusive=False) as engine, engine.store.transaction():
        review = engine.store.meta.mapping_review
        if not review:
            say("no changed mapping waits; nothing to do")
            return
        plan = mapping_review.plan_rows(review)
        if not dry_run:
            mapping_review.accept(engine.store)
    if as_json:
        print_json(plan)
    else:
        effects = ("same", "changed", "deleted", "failed")
        print_table(("object", *effects), [(kind, *(found[one] for one in effects)) for kind, found in plan.items()])
    say(mapping_review.plan_text(review))
    if not dry_run:
        say("accepted; a running daemon goes on within a second, otherwise the next run does")


@app.command("push")
def push(
    context: typer.Context,
    config: Config = None,
    sets: Sets = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, change nothing.")] = False,
) -> None:
    """Prepare the receiver: install, settings, properties, whatever the sink needs."""
    import asyncio

    from cdc.clock import SystemClock
    from cdc.delivery.permits import StandaloneRequests
    from cdc.protocols import SinkSetup
    from sinks.registry import make_sink

    settings = settings_of(context, config, sets)

    async def pushed() -> list[str]:
        sink = make_sink(settings)
        if not isinstance(sink, SinkSetup):
            return [f"{sink.traits.name} needs no mapping; nothing to do"]
        try:
            return list(await sink.push_mapping(StandaloneRequests(sink.traits, SystemClock()), dry_run=dry_run))
        finally:
            await sink.close()

    for line in asyncio.run(pushed()) or ["nothing to do"]:
        say(line)
