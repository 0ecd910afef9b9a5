"""Search over an index that is behind the records, as HubSpot's is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cdc.model import ObjectType
from sinks.sandbox.crm.records import Record, Records
from sinks.sandbox.crm.refusals import refuse

MAX_PAGE: Final = 200


def indexed(records: Records, kind: ObjectType, now_ms: int, lag_ms: int) -> Iterator[tuple[Record, Mapping[str, str]]]:
    """Records in use with the properties that the index has of them. A record that was just archived is not shown."""
    before: dict[str, Mapping[str, str] | None] = {}
    for trail in records.trail:
        # The newest state that the index has not seen yet is not shown.
        if trail.at_ms > now_ms - lag_ms and trail.kind is kind:
            before.setdefault(trail.id, trail.properties)
    for record in records.live[kind].values():
        seen = before.get(record.id, record.properties)
        if seen is not None:
            yield record, seen


def search(
    records: Records, kind: ObjectType, body: Any, now_ms: int, lag_ms: int
) -> tuple[list[Record], int, str | None]:
    """The records of one page, how many match, and where the next page begins. CrmRefusalError for a wrong form."""
    if not isinstance(body, dict):
        raise refuse("Invalid input JSON: an object is wanted")
    limit, after = _whole(body, "limit", 10), _whole(body, "after", 0)
    # HubSpot refuses larger pages.
    if limit > MAX_PAGE:
        raise refuse(f"limit may be {MAX_PAGE} at most")
    groups, query = body.get("filterGroups") or [], str(body.get("query") or "").lower()
    found = [
        record
        for record, seen in indexed(records, kind, now_ms, lag_ms)
        if (not groups or any(_fits(group, record, seen) for group in groups))
        and (not query or any(query in value.lower() for value in seen.values()))
    ]
    sorts = body.get("sorts") or []
    # Only the first order counts.
    if sorts:
        name, descending = _sort(sorts[0])
        found.sort(key=lambda record: record.properties.get(name, ""), reverse=descending)
    page = found[after : after + limit]
    return page, len(found), str(after + limit) if after + limit < len(found) else None


def _whole(body: Mapping[str, Any], name: str, default: int) -> int:
    raw = body.get(name) or default
    if not str(raw).isdecimal():
        raise refuse(f"{name} is a whole number")
    return int(raw)


def _sort(raw: Any) -> tuple[str, bool]:
    if isinstance(raw, dict):
        return str(raw.get("propertyName", "")), raw.get("direction") == "DESCENDING"
    return str(raw).removeprefix("-"), str(raw).startswith("-")


def _fits(group: Any, record: Record, seen: Mapping[str, str]) -> bool:
    """Whether all filters of a group hold."""
    filters = group.get("filters") if isinstance(group, dict) else None
    if not isinstance(filters, list):
        raise refuse("Invalid input JSON: a filter group has filters")
    return all(_holds(item, record, seen) for item in filters)


def _holds(item: Mapping[str, Any], record: Record, seen: Mapping[str, str]) -> bool:
    name, operator = str(item.get("propertyName", "")), str(item.get("operator", ""))
    held = record.id if name == "hs_object_id" else seen.get(name, "")
    wanted, values = str(item.get("value", "")), [str(value).lower() for value in item.get("values") or ()]
    # Operators without a value.
    if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
        return bool(held) == (operator == "HAS_PROPERTY")
    if operator in ("EQ", "NEQ"):
        return (held.lower() == wanted.lower()) == (operator == "EQ")
    if operator in ("IN", "NOT_IN"):
        return (held.lower() in values) == (operator == "IN")
    if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
        return (wanted.strip("*").lower() in held.lower()) == (operator == "CONTAINS_TOKEN")
    if operator == "BETWEEN":
        return bool(held) and _number(wanted) <= _number(held) <= _number(str(item.get("highValue", "")))
    if operator not in ("GT", "GTE", "LT", "LTE"):
        # A misspelt operator must not match everything.
        raise refuse(f"The operator {operator!r} does not exist")
    return bool(held) and _compares(operator, _number(held), _number(wanted))


def _compares(operator: str, held: float | str, wanted: float | str) -> bool:
    # Numbers and texts have no common order.
    if type(held) is not type(wanted):
        held, wanted = str(held), str(wanted)
    if held == wanted:
        return operator.endswith("E")
    return (held > wanted) == operator.startswith("G")  # type: ignore[operator]  # both are of one type here


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text
