"""Sends messages to HubSpot's Ecommerce Bridge, versions 1 and 2.

Either version takes at most 200 messages of one type a call, and answers 204 as soon as they are queued. Refusals of
their content come later, as sync errors. HubSpot removed the service on 2023-02-28; compatible services and this
project's sandbox still have it. ``wire.py`` has the versions' forms on the wire.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cdc.errors import BatchRefusedError, SinkError
from cdc.model import (
    Answer,
    CheckResult,
    Message,
    ObjectType,
    Outcome,
    Receipt,
    SyncError,
    SyncErrorPage,
    SyncStatus,
)
from cdc.protocols import NO_NOTES, CallFamily, EmailChange, Requests, SinkTraits
from cdc.settings.mapping import CustomProperties
from cdc.settings.sink import SinkSettings
from sinks.bridge import error_pages
from sinks.bridge.account import Account
from sinks.bridge.error_types import ADVICE, FAULTS
from sinks.bridge.mapping import MAPPED, source_of
from sinks.bridge.wire import FAMILY, Form, FormV1, FormV2, millis, read_error, records_of
from sinks.hubspot.api import Api
from sinks.hubspot.http_client import HttpClient, keys_of
from sinks.hubspot.numbers import text_of

MAX_BATCH = 200
"""Messages in a call: the bridge's documented limit, in both versions."""


def traits_of(settings: SinkSettings, custom: CustomProperties) -> SinkTraits:
    """The bridge's traits."""
    return SinkTraits(
        name="bridge",
        object_types=frozenset(MAPPED),
        max_batch=min(MAX_BATCH, settings.max_batch),
        # what clients met: a line without its product fails, so it has to wait for the product
        optional_references={ObjectType.DEAL: frozenset({ObjectType.CONTACT})},
        families={FAMILY: CallFamily(settings.requests_per_10s)},
        poll_s=settings.judge_poll_s,
        email_change=EmailChange.LEAVE_OUT if settings.on_email_change == "leave_out" else EmailChange.SEND,
        email_property=source_of(ObjectType.CONTACT, "email", custom),
        advice=ADVICE,
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class BridgeSink:
    """Sink, LaterVerdicts and SinkSetup (cdc/protocols.py) over one HTTP session. An answer accepts a whole batch."""

    def __init__(
        self,
        settings: SinkSettings,
        custom: CustomProperties | None = None,
        *,
        namespace: str = "magento",
        now_ms: Callable[[], int] = _now_ms,
    ) -> None:
        """Opens nothing yet. ConfigError if ``settings.base_url`` cannot be used.

        ``custom``: the merchant's own properties. ``namespace``: the prefix of our external ids.
        """
        self.traits = traits_of(settings, custom or {})
        self._form: Form = FormV1(settings.paths) if settings.api_version == 1 else FormV2(settings.store_id)
        self._store_id = settings.store_id
        self._prefix = f"{namespace}-"
        self._now_ms = now_ms
        self._http = HttpClient(
            settings.base_url,
            keys=lambda: keys_of(settings),
            timeout_s=settings.timeout_s,
            gzip=settings.gzip,
            proxy=settings.proxy.get_secret_value(),
        )
        self._api = Api(self._http, FAULTS)
        self._account = Account(self._api, settings, self._form.root, custom or {})

    async def send(self, messages: Sequence[Message], requests: Requests) -> Answer:
        """PUT one batch. Any 2xx without a body, or with JSON in it, accepts all of the batch."""
        if not messages:
            return Answer(())
        object_type = messages[0].object_type
        # Mixed or too large batches would be refused as a whole, with every message in them.
        if len(messages) > MAX_BATCH or any(m.object_type is not object_type for m in messages):
            raise ValueError(f"a batch is at most {MAX_BATCH} messages of one type")
        path, body = self._form.messages(messages)
        what = f"{len(messages)} {object_type} message(s)"
        await self._api.call(requests, FAMILY, "PUT", path, what=what, body=body)
        return Answer(tuple(Receipt(m.external_id, m.changed_at, Outcome.ACCEPTED) for m in messages))

    async def sync_errors(self, progress: str, requests: Requests) -> SyncErrorPage:
        """One page of the open sync errors; see error_pages.py for the order of pages."""
        descent = error_pages.parse(progress)
        content = await self._errors(requests, descent.page)
        records = records_of(content)
        names = self._form.error_names
        read = [
            error_pages.Record(
                millis(record, names.errored_at),
                text_of(record.get(names.external_id)).startswith(self._prefix),
                error_pages.identity_of(record, ("storeId", "objectType", "type", *names)),
            )
            for record in records
        ]
        following = self._form.next_page(content, descent.page, len(records))
        after, is_last = error_pages.after_page(
            descent, read, following, self._now_ms(), are_offsets=self._form.pages_are_offsets
        )
        errors = [error for record in records if (error := self._sync_error(record)) is not None]
        return SyncErrorPage(
            tuple(sorted((e for e in errors if e.errored_at > descent.from_ms), key=lambda e: e.errored_at)),
            error_pages.dump(after),
            is_last,
        )

    async def _errors(self, requests: Requests, page: int, **more: int) -> Any:
        path, query = self._form.errors(page, has_token=self._http.has_token)
        return await self._api.ask(requests, FAMILY, path, what="the list of sync errors", query={**query, **more})

    def _sync_error(self, record: Mapping[str, Any]) -> SyncError | None:
        # An error of another shop's store must not touch our objects.
        if record.get("storeId", self._store_id) != self._store_id:
            return None  # version 2 lists the errors of all stores
        error = read_error(self._form, record)
        return None if error is None else replace(error, detail=self._http.redact(error.detail))

    async def is_known(self, object_type: ObjectType, external_id: str, requests: Requests) -> bool:
        """Whether HubSpot has a record of the object (sync-status names its HubSpot id)."""
        status = await self.sync_status(object_type, external_id, requests)
        return status is not None and bool(status.hubspot_id)

    async def sync_status(self, object_type: ObjectType, external_id: str, requests: Requests) -> SyncStatus | None:
        """The object's sync-status. None for 400, by which the bridge says "not processed yet"."""
        path = self._form.status_path(object_type, external_id)
        try:
            content = await self._api.ask(requests, FAMILY, path, what=f"the sync status of {external_id}")
        except BatchRefusedError as error:
            # The bridge says 400 for an object that it has not processed yet.
            if error.status == 400:
                return None
            raise
        return self._form.status(content) if isinstance(content, Mapping) else None

    async def check(self, requests: Requests, notes: Mapping[str, str] = NO_NOTES) -> Sequence[CheckResult]:
        """Whether the bridge is reachable, the key valid, the app installed and switched on, and the settings ours.
        Raises nothing.
        """
        # HubSpot would answer 401 as for a wrong key, and one would look for the fault in the key.
        if not self._http.has_secret:
            fix = "set sink.api_key or sink.access_token, or the file that holds it"
            return [CheckResult("sink", False, "sink.api_key and sink.access_token are empty", fix=fix)]
        try:
            await self._errors(requests, 0, limit=1)
        except SinkError as error:
            # check reports what it finds, and never fails itself.
            return [CheckResult("sink", False, error.message, fix=error.hint)]
        return [
            CheckResult("sink", True, f"the bridge at {self._http.address} answers and takes the key"),
            *await self._account.check(requests),
        ]

    async def push_mapping(self, requests: Requests, *, dry_run: bool) -> Sequence[str]:
        """Install or create the store, and put the settings, where needed. One line per step done or to do."""
        return await self._account.push(requests, dry_run=dry_run)

    def renew_keys(self) -> bool:
        """See ``RenewsKeys``."""
        return self._http.renew()

    async def close(self) -> None:
        """Close the session. May be called twice."""
        await self._http.close()
