"""Where a CRM account differs from a full render of the shop: record by record, value by value, link by link."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from cdc.model import ObjectType
from cdc.settings.config import Settings
from sinks.crm.properties import PropertyTable, table_of
from tests.kit.full_render import State

Records = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Object type → key (``#<id>`` without one) → id, properties, additional_emails, associations: the sandbox's state."""

_ACCOUNTS_OWN: Final = frozenset({"dealstage", "deal_currency_code", "hs_line_item_currency_code"})
"""Properties that depend on what the account has; ``magento_stage`` and ``magento_currency`` hold the truth."""


def crm_difference(expected: State, records: Records, settings: Settings) -> list[str]:
    """A line for each difference; empty when the account holds just this."""
    table = table_of(settings)
    return sorted(_lines(expected, records, table))


def _lines(expected: State, records: Records, table: PropertyTable) -> Iterator[str]:
    for name, wanted in expected.items():
        held = records[wanted["type"]].get(name)
        if held is None:
            yield f"missing: {name}"
            continue
        yield from (f"differs: {name}: {text}" for text in _values(wanted, held, records, table))
        yield from (f"differs: {name}: {text}" for text in _links(wanted, held, records))
    for kind, by_key in records.items():
        for name, held in by_key.items():
            if name in expected or held["properties"].get(table.deleted_at):
                continue  # an object that is gone from the shop, kept and marked
            yield f"too much: {kind} {name}"


def _values(
    wanted: Mapping[str, Any], held: Mapping[str, Any], records: Records, table: PropertyTable
) -> Iterator[str]:
    kind = ObjectType(wanted["type"])
    ours = table.values(kind, wanted["properties"])
    theirs = held["properties"]
    for target in table.targets(kind).values():
        value, found = ours.get(target.name, ""), theirs.get(target.name, "")
        if target.name in _ACCOUNTS_OWN or _same(value, found):
            continue
        if ours.get("hs_external_status") == "completed" and target.name not in ours:
            continue  # what only the quote told stays as it was
        if target.name == "email" and _same(value, theirs.get(table.own("email"), "")):
            continue  # another record has the address
        if target.name == "hs_sku" and not found and _is_taken(records[kind.value], target.name, value):
            continue
        yield f"{target.name}: expected {value!r}, found {found!r}"
    if theirs.get(table.deleted_at):
        yield "it is marked as deleted"


def _is_taken(by_key: Mapping[str, Mapping[str, Any]], name: str, value: str) -> bool:
    return any(_same(value, other["properties"].get(name, "")) for other in by_key.values())


def _links(wanted: Mapping[str, Any], held: Mapping[str, Any], records: Records) -> Iterator[str]:
    for kind, keys in wanted["associations"].items():
        if wanted["type"] == ObjectType.LINE_ITEM and kind == ObjectType.PRODUCT:
            ids = [records[kind][key]["id"] for key in keys if key in records[kind]]
            if held["properties"].get("hs_product_id", "") not in ids:
                yield f"its product is {held['properties'].get('hs_product_id')!r}, expected {ids}"
        elif not set(keys) <= set(held["associations"].get(kind, ())):
            yield f"it is linked to {held['associations'].get(kind)}, expected {keys}"
    is_cart = wanted["type"] == ObjectType.CART
    for one in (ObjectType.CONTACT, ObjectType.DEAL) if is_cart else (ObjectType.CONTACT,):
        linked = held["associations"].get(one.value, ())
        if len(linked) > 1:  # nobody adds links by hand here: a link of ours that another one replaced was not ended
            yield f"it is linked to several records of one type: {linked}"


def _same(ours: str, theirs: str) -> bool:
    if ours.strip() == theirs.strip() or ours.lower() == theirs.lower():
        return True
    try:
        return Decimal(ours) == Decimal(theirs)
    except InvalidOperation:
        pass
    try:  # HubSpot gives times back in ISO 8601
        return int(ours) == round(datetime.fromisoformat(theirs).timestamp() * 1000)
    except ValueError:
        return False
