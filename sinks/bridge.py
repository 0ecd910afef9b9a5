"""Messages → HubSpot's Ecommerce Bridge, version 1.

``PUT /extensions/ecomm/v1/sync-messages/{type}`` takes a bare JSON array of at most 200 messages and answers 204 as
soon as they are queued; what it thinks of their content comes later, by polling sync-errors. Source of the facts:
HubSpot's OpenAPI file of the bridge (2019-07-08) and clients that ran against it. HubSpot removed the service on
2023-02-28; compatible services and the sandbox of this project still speak it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from cdc.config import SinkSettings
from cdc.errors import BatchRefusedError, SinkError, SinkSwitchedOffError, SinkUnauthorizedError, SinkUnavailableError
from cdc.model import Action, Answer, Finding, Judgement, Message, ObjectType, Outcome, Receipt
from sinks.bridge_mapping import ASSOCIATIONS, Extras, merged_settings
from sinks.http_client import HttpClient
from sinks.http_faults import Reply, quota_of, status_fault

MAX_BATCH = 200
"""Messages a request: the bridge's documented limit."""

PAGE = 200
"""Sync-errors a page, the most that the bridge gives."""

ROOT = "/extensions/ecomm/v1"
_FIX = "magento-cdc mapping push"


def wire_message(message: Message) -> dict[str, Any]:
    """One message in version 1's form.

    Every association that the type can have travels as a property; one that the object lacks is sent as ``""``, which
    production clients did for orders without a contact, so that an association can end.
    """
    properties: dict[str, str] = {}
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


class BridgeSink:
    """The Sink contract (cdc/protocols.py) over one HTTP session; answers accept whole batches."""

    name = "bridge"

    def __init__(self, settings: SinkSettings, extras: Extras | None = None) -> None:
        """Opens nothing yet. ConfigError if ``settings.base_url`` cannot be used.

        ``extras``: the merchant's own properties.
        """
        self._extras = extras or {}
        self.max_batch = min(MAX_BATCH, settings.max_batch)
        self.lines_need_product = True  # what clients met: a line without its product fails
        self._segments = {kind: settings.paths.get(kind, kind.value) for kind in ObjectType}
        self._types = {kind.value: kind for kind in ObjectType} | {text: kind for kind, text in self._segments.items()}
        self._http = HttpClient(
            settings.base_url,
            api_key=settings.api_key.get_secret_value(),
            access_token=settings.access_token.get_secret_value(),
            timeout_s=settings.timeout_s,
        )

    async def send(self, messages: Sequence[Message]) -> Answer:
        """PUT one batch. Any 2xx accepts all of it; the body is not looked at."""
        if not messages:
            return Answer(())
        object_type = messages[0].object_type
        if len(messages) > MAX_BATCH or any(m.object_type is not object_type for m in messages):
            raise ValueError(f"a batch is at most {MAX_BATCH} messages of one type")
        body = orjson.dumps([wire_message(message) for message in messages])
        path = f"{ROOT}/sync-messages/{self._segments[object_type]}"
        reply = await self._call("PUT", path, what=f"{len(messages)} {object_type} message(s)", body=body)
        receipts = (Receipt(m.external_id, m.changed_at, Outcome.ACCEPTED) for m in messages)
        return Answer(tuple(receipts), quota_of(reply.headers))

    async def judgements(self, since_ms: int) -> Sequence[Judgement]:
        """Open sync-errors with ``errored_at`` over ``since_ms``, oldest first, each once.

        Two errors may share a millisecond, so ask again from a little before the last one seen. Resolved errors are
        read along (and left out) because pages count records: one resolved while we page would shift the rest.
        """
        found: dict[tuple[ObjectType, str, int], Judgement] = {}
        seen: set[tuple[Any, ...]] = set()
        offset = 0
        while True:
            query: dict[str, str | int] = {"limit": PAGE, "offset": offset, "showResolvedErrors": "true"}
            records = _records(await self._ask("sync-errors", what="the list of sync errors", query=query))
            identities = [_identity(record) for record in records]
            if seen.issuperset(identities):  # the end, or a service that ignores offset
                break
            seen.update(identities)
            for record in records:
                judgement = self._judgement(record)
                if judgement is not None and judgement.errored_at > since_ms:
                    key = (judgement.object_type, judgement.external_id, judgement.errored_at)
                    found[key] = judgement
            if len(records) < PAGE or _millis(records[-1], "errorTimestamp") <= since_ms:
                break
            offset += PAGE
        return sorted(found.values(), key=lambda judgement: judgement.errored_at)

    def _judgement(self, record: Mapping[str, Any]) -> Judgement | None:
        object_type = self._types.get(str(record.get("objectType")))
        if object_type is None or record.get("status") == "RESOLVED":
            return None
        return Judgement(
            object_type=object_type,
            external_id=str(record.get("integratorObjectId", "")),
            changed_at=_millis(record, "changeOccurredTimestamp"),
            errored_at=_millis(record, "errorTimestamp"),
            kind=str(record.get("type", "UNKNOWN_ERROR")),
            detail=self._http.redact(str(record.get("details") or "")),
        )

    async def is_known(self, object_type: ObjectType, external_id: str) -> bool:
        """Whether HubSpot holds a record for the object (sync-status names its HubSpot id).

        400 means that it was not processed yet. ``numErrors`` is not asked: it may count errors of the past.
        """
        path = f"{ROOT}/sync-status/{self._segments[object_type]}/{external_id}"
        try:
            reply = await self._call("GET", path, what=f"the sync status of {external_id}")
        except BatchRefusedError as error:
            if error.status == 400:
                return False
            raise
        content = reply.content()
        return isinstance(content, dict) and bool(content.get("hubspotId"))

    async def check(self) -> Sequence[Finding]:
        """Reachable and key good; installed and switched on; settings as ours. Raises nothing."""
        place = self._http.place
        try:
            await self._ask("sync-errors", what="the list of sync errors", query={"limit": 1})
        except SinkError as error:
            return [Finding("sink", False, error.message, fix=error.hint)]
        findings = [Finding("sink", True, f"the bridge at {place} answers and takes the key")]
        for name, look in (("sink install", self._check_install), ("sink mapping", self._check_settings)):
            try:
                findings.append(await look(name))
            except SinkUnauthorizedError as error:
                # installs and settings take the account's key only, never an OAuth token
                token = self._http.has_token
                fix = "set sink.api_key to look, or trust the account's settings" if token else error.hint
                findings.append(Finding(name, token, error.message, fix=fix, warning=token))
            except SinkError as error:
                findings.append(Finding(name, False, error.message, fix=error.hint))
        return findings

    async def _check_install(self, name: str) -> Finding:
        status = await self._ask("installs/status", what="the install status")
        missing = [flag for flag in ("installCompleted", "ecommSettingsEnabled") if not _flag(status, flag)]
        if missing:
            return Finding(name, False, f"the bridge takes no messages yet: {', '.join(missing)} is false", fix=_FIX)
        return Finding(name, True, "the bridge is installed and switched on")

    async def _check_settings(self, name: str) -> Finding:
        lines = merged_settings(await self._settings(), self._extras)[1]
        if lines:
            more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
            return Finding(name, False, f"the settings differ from ours: {'; '.join(lines[:3])}{more}", fix=_FIX)
        return Finding(name, True, "the bridge maps every property of ours that has a place in HubSpot")

    async def push_mapping(self, *, dry_run: bool) -> Sequence[str]:
        """POST installs and PUT settings where needed; one line per thing done, or to do with ``dry_run``."""
        done = "would be " if dry_run else ""
        lines = []
        status = await self._ask("installs/status", what="the install status")
        if not _flag(status, "installCompleted"):
            if not dry_run:
                await self._call("POST", f"{ROOT}/installs", what="the install")
            lines.append(f"install: {done}made")
        body, differences = merged_settings(await self._settings(), self._extras)
        if differences:
            if not dry_run:
                await self._call("PUT", f"{ROOT}/settings", what="the settings", body=orjson.dumps(body))
            lines.append(f"settings: {done}put, {len(differences)} difference(s)")
            lines += [f"  {difference}" for difference in differences]
        return lines or ["install and settings are in place; nothing to do"]

    async def _settings(self) -> Mapping[str, Any]:
        try:
            content = await self._ask("settings", what="the settings")
        except SinkSwitchedOffError:
            return {}  # asked only after another call of the bridge worked, so: none stored yet
        return content if isinstance(content, Mapping) else {}

    async def _ask(self, path: str, *, what: str, query: Mapping[str, str | int] | None = None) -> Any:
        """GET something and read its JSON. SinkUnavailableError if it is none."""
        reply = await self._call("GET", f"{ROOT}/{path}", what=what, query=query)
        content = reply.content()
        if content is None and reply.status != 204:
            raise SinkUnavailableError(
                f"{self._http.place} answered {reply.status} to {what} with something that is not JSON",
                hint="does sink.base_url lead to the API itself?",
            )
        return content

    async def _call(
        self, method: str, path: str, *, what: str, query: Mapping[str, str | int] | None = None, body: bytes = b""
    ) -> Reply:
        """One request; raises the SinkError that its status or its failure means."""
        reply = await self._http.call(method, path, what=what, query=query, body=body)
        if not reply.is_ok:
            place, redact = self._http.place, self._http.redact
            raise status_fault(reply, what=what, place=place, redact=redact, now_s=time.time())
        return reply

    async def close(self) -> None:
        """Close the session. May be called twice."""
        await self._http.close()


def _records(content: Any) -> list[Mapping[str, Any]]:
    results = content.get("results") if isinstance(content, Mapping) else None
    return [record for record in results if isinstance(record, Mapping)] if isinstance(results, list) else []


def _identity(record: Mapping[str, Any]) -> tuple[Any, ...]:
    names = ("objectType", "integratorObjectId", "changeOccurredTimestamp", "errorTimestamp", "type")
    return tuple(str(record.get(name)) for name in names)


def _millis(record: Mapping[str, Any], name: str) -> int:
    """Epoch milliseconds, as integer or as digits; 0 where there are none."""
    value = record.get(name)
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else 0


def _flag(content: Any, name: str) -> bool:
    return isinstance(content, Mapping) and content.get(name) is True
