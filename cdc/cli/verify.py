"""``verify``: reads records back, compares them with the shop's objects, and asks for repairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cdc.cli.common import AsJson, Config, Sets, open_state, print_json, print_table, say, settings_of
from cdc.cli.objects import chosen_types
from cdc.errors import ConfigError
from cdc.model import OBJECT_TYPE, Comparison, Drift, Kind, ObjectType

if TYPE_CHECKING:
    from cdc.engine.engine import Engine
    from cdc.messages.verification import Expected
    from cdc.protocols import Requests, SinkReader
    from cdc.settings.config import Settings

PAGE: Final = 100
"""Objects compared at once: one call reads so many records."""

SHARE: Final = 0.2
"""The share of the quota that ``verify`` uses, as a daemon may be sending at the same time."""

WORDS: Final = {
    "contacts": ObjectType.CONTACT,
    "products": ObjectType.PRODUCT,
    "deals": ObjectType.DEAL,
    "line_items": ObjectType.LINE_ITEM,
    "carts": ObjectType.CART,
}


def verify(
    context: typer.Context,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
    objects: Annotated[
        str, typer.Option(help="Which types, parted by commas: contacts, products, deals, line_items, carts.")
    ] = ",".join(WORDS),
    sample: Annotated[int, typer.Option(min=1, help="Objects of each kind, drawn by lot.")] = 500,
    everything: Annotated[
        bool, typer.Option("--all", help="All objects, and records with our key that the shop does not have.")
    ] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Send what differs through the ordinary lanes.")] = False,
    show_values: Annotated[
        bool, typer.Option("--show-values", help="Show both values of what differs, personal data among them.")
    ] = False,
) -> None:
    """Compare the receiver's records with the shop's objects.

    Exits 1 if anything differs. Records that people merged are listed, and are not a difference. Works beside a running
    daemon.
    """
    import asyncio

    settings = settings_of(context, config, sets)
    kinds = chosen_types(objects, WORDS)
    with open_state(settings, exclusive=False, only_looks=not repair) as engine:
        found = asyncio.run(_verify(settings, engine, kinds, None if everything else sample))
        drifts = [one for one in found if one.drift is not Drift.EQUAL]
        repaired = _repair(settings, engine, drifts) if repair else 0
    counts = Counter(one.drift for one in found)
    if as_json:
        print_json(_document(counts, drifts, show_values))
    else:
        print_table(("class", "objects"), [(drift.value, counts[drift]) for drift in Drift])
        if drifts:
            print_table(("object", "class", "record", "properties"), [_line(one, show_values) for one in drifts])
    if repair:
        say(f"{repaired} object(s) to be rendered and sent again; a running daemon takes them up within a second")
    if any(one.drift is not Drift.MERGED for one in drifts):
        # two records that people merged stand for both objects: that is in order, and a repair leaves it as it is
        raise typer.Exit(1)


def _document(counts: Counter[Drift], drifts: Sequence[Comparison], show_values: bool) -> dict[str, Any]:
    return {
        "counts": {drift.value: counts[drift] for drift in Drift},
        "drifts": [
            {
                "object": one.external_id,
                "class": one.drift.value,
                "record_id": one.record_id,
                "properties": {name: list(pair) for name, pair in one.values.items()}
                if show_values
                else sorted(one.values),
            }
            for one in drifts
        ],
    }


def _line(one: Comparison, show_values: bool) -> tuple[str, str, str, str]:
    shown = [f"{name}: {ours!r} / {theirs!r}" if show_values else name for name, (ours, theirs) in one.values.items()]
    return one.external_id, one.drift.value, one.record_id, ", ".join(sorted(shown))


async def _verify(
    settings: Settings, engine: Engine, kinds: Sequence[ObjectType], sample: int | None
) -> list[Comparison]:
    """One comparison per object. ``sample`` None: all objects, and records that no object has."""
    from cdc.cli.rendering import mapper_of
    from cdc.clock import SystemClock
    from cdc.delivery.permits import StandaloneRequests
    from cdc.messages.verification import Expected
    from cdc.protocols import SinkReader
    from cdc.replica.rows import ReplicaRows
    from sinks.registry import make_sink

    sink = make_sink(settings)
    if not isinstance(sink, SinkReader):
        raise ConfigError([f'sink.kind = "{settings.sink.kind}" cannot be read back; verify needs "crm"'])
    # A token need not have the scopes of types that are not sent.
    kinds = [kind for kind in kinds if kind in sink.traits.object_types]
    mapper = mapper_of(settings, engine)
    rows = ReplicaRows(engine.store, mapper.tables)
    expected = Expected(engine.store, mapper, rows, settings.mapping.namespace)
    requests = StandaloneRequests(sink.traits, SystemClock(), share=SHARE)
    found: list[Comparison] = []
    try:
        for kind in (kind for kind in Kind if OBJECT_TYPE[kind] in kinds):
            found += await _of_kind(engine, expected, sink, requests, kind, sample)
        if sample is None:
            for object_type in kinds:
                found += await _extras(engine, expected, sink, requests, object_type)
    finally:
        await sink.close()
    return found


async def _of_kind(
    engine: Engine, expected: Expected, sink: SinkReader, requests: Requests, kind: Kind, sample: int | None
) -> list[Comparison]:
    random = Random()
    found: list[Comparison] = []
    seen: set[str] = set()
    last = expected.somewhere(kind, random) if sample is not None else None
    wraps = sample is not None
    while True:
        with engine.store.transaction():
            page = expected.page(kind, last, PAGE if sample is None else min(PAGE, sample))
        fresh = [message for message in page.messages if message.external_id not in seen]
        seen.update(message.external_id for message in fresh)
        compared = await sink.compare(fresh, requests)
        with engine.store.transaction():  # a daemon may be sending beside this command
            found += expected.still_settled(fresh, compared)
        last = page.last
        if sample is not None and len(found) >= sample:
            return found[:sample]
        if last is None:
            if not wraps:
                return found
            wraps = False  # the sample began in the middle: go on at the first object, once


async def _extras(
    engine: Engine, expected: Expected, sink: SinkReader, requests: Requests, object_type: ObjectType
) -> list[Comparison]:
    from cdc.clock import SystemClock

    found: list[Comparison] = []
    after, since_ms = "", SystemClock().now_ms()
    while True:
        keys, after = await sink.keys(object_type, after, requests)
        with engine.store.transaction():
            found += expected.extras(keys, since_ms)
        if not after:
            return found


def _repair(settings: Settings, engine: Engine, drifts: Sequence[Comparison]) -> int:
    from cdc.clock import SystemClock
    from cdc.messages.verification import repair

    with engine.store.transaction():
        return repair(engine.store, settings.mapping.namespace, drifts, SystemClock().now_ms())
