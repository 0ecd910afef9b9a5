"""The two versions of the Ecommerce Bridge, as far as they are forms: paths, bodies, records. Pure; no I/O.

Version 1: HubSpot's OpenAPI file of the bridge (2019-07-08) and clients that ran against it. Version 2: HubSpot's pages
"Send sync messages" (2020-07-13), "Ecommerce Bridge API reference" and "Get all sync errors", its change log of
sync-status, and HubSpot's own PHP client, which ran against the service. What no source tells is said where a choice
had to be made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import orjson

from cdc.model import Action, Message, ObjectType, SyncError, SyncStatus
from sinks.bridge.error_pages import PAGE
from sinks.bridge.error_types import ADVICE, UNDOCUMENTED, says_no_record, scope_of
from sinks.bridge.mapping import ASSOCIATIONS, MAPPED
from sinks.hubspot.numbers import text_of, whole

FAMILY: Final = "bridge"
"""All calls of the bridge share one quota."""

Query = dict[str, str | int]


class ErrorNames(NamedTuple):
    """What one version calls the members of a sync-error."""

    external_id: str
    changed_at: str
    errored_at: str


class Form(Protocol):
    """One version of the bridge."""

    root: str
    error_names: ErrorNames
    pages_are_offsets: bool
    """Whether a page's number is the number of its first record, so that pages may overlap."""

    def messages(self, messages: Sequence[Message]) -> tuple[str, bytes]:
        """Path and body of the PUT that sends them (one object type, at least one message)."""
        ...

    def errors(self, page: int, *, has_token: bool) -> tuple[str, Query]:
        """Path and query of a page of sync-errors; the first has the number 0."""
        ...

    def next_page(self, content: Any, page: int, count: int) -> int | None:
        """The number of the page after this one, which held ``count`` records; None: that was the last."""
        ...

    def status_path(self, object_type: ObjectType, external_id: str) -> str:
        """Where one object's sync-status is."""
        ...

    def status(self, content: Mapping[str, Any]) -> SyncStatus:
        """What a sync-status says."""
        ...

    def type_of(self, text: str) -> ObjectType | None:
        """The object type that this version names so."""
        ...


class FormV1:
    """Version 1: a bare array, the type in the path, associations as mapped properties."""

    root = "/extensions/ecomm/v1"
    error_names = ErrorNames("integratorObjectId", "changeOccurredTimestamp", "errorTimestamp")
    pages_are_offsets = True

    def __init__(self, segments: Mapping[ObjectType, str]) -> None:
        """``segments``: path segments that differ from the type's name."""
        self._segments = {kind: segments.get(kind, kind.value) for kind in MAPPED}
        self._types = {kind.value: kind for kind in MAPPED} | {text: kind for kind, text in self._segments.items()}

    def messages(self, messages: Sequence[Message]) -> tuple[str, bytes]:
        """PUT sync-messages/{type}."""
        path = f"{self.root}/sync-messages/{self._segments[messages[0].object_type]}"
        return path, orjson.dumps([message_v1(message) for message in messages])

    def errors(self, page: int, *, has_token: bool) -> tuple[str, Query]:
        """GET sync-errors: pages are offsets; key and token may both ask.

        Resolved errors are read along because pages count records: one resolved while we page would shift the rest.
        """
        return f"{self.root}/sync-errors", {"limit": PAGE, "offset": page, "showResolvedErrors": "true"}

    def next_page(self, content: Any, page: int, count: int) -> int | None:
        """The offset after a full page."""
        return page + PAGE if count >= PAGE else None

    def status_path(self, object_type: ObjectType, external_id: str) -> str:
        """sync-status/{type}/{id}."""
        return f"{self.root}/sync-status/{self._segments[object_type]}/{external_id}"

    def status(self, content: Mapping[str, Any]) -> SyncStatus:
        """``numErrors`` may count errors of the past, so whether the last attempt failed is told only by a 0."""
        count = content.get("numErrors")
        return SyncStatus(
            hubspot_id=text_of(content.get("hubspotId")),
            processed_at=millis(content, "lastProcessedAt"),
            failed=False if count == 0 else None,
        )

    def type_of(self, text: str) -> ObjectType | None:
        """By name or path segment."""
        return self._types.get(text)


class FormV2:
    """Version 2: an envelope with store and type, an ``associations`` member, pages with a link to the next."""

    root = "/extensions/ecomm/v2"
    error_names = ErrorNames("externalObjectId", "changedAt", "erroredAt")
    pages_are_offsets = False  # clients found them to be so, but only what the answer names is sure

    def __init__(self, store_id: str) -> None:
        self.store_id = store_id

    def messages(self, messages: Sequence[Message]) -> tuple[str, bytes]:
        """PUT sync/messages."""
        body = {
            "storeId": self.store_id,
            "objectType": messages[0].object_type.value,
            "messages": [message_v2(message) for message in messages],
        }
        return f"{self.root}/sync/messages", orjson.dumps(body)

    def errors(self, page: int, *, has_token: bool) -> tuple[str, Query]:
        """GET sync/errors with a token, sync/errors/portal with the account's key (each takes only its own)."""
        query: Query = {"limit": PAGE, "includeResolved": "true"}
        # Only the answer's own number is sure, and the first page has none.
        if page:
            query["page"] = page
        return f"{self.root}/sync/errors" + ("" if has_token else "/portal"), query

    def next_page(self, content: Any, page: int, count: int) -> int | None:
        """What the answer itself names: clients found it to be the number of a record, not of a page."""
        paging = content.get("paging") if isinstance(content, Mapping) else None
        following = paging.get("next") if isinstance(paging, Mapping) else None
        return millis(following, "page") or None if isinstance(following, Mapping) else None

    def status_path(self, object_type: ObjectType, external_id: str) -> str:
        """sync/status/{store}/{type}/{id}."""
        return f"{self.root}/sync/status/{self.store_id}/{object_type.value}/{external_id}"

    def status(self, content: Mapping[str, Any]) -> SyncStatus:
        """The last attempt failed exactly when it ``erroredAt`` the time it was processed; ``errors`` never empties."""
        processed_at = millis(content, "lastProcessedAt")
        return SyncStatus(
            hubspot_id=text_of(content.get("hubspotId")),
            processed_at=processed_at,
            failed=processed_at > 0 and millis(content, "erroredAt") == processed_at,
        )

    def type_of(self, text: str) -> ObjectType | None:
        """By name."""
        return ObjectType(text) if text in MAPPED else None


def message_v1(message: Message) -> dict[str, Any]:
    """One message in version 1's form.

    Every association that the type can have travels as a property; one that the object lacks is sent as ``""``, which
    production clients did for orders without a contact, so that an association can end.
    """
    properties: dict[str, str] = {}
    # A DELETE carries no properties.
    if message.action is Action.UPSERT:
        properties.update(message.properties)
        for other, name in ASSOCIATIONS.get(message.object_type, {}).items():
            properties[name] = ";".join(message.associations.get(other, ()))
    return {
        "integratorObjectId": message.external_id,
        "action": message.action.value,
        "changeOccurredTimestamp": message.changed_at,
        "propertyNameToValues": properties,
    }


def message_v2(message: Message) -> dict[str, Any]:
    """One message in version 2's form.

    An association that the object lacks is sent as an empty list, as version 1 sends ``""``: no source tells how one
    ends, and a left-out one might stay.
    """
    form: dict[str, Any] = {
        "externalObjectId": message.external_id,
        "action": message.action.value,
        "changedAt": message.changed_at,
        "properties": dict(message.properties) if message.action is Action.UPSERT else {},
    }
    others = ASSOCIATIONS.get(message.object_type, {})
    # Types without associations have no such member.
    if others and message.action is Action.UPSERT:
        form["associations"] = {other.value: list(message.associations.get(other, ())) for other in others}
    return form


def read_error(form: Form, record: Mapping[str, Any]) -> SyncError | None:
    """A sync error of a record; None if it is resolved or of an object type that is not ours."""
    object_type = form.type_of(text_of(record.get("objectType")))
    # Resolved errors are over; objects of other types are not ours.
    if object_type is None or record.get("status") == "RESOLVED":
        return None
    names = form.error_names
    kind = text_of(record.get("type"))
    return SyncError(
        object_type=object_type,
        external_id=text_of(record.get(names.external_id)),
        changed_at=millis(record, names.changed_at),
        errored_at=millis(record, names.errored_at),
        kind=kind if kind in ADVICE else UNDOCUMENTED,
        detail=text_of(record.get("details")) if kind in ADVICE else f"{kind}: {text_of(record.get('details'))}",
        scope=scope_of(kind),
        is_without_record=says_no_record(kind),
    )


def records_of(content: Any) -> list[Mapping[str, Any]]:
    """The ``results`` of an answer; what does not look like a record is passed over."""
    results = content.get("results") if isinstance(content, Mapping) else None
    return [record for record in results if isinstance(record, Mapping)] if isinstance(results, list) else []


def millis(record: Mapping[str, Any], name: str) -> int:
    """A time in epoch milliseconds, as integer or as digits; 0 where there is none."""
    return whole(record.get(name)) or 0
