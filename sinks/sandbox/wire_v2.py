"""The bridge's wire forms, version 2: what is refused at once, and what is taken. Pure.

``changedAt`` is required, although two clients' tests leave it out: no source says whether it was optional, and a good
sender sends it.
"""

from __future__ import annotations

from typing import Any, Final

from cdc.model import ObjectType
from sinks.bridge.mapping import MAPPED
from sinks.sandbox.wire import (
    Accepted,
    Members,
    Refusal,
    Row,
    SyncSettings,
    check_count,
    check_data_type,
    check_id,
    object_type_of,
)

MEMBERS: Final = Members("externalObjectId", "action", "changedAt", "properties")


def read_messages(body: Any, *, first: int, now_ms: int) -> list[Accepted]:
    """The messages of one request, numbered from ``first``. Refusal if the form of any of them is wrong."""
    store_id, object_type = read_envelope(body)
    if "messages" not in body:
        raise Refusal("the body lacks messages")
    messages = []
    for n, item in enumerate(check_count(body["messages"])):
        message = MEMBERS.read(item, object_type, first + n, now_ms)
        message.store_id = store_id
        message.associations = _read_associations(item.get("associations", {}))
        messages.append(message)
    return messages


def read_envelope(body: Any) -> tuple[str, ObjectType]:
    """Store and object type of a request. Refusal if one is missing."""
    if not isinstance(body, dict):
        raise Refusal("the body must be an object with storeId, objectType and messages")
    for name in ("storeId", "objectType"):
        if name not in body:
            raise Refusal(f"the body lacks {name}")
    return check_id(body["storeId"], "storeId"), object_type_of(body["objectType"])


def _read_associations(held: Any) -> dict[ObjectType, tuple[str, ...]]:
    if not isinstance(held, dict):
        raise Refusal("associations must be an object: object type → list of external ids")
    found = {}
    for name, ids in held.items():
        if not isinstance(ids, list):
            raise Refusal(f"the associations with {name!r} must be a list of external ids")
        found[object_type_of(name)] = tuple(check_id(external_id, "an associated id") for external_id in ids)
    return found


def read_settings(body: Any) -> SyncSettings:
    """The settings of a PUT. AVATAR_IMAGE is taken under PRODUCT only, and once. Refusal for a wrong form."""
    if not isinstance(body, dict) or not isinstance(body.get("enabled"), bool):
        raise Refusal("settings must be an object with enabled")
    mappings, webhook = body.get("mappings"), body.get("webhookUri")
    if not isinstance(mappings, dict):
        raise Refusal("settings lack mappings")
    if webhook is not None and not isinstance(webhook, str):
        raise Refusal("webhookUri must be text or null")
    rows, others = {}, {}
    for name, section in mappings.items():
        # Sections of other types are kept and given back as they came.
        if name in MAPPED:
            rows[ObjectType(name)] = _read_rows(section, name)
        else:
            others[name] = section
    images = [
        (kind, name) for kind, held in rows.items() for name, row in held.items() if row.data_type == "AVATAR_IMAGE"
    ]
    if len(images) > 1 or any(kind is not ObjectType.PRODUCT for kind, _ in images):
        raise Refusal("AVATAR_IMAGE is for one property of PRODUCT only")
    return SyncSettings(body["enabled"], rows, webhook_uri=webhook, others=others)


def _read_rows(section: Any, name: str) -> dict[str, Row]:
    properties = section.get("properties") if isinstance(section, dict) else None
    if not isinstance(properties, list):
        raise Refusal(f"settings lack mappings.{name}.properties")
    rows = {}
    for item in properties:
        members = ("externalPropertyName", "hubspotPropertyName")
        if not isinstance(item, dict) or not all(isinstance(item.get(m), str) and item[m] for m in members):
            raise Refusal(f"a mapping of {name} needs {', '.join(members)}")
        data_type = check_data_type(item.get("dataType") or "STRING", f"mappings.{name}")
        rows[item["externalPropertyName"]] = Row(item["hubspotPropertyName"], data_type)
    return rows


def settings_body(settings: SyncSettings) -> dict[str, Any]:
    """The settings as GET and PUT answer them."""
    mappings: dict[str, Any] = dict(settings.others)
    for kind, held in settings.rows.items():
        mappings[kind.value] = {
            "properties": [
                {"externalPropertyName": name, "hubspotPropertyName": row.target, "dataType": row.data_type}
                for name, row in held.items()
            ]
        }
    return {"enabled": settings.enabled, "webhookUri": settings.webhook_uri, "mappings": mappings}


def read_store(body: Any) -> dict[str, Any]:
    """A store of a PUT: ``id`` and ``label``; ``adminUri`` may be missing. Refusal for a wrong form."""
    if not isinstance(body, dict):
        raise Refusal("a store must be an object")
    admin = body.get("adminUri")
    if not isinstance(body.get("label"), str) or not body["label"]:
        raise Refusal("a store needs a label")
    if admin is not None and not isinstance(admin, str):
        raise Refusal("adminUri must be text")
    return {"id": check_id(body.get("id"), "id"), "label": body["label"], "adminUri": admin}
