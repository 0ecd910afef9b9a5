"""The CRM's answers as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cdc.model import ObjectType
from sinks.sandbox.crm.account import CrmAccount
from sinks.sandbox.crm.associations import Direction, Link, Pair
from sinks.sandbox.crm.pipelines import Pipeline, Stage
from sinks.sandbox.crm.properties import Group, Property
from sinks.sandbox.crm.records import Record
from sinks.sandbox.crm.refusals import Problem
from sinks.sandbox.crm.types import TYPES
from sinks.sandbox.crm.values import iso_ms
from sinks.sandbox.crm.writes import Written


def record_json(account: CrmAccount, record: Record, properties: Mapping[str, str | None]) -> dict[str, Any]:
    """A record with the properties that the answer shows."""
    found: dict[str, Any] = {
        "id": record.id,
        "properties": dict(sorted(properties.items())),
        "createdAt": iso_ms(record.created_ms),
        "updatedAt": iso_ms(record.updated_ms),
        "archived": bool(record.archived_ms),
        "url": record_url(account, record.kind, record.id),
    }
    if record.archived_ms:
        found["archivedAt"] = iso_ms(record.archived_ms)
    return found


def record_url(account: CrmAccount, kind: ObjectType, record_id: str) -> str:
    """Where people find the record."""
    return f"https://app.hubspot.com/contacts/{account.portal_id}/record/{TYPES[kind].type_id}/{record_id}"


def written_json(account: CrmAccount, written: Written, *, with_new: bool) -> dict[str, Any]:
    """One result of a batch write: the properties that were sent and those that HubSpot always shows."""
    view = account.view(written.record)
    names = (*written.names, *_always(written.record.kind))
    found = record_json(account, written.record, {name: view.get(name, "") for name in names})
    if with_new:
        found["new"] = written.is_new
    if written.trace_id:
        found["objectWriteTraceId"] = written.trace_id
    if written.warnings:
        found["warnings"] = list(written.warnings)
    return found


def read_json(account: CrmAccount, record: Record, names: Sequence[str]) -> dict[str, Any]:
    """A record as a read gives it: the properties asked for (null: no value), or HubSpot's choice for its type."""
    view = account.view(record)
    wanted = [*(names or TYPES[record.kind].default_properties), *_always(record.kind)]
    known = [name for name in wanted if account.properties.used(record.kind, name) is not None]
    return record_json(account, record, {name: view.get(name) for name in known})


def _always(kind: ObjectType) -> tuple[str, str, str]:
    return TYPES[kind].created, "hs_object_id", TYPES[kind].modified


def batch_json(
    account: CrmAccount, started_ms: int, results: Sequence[Any], problems: Sequence[Problem] = ()
) -> dict[str, Any]:
    """The envelope of every batch answer; ``errors`` is missing while there is none."""
    found: dict[str, Any] = {
        "status": "COMPLETE",
        "results": list(results),
        "startedAt": iso_ms(started_ms),
        "completedAt": iso_ms(account.now_ms()),
    }
    if problems:
        found |= {"numErrors": len(problems), "errors": [problem.entry() for problem in problems]}
    return found


def link_json(link: Link, category: str) -> dict[str, Any]:
    """One directed result of a default association."""
    return {
        "from": {"id": link.from_id},
        "to": {"id": link.to_id},
        "associationSpec": {"associationCategory": category, "associationTypeId": link.type_id},
    }


def pair_json(direction: Direction, from_id: str, to_id: str, labels: Iterable[str]) -> dict[str, Any]:
    """One result of an association with types."""
    return {
        "fromObjectTypeId": TYPES[direction[0]].type_id,
        "fromObjectId": from_id,
        "toObjectTypeId": TYPES[direction[1]].type_id,
        "toObjectId": to_id,
        "labels": list(labels),
    }


def associated_json(account: CrmAccount, direction: Direction, pair: Pair, *, is_v4: bool) -> dict[str, Any]:
    """One associated record. Version 4 gives its id as a number, and a null where there is no label."""
    types = []
    for type_id in sorted(pair.type_ids):
        label = account.links.label(direction, type_id)
        shown = {"category": account.links.category(type_id), "typeId": type_id}
        types.append({**shown, "label": label} if label is not None or is_v4 else shown)
    return {"toObjectId": int(pair.to_id) if is_v4 else pair.to_id, "associationTypes": types}


def property_json(account: CrmAccount, kind: ObjectType, found: Property) -> dict[str, Any]:
    """A property's definition."""
    shown: dict[str, Any] = {
        "name": found.name,
        "label": found.label,
        "type": found.type,
        "fieldType": found.field_type,
        "description": found.description,
        "groupName": found.group,
        "options": _options_json(account, kind, found),
        "displayOrder": found.display_order,
        "calculated": False,
        "externalOptions": False,
        "hasUniqueValue": found.name in account.properties.unique_names(kind),
        "hidden": found.is_hidden,
        "hubspotDefined": found.is_hubspots,
        "formField": found.is_form_field,
        "dataSensitivity": "non_sensitive",
        "archived": bool(found.archived_ms),
        "createdAt": iso_ms(found.created_ms),
        "updatedAt": iso_ms(found.updated_ms),
        "modificationMetadata": {
            "archivable": not found.is_hubspots,
            "readOnlyDefinition": found.is_hubspots,
            "readOnlyValue": found.is_read_only,
        },
    }
    if found.archived_ms:
        shown["archivedAt"] = iso_ms(found.archived_ms)
    return shown


def _options_json(account: CrmAccount, kind: ObjectType, found: Property) -> list[dict[str, Any]]:
    """Options; those of stages, pipelines and currencies follow from the account."""
    pairs: list[tuple[str, str]] | None = None
    if kind is ObjectType.DEAL and found.name == "dealstage":
        pairs = [
            (stage.id, stage.label) for pipeline in account.pipelines.live(kind) for stage in pipeline.live_stages()
        ]
    elif kind is ObjectType.DEAL and found.name == "pipeline":
        pairs = [(pipeline.id, pipeline.label) for pipeline in account.pipelines.live(kind)]
    elif found.is_hubspots and found.name in ("deal_currency_code", "hs_line_item_currency_code"):
        pairs = [(code, code) for code in account.currencies]
    if pairs is None:
        return found.options
    return [
        {"label": label, "value": value, "hidden": False, "displayOrder": n} for n, (value, label) in enumerate(pairs)
    ]


def group_json(group: Group) -> dict[str, Any]:
    """A property group."""
    shown = {"name": group.name, "label": group.label, "displayOrder": group.display_order}
    return {**shown, "archived": group.archived}


def pipeline_json(found: Pipeline) -> dict[str, Any]:
    """A pipeline with its stages in use."""
    return {
        "id": found.id,
        "label": found.label,
        "displayOrder": found.display_order,
        "archived": found.archived,
        "createdAt": iso_ms(found.created_ms),
        "updatedAt": iso_ms(found.updated_ms),
        "stages": [stage_json(stage) for stage in found.live_stages()],
    }


def stage_json(found: Stage) -> dict[str, Any]:
    """A stage of a deal pipeline."""
    return {
        "id": found.id,
        "label": found.label,
        "displayOrder": found.display_order,
        "archived": found.archived,
        "createdAt": iso_ms(found.created_ms),
        "updatedAt": iso_ms(found.updated_ms),
        "metadata": {"probability": found.probability, "isClosed": "true" if found.is_closed else "false"},
        "writePermissions": found.permissions,
    }
