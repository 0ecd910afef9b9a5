"""``mapping adopt``: take over records of the shop's objects that another connector, the old bridge or
people created.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cdc.cli.common import AsJson, Config, Sets, print_json, print_table, say, settings_of
from cdc.cli.objects import chosen_types
from cdc.errors import ConfigError
from cdc.model import Adoption, Kind, ObjectRef, ObjectType

if TYPE_CHECKING:
    from cdc.settings.config import Settings

WORDS: Final = {"contacts": ObjectType.CONTACT, "products": ObjectType.PRODUCT, "deals": ObjectType.DEAL}
SHOWN: Final = 20

ORDER_PROPERTY: Final = "ip__ecomm_bridge__order_number"
"""The old bridge's property of deals that holds the order's number."""

Keys = Mapping[str, Sequence[str]]
"""Email address, SKU or order number → external ids."""


def adopt(
    context: typer.Context,
    config: Config = None,
    sets: Sets = None,
    as_json: AsJson = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be adopted, change nothing.")] = False,
    objects: Annotated[str, typer.Option(help="Which types, parted by commas: contacts, products, deals.")] = ",".join(
        WORDS
    ),
    order_property: Annotated[
        str, typer.Option(help="The property of deals that holds the order's number.")
    ] = ORDER_PROPERTY,
) -> None:
    """Write our keys onto existing records: contacts by address, products by SKU, deals by order number.

    Run it once, before the first `run`. Ambiguous records are listed and left as they are.
    """
    import asyncio

    settings = settings_of(context, config, sets)
    types = chosen_types(objects, WORDS)
    if settings.source.kind != "binlog":
        raise ConfigError(['mapping adopt reads the shop\'s database: it needs source.kind = "binlog"'])
    keys = _keys(settings, types)
    found = asyncio.run(_adopt(settings, keys, order_property, dry_run))
    if as_json:
        print_json([{**one._asdict(), "object_type": one.object_type.value} for one in found])
        return
    verb = "would be adopted" if dry_run else "adopted"
    columns = ("type", "found", verb, "ours already", "another key", "ambiguous", "failed")
    print_table(columns, [_line(one) for one in found])
    for one in found:
        _list(f"{one.object_type.value}: leads to several records or objects", one.ambiguous)
        _list(f"{one.object_type.value}: HubSpot did not take the key of", one.failed)
    if any(one.failed for one in found):
        raise typer.Exit(1)


def _line(one: Adoption) -> tuple[Any, ...]:
    return (
        one.object_type.value, one.found, one.adopted, one.ours, one.taken, len(one.ambiguous), len(one.failed),
    )  # fmt: skip


def _list(what: str, values: Sequence[str]) -> None:
    if values:
        more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
        say(f"{what}: {', '.join(values[:SHOWN])}{more}")


def _keys(settings: Settings, types: Sequence[ObjectType]) -> dict[ObjectType, Keys]:
    """The shop's objects by their natural keys."""
    from cdc.source import natural_keys
    from cdc.source.server import connect, mapped_errors

    source = settings.source
    found: dict[ObjectType, Keys] = {}
    with mapped_errors(source):
        connection = connect(source)
        try:
            if ObjectType.CONTACT in types:
                guests = (text for _, text in natural_keys.guests(connection, source))
                found[ObjectType.CONTACT] = _contacts(settings, natural_keys.customers(connection, source), guests)
            if ObjectType.PRODUCT in types:
                found[ObjectType.PRODUCT] = _by_text(settings, Kind.PRODUCT, natural_keys.products(connection, source))
            if ObjectType.DEAL in types:
                found[ObjectType.DEAL] = _by_text(settings, Kind.ORDER, natural_keys.orders(connection, source))
        finally:
            connection.close()
    return found


def _contacts(settings: Settings, customers: Iterable[tuple[int, str]], guests: Iterable[str]) -> Keys:
    """One key per address: that of the customer with the lowest id, else the guest's."""
    from mappers.guests import guest_id

    namespace = settings.mapping.namespace
    found: dict[str, str] = {}
    for number, text in customers:
        found.setdefault(text.strip().lower(), ObjectRef(Kind.CUSTOMER, number).external_id(namespace))
    for text in guests:
        address, guest = text.strip().lower(), guest_id(text)
        if guest is not None:
            found.setdefault(address, ObjectRef(Kind.GUEST, guest).external_id(namespace))
    return {address: (key,) for address, key in found.items() if address}


def _by_text(settings: Settings, kind: Kind, pairs: Iterable[tuple[int, str]]) -> Keys:
    found: dict[str, list[str]] = defaultdict(list)
    for number, text in pairs:
        key = ObjectRef(kind, number).external_id(settings.mapping.namespace)
        if key not in found[text.strip()]:
            found[text.strip()].append(key)
    return found


async def _adopt(
    settings: Settings, keys: Mapping[ObjectType, Keys], order_property: str, dry_run: bool
) -> list[Adoption]:
    from cdc.clock import SystemClock
    from cdc.delivery.permits import StandaloneRequests
    from cdc.protocols import SinkAdopter
    from sinks.registry import make_sink

    sink = make_sink(settings)
    try:
        if not isinstance(sink, SinkAdopter):
            raise ConfigError([f'sink.kind = "{settings.sink.kind}" adopts nothing; mapping adopt needs "crm"'])
        requests = StandaloneRequests(sink.traits, SystemClock())
        return [
            await sink.adopt(kind, held, requests, order_property=order_property, dry_run=dry_run)
            for kind, held in keys.items()
        ]
    finally:
        await sink.close()
