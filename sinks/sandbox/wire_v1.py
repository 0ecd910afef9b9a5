"""The bridge's wire forms, version 1: what is refused at once, and what is taken. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cdc.model import ObjectType
from sinks.sandbox.wire import Accepted, Members, Refusal, Row, SyncSettings, check_count, check_data_type

SECTIONS: Final[Mapping[ObjectType, str]] = {
    ObjectType.CONTACT: "contactSyncSettings",
    ObjectType.PRODUCT: "productSyncSettings",
    ObjectType.DEAL: "dealSyncSettings",
    ObjectType.LINE_ITEM: "lineItemSyncSettings",
}
MEMBERS: Final = Members("integratorObjectId", "action", "changeOccurredTimestamp", "propertyNameToValues")
ROW: Final = ("propertyName", "targetHubspotProperty", "dataType")


def read_messages(body: Any, object_type: ObjectType, *, first: int, now_ms: int) -> list[Accepted]:
    """The messages of one request, numbered from ``first``. Refusal if the form of any of them is wrong."""
    items = check_count(body)
    return [MEMBERS.read(item, object_type, first + n, now_ms) for n, item in enumerate(items)]


def read_settings(body: Any) -> SyncSettings:
    """The settings of a PUT. Refusal if a member is missing (only importOnInstall may be) or has the wrong form."""
    if not isinstance(body, dict) or not isinstance(body.get("enabled"), bool):
        raise Refusal("settings must be an object with enabled")
    rows: dict[ObjectType, dict[str, Row]] = {}
    for object_type, section in SECTIONS.items():
        held = body.get(section)
        properties = held.get("properties") if isinstance(held, dict) else None
        if not isinstance(properties, list):
            raise Refusal(f"settings lack {section}.properties")
        rows[object_type] = dict(_read_row(item, section) for item in properties)
    return SyncSettings(body["enabled"], rows, bool(body.get("importOnInstall", False)))


def _read_row(item: Any, section: str) -> tuple[str, Row]:
    if not isinstance(item, dict) or not all(isinstance(item.get(name), str) and item[name] for name in ROW):
        raise Refusal(f"a mapping of {section} needs {', '.join(ROW)}")
    name, target, data_type = (item[member] for member in ROW)
    return name, Row(target, check_data_type(data_type, section))


def settings_body(settings: SyncSettings) -> dict[str, Any]:
    """The settings as GET and PUT answer them."""
    body: dict[str, Any] = {"enabled": settings.enabled, "importOnInstall": settings.import_on_install}
    for object_type, section in SECTIONS.items():
        held = settings.rows.get(object_type, {})
        rows = [dict(zip(ROW, (name, row.target, row.data_type), strict=True)) for name, row in held.items()]
        body[section] = {"properties": rows}
    return body
