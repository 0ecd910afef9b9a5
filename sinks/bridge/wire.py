"""The forms of the Ecommerce Bridge's two versions: paths, bodies, records. Pure; no I/O.

Version 1: HubSpot's OpenAPI file of the bridge (2019-07-08) and clients that ran against it. Version 2: HubSpot's pages
"Send sync messages" (2020-07-13), "Ecommerce Bridge API reference" and "Get all sync errors", its change log of
sync-status, and HubSpot's own PHP client, which ran against the service. Where no source gives an answer, a comment at
the code says so.
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
    """The names of a sync error's members in one version."""

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
        """Path and query of a page of sync-errors; the first page has the number 0."""
        ...

    def next_page(self, content: Any, page: int, count: int) -> int | None:
        """The number of the page after this page, which held ``count`` records; None: this was the last page."""
        ...

    def status_path(self, object_type: ObjectType, external_id: str) -> str:
        """The path of one object's sync-status."""
        ...

    def status(self, content: Mapping[str, Any]) -> SyncStatus:
        """The content of a sync-status."""
        ...

    def type_of(self, text: str) -> ObjectType | None:
        """The object type with this name in the version."""
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
        """GET sync-errors: pages are offsets; a key and a token may both ask.

        Resolved errors are read too, because pages count records: an error resolved between two pages would shift the
        rest.
        """
        return f"{self.root}/sync-errors", {"limit": PAGE, "offset": page, "showResolvedErrors": "true"}

    def next_page(self, content: Any, page: int, count: int) -> int | None:
        """The offset after a full page."""
        return page + PAGE if count >= PAGE else None

    def status_path(self, object_type: ObjectType, external_id: str) -> str:
        """sync-status/{type}/{id}."""
        return f"{self.root}/sync-status/{self._segments[object_type]}/{external_id}"

    def status(self, content: Mapping[str, Any]) -> SyncStatus:
        """``numErrors`` may count old errors, so only a 0 shows that the last attempt did not fail."""
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
        """GET sync/errors with a token, sync/errors/portal with the account's key (each path takes only its own)."""
        query: Query = {"limit": PAGE, "includeResolved": "true"}
        # Only the answer's own number is sure, and the first page has none.
        if page:
            query["page"] = page
        return f"{self.root}/sync/errors" + ("" if has_token else "/portal"), query

    def next_page(self, content: Any, page: int, count: int) -> int | None:
        """The number that the answer itself names. Clients found that it is the number of a record, not of a page."""
        paging = content.get("paging") if isinstance(content, Mapping) else None
        following = paging.get("next") if isinstance(paging, Mapping) else None
        return millis(following, "page") or None if isinstance(following, Mapping) else None

    def status_path(self, object_type: ObjectType, external_id: str) -> str:
        """sync/status/{store}/{type}/{id}."""
        return f"{self.root}/sync/status/{self.store_id}/{object_type.value}/{external_id}"

    def status(self, content: Mapping[str, Any]) -> SyncStatus:
        """The last attempt failed exactly when ``erroredAt`` is the time of processing; ``errors`` is never emptied."""
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

    Every association that the type can have is sent as a property. An association that the object lacks is sent as
    ``""``, so that an association can end; production clients did this for orders without a contact.
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

    An association that the object lacks is sent as an empty list, as version 1 sends ``""``. No source says how an
    association ends; an association that is left out might stay.
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
    """A sync error from a record; None if it is resolved or of another application's object type."""
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
    """The ``results`` of an answer. Anything that does not look like a record is skipped."""
    results = content.get("results") if isinstance(content, Mapping) else None
    return [record for record in results if isinstance(record, Mapping)] if isinstance(results, list) else []


def millis(record: Mapping[str, Any], name: str) -> int:
    """A time in epoch milliseconds, given as an integer or as digits; 0 if there is none."""
    return whole(record.get(name)) or 0
