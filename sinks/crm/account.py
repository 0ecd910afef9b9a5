"""Reads what must be known of the account before anything is written: its properties, pipeline and currencies.

Read at the start and again every quarter of an hour, so that ``mapping push`` and changes in HubSpot take effect
without a restart. What the token may not read stays unknown; then HubSpot's answers to the writes show it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import available_timezones

from cdc.errors import SetupError, SinkError, SinkUnauthorizedError, SinkUnavailableError
from cdc.model import ObjectType
from sinks.crm import pipelines
from sinks.crm.api import Api
from sinks.crm.faults import FaultKind, read_fault, record_id_of

if TYPE_CHECKING:
    from cdc.protocols import Requests

REFRESH_S: Final = 900.0
PUSH: Final = "magento-cdc mapping push"

_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class HeldProperty:
    """A property in the account."""

    name: str
    type: str
    is_unique: bool
    is_read_only: bool


@dataclass(frozen=True, slots=True)
class AccountDetails:
    """``account-info``. ``currencies``: the account's currencies; None if it does not name them."""

    portal_id: str
    time_zone: str = ""
    kind: str = ""
    currencies: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """The known facts of the account. A type missing from ``properties``, and None elsewhere: not known."""

    details: AccountDetails
    properties: Mapping[ObjectType, Mapping[str, HeldProperty]] = field(default_factory=dict)
    pipeline: pipelines.Pipeline | None = None

    def lacks(self, kind: ObjectType, name: str) -> bool:
        """Whether a property certainly cannot be written: the account does not have it, or HubSpot computes it."""
        held = self.properties.get(kind)
        # The token may not read properties: HubSpot's own answer to the write decides.
        if held is None:
            return False
        return name not in held or held[name].is_read_only


def read_details(content: Mapping[str, Any]) -> AccountDetails:
    """``GET account-info/…/details``. SinkUnavailableError if the answer names no portal."""
    # Without a portal id the answer is not HubSpot's.
    portal_id = record_id_of(content.get("portalId"))
    if not portal_id:
        raise SinkUnavailableError("HubSpot's account details name no portal id", hint="is sink.base_url HubSpot's?")
    zone, kind = content.get("timeZone"), content.get("accountType")
    zone = zone if isinstance(zone, str) and zone in available_timezones() else ""
    listed = [content.get("companyCurrency"), *_list(content.get("additionalCurrencies"))]
    currencies = frozenset(code for code in listed if isinstance(code, str) and _CURRENCY.fullmatch(code))
    return AccountDetails(
        portal_id,
        zone,
        kind if isinstance(kind, str) and kind.replace("_", "").isalnum() else "",
        currencies or None,
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def read_properties(content: Any) -> dict[str, HeldProperty]:
    """``GET properties/…/{type}``: name → property, without archived ones."""
    found = {}
    for item in _list(content.get("results") if isinstance(content, Mapping) else None):
        # Archived properties cannot be written.
        if not isinstance(item, Mapping) or not isinstance(item.get("name"), str) or item.get("archived") is True:
            continue
        rules = item.get("modificationMetadata")
        is_read_only = isinstance(rules, Mapping) and rules.get("readOnlyValue") is True
        name, value_type = item["name"], item.get("type")
        found[name] = HeldProperty(
            name, value_type if isinstance(value_type, str) else "", item.get("hasUniqueValue") is True, is_read_only
        )
    return found


class Account:
    """Asks the account and keeps the answers."""

    def __init__(
        self,
        api: Api,
        *,
        pipeline: str,
        types: Sequence[ObjectType],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``pipeline``: the setting, a label or id, or "". ``types``: those that are written."""
        self._types = types
        self._api = api
        self._pipeline = pipeline
        self._monotonic = monotonic
        self._facts: Facts | None = None
        self._due_s = 0.0

    async def facts(self, requests: Requests) -> Facts:
        """The facts, read again when they are old. Raises the SinkError kinds only while nothing is known yet."""
        now_s = self._monotonic()
        # Asked at most every quarter of an hour.
        if self._facts is not None and now_s < self._due_s:
            return self._facts
        # other sends go on with what is known; a failure is tried again next time round
        self._due_s = now_s + REFRESH_S
        try:
            self._facts = await self.read(requests)
        except SinkError:
            # What was known before is better than nothing; at the start there is nothing.
            if self._facts is None:
                raise
        return self._facts

    def forget(self) -> None:
        """Read everything again before the next write."""
        self._due_s = 0.0

    async def read(self, requests: Requests) -> Facts:
        """Read everything now: a call for each type, and two more."""
        details = await self.details(requests)
        held: dict[ObjectType, Mapping[str, HeldProperty]] = {}
        for kind in self._types:
            properties = await self.properties(requests, kind)
            if properties is not None:
                held[kind] = properties
        return Facts(details, held, await self.pipeline(requests))

    async def details(self, requests: Requests) -> AccountDetails:
        """Portal id, time zone, kind and currencies."""
        content = await self._api.get(requests, self._api.paths.account("details"), what="the account's details")
        found = read_details(content)
        self._api.time_zone = found.time_zone
        return found

    async def properties(self, requests: Requests, kind: ObjectType) -> Mapping[str, HeldProperty] | None:
        """The type's properties; None if the token may not read them."""
        try:
            path = self._api.paths.properties(kind)
            content = await self._api.get(requests, path, what=f"the properties of {kind.value}")
        except SinkUnauthorizedError:
            return None
        return read_properties(content)

    async def pipeline(self, requests: Requests) -> pipelines.Pipeline | None:
        """The pipeline for deals; None if the token may not read pipelines, or there are none."""
        try:
            path = self._api.paths.pipelines(ObjectType.DEAL)
            content = await self._api.get(requests, path, what="the pipelines of deals")
        except SinkUnauthorizedError:
            return None
        return pipelines.resolve(pipelines.read_pipelines(content), self._pipeline)

    async def require_key(self, requests: Requests, facts: Facts, key: str) -> None:
        """SetupError unless every type has the key property, unique."""
        for kind in self._types:
            held = facts.properties.get(kind)
            # Not readable with this token, so it is tried out.
            if held is None:
                await self._probe_key(requests, kind, key)
            elif fault := key_fault(held.get(key), kind, key):
                raise SetupError(fault[0], hint=fault[1])

    async def _probe_key(self, requests: Requests, kind: ObjectType, key: str) -> None:
        """Whether records can be found by key, for a token that may not read properties."""
        body = {"idProperty": key, "inputs": [{"id": "none"}], "properties": [key], "propertiesWithHistory": []}
        reply = await self._api.call(
            requests, "POST", self._api.paths.objects(kind, "batch/read"), what=f"{kind.value} by {key}", body=body
        )
        content = reply.content()
        fault = read_fault(content if isinstance(content, Mapping) else {}, reply.status)
        # "Not found" is the right answer for a key that no record has.
        if not reply.is_ok and fault.kind is not FaultKind.NOT_FOUND:
            raise SetupError(f"{kind.value} records cannot be found by {key}: {fault.text}", hint=f"run `{PUSH}`")


def key_fault(held: HeldProperty | None, kind: ObjectType, key: str) -> tuple[str, str] | None:
    """The fault of a key property, and its fix; None if the property is as it must be."""
    if held is None:
        return f"the account has no property {key} on {kind.value}", f"run `{PUSH}`"
    if not held.is_unique:
        # HubSpot ignores a later hasUniqueValue, so this property can never become the key
        return (
            f"the account's property {key} on {kind.value} is not unique",
            f"set crm.key_property to another name and run `{PUSH}`: HubSpot cannot make a property unique later",
        )
    return None
