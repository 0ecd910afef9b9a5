"""Merge and GDPR delete."""

from __future__ import annotations

from typing import Any

from cdc.model import ObjectType
from sinks.sandbox.crm.associations import Associations
from sinks.sandbox.crm.behaviour import Behaviour
from sinks.sandbox.crm.records import Change, Record, Records
from sinks.sandbox.crm.refusals import NOT_FOUND, refuse


def merge(
    records: Records,
    links: Associations,
    behaviour: Behaviour,
    primary: Record,
    other: Record,
    now_ms: int,
    source: str,
) -> Record:
    """Merge ``other`` into ``primary``: the primary record's values win, the other's fill empty ones, addresses and
    links are joined.

    A property holds one value, so of two keys the primary record's stays. The other id leads to the merged record.
    """
    properties = {**other.properties, **primary.properties}
    records.replace(primary, other, properties, now_ms)
    links.move_all(other.kind, other.id, primary.id)
    primary.changes.append(Change(now_ms, source, {"hs_merged_object_ids": ";".join(primary.merged_ids)}))
    # HubSpot documents both: the primary id stays, or a new id is made.
    if behaviour.merge_makes_new_id:
        old_id = primary.id
        records.rename(primary, records.new_id())
        links.move_all(primary.kind, old_id, primary.id)
    return primary


def merge_by_ids(
    records: Records, links: Associations, behaviour: Behaviour, kind: ObjectType, body: Any, now_ms: int
) -> Record:
    """POST merge: ``primaryObjectId`` and ``objectIdToMerge``. CrmRefusalError if one of them is not there."""
    found = []
    for name in ("primaryObjectId", "objectIdToMerge"):
        record_id = str(body.get(name, "")) if isinstance(body, dict) else ""
        record = records.get(kind, record_id)
        # A record in the bin cannot be merged.
        if record is None:
            raise refuse(f"{name} {record_id!r} does not exist", category=NOT_FOUND, status=404)
        found.append(record)
    primary, other = found
    if primary is other:
        raise refuse("Cannot merge a record with itself")
    return merge(records, links, behaviour, primary, other, now_ms, "API")


def gdpr_delete(records: Records, links: Associations, behaviour: Behaviour, body: Any) -> Record | None:
    """Delete a contact for good. An address that matches nobody is put on the block list, as HubSpot documents."""
    wanted = str(body.get("objectId", "")) if isinstance(body, dict) else ""
    name = str(body.get("idProperty") or "") if isinstance(body, dict) else ""
    # Other properties are not taken here.
    if not wanted or name not in ("", "email", "hs_object_id"):
        raise refuse("objectId is required; idProperty may be email")
    if name == "email":
        record = records.find(ObjectType.CONTACT, "email", wanted)
        # HubSpot blocks the address for the future.
        if record is None:
            behaviour.blocked_emails.add(wanted.strip().lower())
    else:
        record = records.get(ObjectType.CONTACT, wanted) or records.bin[ObjectType.CONTACT].get(wanted)
    if record is None:
        return None
    # Whether deleting blocks the address is open, so a test can choose.
    if behaviour.gdpr_blocks_email:
        behaviour.blocked_emails.update(record.emails)
    links.drop_all(record)
    records.purge(record)
    return record
