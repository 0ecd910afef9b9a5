"""Sends messages to HubSpot's present CRM: objects by batch calls with an outcome per input, links by associations.

One send takes messages of one type: deletions first, as an object and its successor may share a record; then UPSERTs
(``upserts.py``); then moves and links. If a call fails after earlier calls had results, the finished messages keep
theirs and the rest is tried again. A message that was written without its links is then only linked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from cdc.errors import ConfigError, SetupError, SinkError
from cdc.model import Action, Adoption, Answer, CheckResult, Comparison, Message, ObjectType, Outcome
from cdc.protocols import NO_NOTES, CallFamily, EmailChange, Requests, SinkNotes, SinkTraits
from cdc.settings.config import Settings
from sinks.crm.account import Account
from sinks.crm.adopt import adopt
from sinks.crm.api import ASSOCIATIONS, OBJECTS, SEARCH, SEARCHES_PER_10S, Api
from sinks.crm.batches import Batches
from sinks.crm.check import check, kept_findings
from sinks.crm.compare import compare, keys, newest
from sinks.crm.deletes import delete
from sinks.crm.links import link
from sinks.crm.lookup import NATURAL
from sinks.crm.memory import Memory
from sinks.crm.paths import Paths, record_link
from sinks.crm.pieces import MAX_INPUTS
from sinks.crm.properties import table_of, types_of
from sinks.crm.push import Push
from sinks.crm.rules import kept_rules
from sinks.crm.tools import Tools
from sinks.crm.upserts import Upserts
from sinks.crm.work import Step, Work
from sinks.hubspot.http_client import HttpClient, keys_of

ACCOUNT_NOTE: Final = "account_id"
"""The name of the state's note with the first portal that was seen."""

CONTACTS_NOTE: Final = "contacts"
"""The name of the state's note with ``Memory.shared`` and ``Memory.conflicts``."""

RULES_NOTE: Final = "account_rules"
"""The name of the state's note with ``Memory.refused`` and ``Memory.currencies``."""

FURTHER_START_CALLS: Final = 2
"""Calls of ``Account.facts`` beside those for each type's properties: the pipelines of deals, the account's details."""

ADVICE: Final = {
    "deleted_in_hubspot": "restore the record in HubSpot or delete it there for good, then `deadletter retry`",
    "deleted_by_people": "people deleted the object's record in HubSpot; `deadletter retry` creates the record again",
    "MISSING_REQUIRED_PROPERTY": "a rule of the account requires this property; fill or map it, or ease the rule",
    "MISSING_CONDITIONAL_REQUIRED_PROPERTY": "a rule of the account requires this property; ease the rule",
    "REQUEST_TOO_LARGE": "the message is larger than a proxy or gateway takes; raise that limit, or map shorter texts",
    "INVALID_EMAIL": "HubSpot does not take the address; mend it in Magento",
    "INVALID_OPTION": "add the option to the property in HubSpot, or map another property",
}
"""Reason of a dead letter → what to do next."""


class CrmSink:
    """The Sink contract (cdc/protocols.py) over HubSpot's date-versioned CRM API."""

    def __init__(self, settings: Settings) -> None:
        """Opens nothing yet. ConfigError without a token, or for settings that cannot work."""
        token = settings.sink.access_token.get_secret_value()
        if not token:
            raise ConfigError([_no_token(settings)])
        self._settings = settings.crm
        self.table = table_of(settings)
        self._http = HttpClient(
            settings.sink.base_url,
            keys=lambda: keys_of(settings.sink, token_only=True),
            timeout_s=settings.sink.timeout_s,
            gzip=settings.sink.gzip,
            proxy=settings.sink.proxy.get_secret_value(),
        )
        self.api = Api(self._http, Paths(settings.crm.api_version), settings.sink.max_batch_kb * 1024)
        self.account = Account(self.api, pipeline=settings.crm.pipeline, types=self.table.types)
        self.memory = Memory()
        self._notes: SinkNotes | None = None
        self._portal = ""
        self.traits = traits_of(settings)

    async def start(self, requests: Requests, notes: SinkNotes) -> None:
        """See ``SinkStart``. Checks that the token belongs to the right account, and that the key property exists and
        is unique.
        """
        facts = await self.account.facts(requests)
        portal = facts.details.portal_id
        wanted = str(self._settings.account_id or "") or await notes.get(ACCOUNT_NOTE)
        if wanted and wanted != portal:
            # records of another account must never be taken for those that the state knows
            raise SetupError(
                f"sink.access_token belongs to HubSpot account {portal}, this installation to {wanted}",
                hint="use a token of that account; for another account set crm.account_id and a new state.dir",
            )
        await self.account.require_key(requests, facts, self.table.key)
        await notes.put(ACCOUNT_NOTE, portal)
        self._notes, self._portal = notes, portal
        self.memory.shared, self.memory.conflicts = read_note(await notes.get(CONTACTS_NOTE))
        self.memory.refused, self.memory.currencies = read_note(await notes.get(RULES_NOTE))

    async def send(self, messages: Sequence[Message], requests: Requests) -> Answer:
        """Write one batch. Outcomes are per message; the SinkError kinds are raised only while there is no outcome."""
        if not messages:
            return Answer(())
        kind = messages[0].object_type
        if len(messages) > MAX_INPUTS or any(message.object_type is not kind for message in messages):
            raise ValueError(f"a batch is at most {MAX_INPUTS} messages of one type")
        works = await _carry_out(await self._tools(requests), kind, messages)
        if self.memory.has_changed and self._notes is not None:
            self.memory.has_changed = False
            memory = self.memory
            await self._notes.put(CONTACTS_NOTE, orjson.dumps([memory.shared, memory.conflicts]).decode())
            await self._notes.put(RULES_NOTE, orjson.dumps([memory.refused, memory.currencies]).decode())
        return Answer(tuple(work.receipt() for work in works))

    async def check(self, requests: Requests, notes: Mapping[str, str] = NO_NOTES) -> Sequence[CheckResult]:
        """See ``SinkSetup``."""
        findings = await check(self.api, self.account, requests, self.table, self._settings)
        kept = kept_findings(*read_note(notes.get(CONTACTS_NOTE, "")))
        return [*findings, *kept, *kept_rules(*read_note(notes.get(RULES_NOTE, "")))]

    async def push_mapping(self, requests: Requests, *, dry_run: bool) -> Sequence[str]:
        """See ``SinkSetup``."""
        push = Push(self.api, requests, self.table, pipeline=self._settings.pipeline, dry_run=dry_run)
        lines = await push.run()
        self.account.forget()
        return lines

    async def compare(self, messages: Sequence[Message], requests: Requests) -> Sequence[Comparison]:
        """See ``SinkReader``."""
        if not messages:
            return ()
        return await compare(await self._tools(requests), messages[0].object_type, messages)

    async def keys(
        self, object_type: ObjectType, after: str, requests: Requests
    ) -> tuple[Sequence[tuple[str, str]], str]:
        """See ``SinkReader``."""
        return await keys(await self._tools(requests), object_type, after)

    async def newest(self, object_type: ObjectType, requests: Requests) -> Sequence[tuple[str, str]]:
        """See ``SinkWitness``."""
        return await newest(await self._tools(requests), object_type)

    def record_link(self, object_type: ObjectType, record_id: str) -> str:
        """See ``SinkReader``."""
        return record_link(object_type, record_id, self._portal)

    async def adopt(
        self,
        object_type: ObjectType,
        keys: Mapping[str, Sequence[str]],
        requests: Requests,
        *,
        order_property: str,
        dry_run: bool,
    ) -> Adoption:
        """See ``SinkAdopter``."""
        tools = await self._tools(requests)
        return await adopt(tools, object_type, keys, order_property=order_property, dry_run=dry_run)

    async def _tools(self, requests: Requests) -> Tools:
        facts = await self.account.facts(requests)
        batches = Batches(self.api, requests)
        return Tools(batches, self.table, self._settings, self.account, facts, self.memory)

    def renew_keys(self) -> bool:
        """See ``RenewsKeys``."""
        return self._http.renew()

    def bound_bodies(self, max_bytes: int) -> None:
        """See ``BoundsBodies``."""
        self.api.max_body = max_bytes

    async def close(self) -> None:
        """Close the session. May be called twice."""
        await self._http.close()


def traits_of(settings: Settings) -> SinkTraits:
    """This sink's traits. They need no token, so that commands which send nothing work without one."""
    types = types_of(with_carts=settings.mapping.carts.as_objects)
    per_10s, is_open = settings.sink.requests_per_10s, settings.sink.max_requests_per_10s is None
    return SinkTraits(
        name="crm",
        object_types=frozenset(types),
        max_batch=min(MAX_INPUTS, settings.sink.max_batch),
        optional_references={
            ObjectType.DEAL: frozenset({ObjectType.CONTACT}),
            ObjectType.LINE_ITEM: frozenset({ObjectType.PRODUCT}),
            ObjectType.CART: frozenset({ObjectType.CONTACT, ObjectType.DEAL}),
        },
        families={
            OBJECTS: CallFamily(per_10s, may_grow=is_open),
            # the headers of these calls may tell the account's other limit, which is higher than that of associations
            ASSOCIATIONS: CallFamily(per_10s),
            SEARCH: CallFamily(min(per_10s, SEARCHES_PER_10S)),
        },
        start_calls=len(types) + FURTHER_START_CALLS,
        # an object that HubSpot may know already is looked for by its address or SKU before it is created
        calls_per_batch=dict.fromkeys(NATURAL, 2),
        email_change=EmailChange.IN_PLACE,
        contacts_by_email=True,
        advice=ADVICE,
    )


def _no_token(settings: Settings) -> str:
    """The error text without a token; a key of the bridge shows that the settings are for the bridge."""
    text = 'sink.access_token: is empty; sink.kind = "crm" (the default) needs a service key or an app\'s token'
    if settings.sink.api_key.get_secret_value():
        text += '. sink.api_key is for sink.kind = "bridge" only'
    return text


def read_note(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """The two mappings of a note; both empty without a note."""
    first, second = orjson.loads(text) if text else ({}, {})
    return first, second


async def _carry_out(tools: Tools, kind: ObjectType, messages: Sequence[Message]) -> list[Work]:
    """All steps of one send, in order. Raises only if no message was written or settled before."""
    upserts = Upserts(kind, tools)
    works = [
        upserts.work_of(message) if message.action is Action.UPSERT else Work(message, {}, record_id=message.record_id)
        for message in messages
    ]
    deletions = [work for work in works if work.message.action is Action.DELETE]
    written = [work for work in works if work.message.action is Action.UPSERT]
    try:
        await delete(tools, kind, deletions)
        await upserts.run(written)
        await upserts.finish(written)
        await link(tools, kind, written)
    except SinkError as error:
        if all(work.is_open for work in works):
            raise
        _leave_rest(works, error)
    return works


def _leave_rest(works: Sequence[Work], error: SinkError) -> None:
    """Let the unfinished messages be tried again after an error; delivery meets the error itself at its
    next request.
    """
    reason = type(error).__name__.removesuffix("Error")
    for work in works:
        if work.step is Step.WRITTEN:
            work.settle(Outcome.WRITTEN, reason, error.message)
        elif work.is_open:
            work.settle(Outcome.RETRY, reason, error.message)
