"""Messages → HubSpot's Ecommerce Bridge, versions 1 and 2.

Either takes at most 200 messages of one type a request and answers 204 as soon as they are queued; what it thinks of
their content comes later, by polling sync-errors. HubSpot removed the service on 2023-02-28; compatible services and
the sandbox of this project still speak it. What the versions look like on the wire is in ``bridge_forms.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cdc.errors import BatchRefusedError, SinkError
from cdc.model import Answer, CheckResult, Message, ObjectType, Outcome, Receipt, SyncError, SyncStatus
from cdc.settings.config import SinkSettings
from sinks.bridge.account import Account
from sinks.bridge.call import Caller
from sinks.bridge.mapping import Extras
from sinks.bridge.wire import Form, FormV1, FormV2, is_newest_first, millis, read_error, records_of
from sinks.hubspot.http_client import HttpClient
from sinks.hubspot.http_faults import quota_of

MAX_BATCH = 200
"""Messages a request: the bridge's documented limit, in both versions."""


class BridgeSink:
    """The Sink contract (cdc/protocols.py) over one HTTP session; answers accept whole batches."""

    name = "bridge"

    def __init__(self, settings: SinkSettings, extras: Extras | None = None) -> None:
        """Opens nothing yet. ConfigError if ``settings.base_url`` cannot be used.

        ``extras``: the merchant's own properties.
        """
        self.max_batch = min(MAX_BATCH, settings.max_batch)
        self.lines_need_product = True  # what clients met: a line without its product fails
        self._form: Form = FormV1(settings.paths) if settings.api_version == 1 else FormV2(settings.store_id)
        self._store_id = settings.store_id
        self._http = HttpClient(
            settings.base_url,
            api_key=settings.api_key.get_secret_value(),
            access_token=settings.access_token.get_secret_value(),
            timeout_s=settings.timeout_s,
            gzip=settings.gzip,
        )
        self._caller = Caller(self._http)
        self._account = Account(self._caller, settings, self._form.root, extras or {})

    async def send(self, messages: Sequence[Message]) -> Answer:
        """PUT one batch. Any 2xx accepts all of it; the body is not looked at."""
        if not messages:
            return Answer(())
        object_type = messages[0].object_type
        if len(messages) > MAX_BATCH or any(m.object_type is not object_type for m in messages):
            raise ValueError(f"a batch is at most {MAX_BATCH} messages of one type")
        path, body = self._form.messages(messages)
        reply = await self._caller.call("PUT", path, what=f"{len(messages)} {object_type} message(s)", body=body)
        receipts = (Receipt(m.external_id, m.changed_at, Outcome.ACCEPTED) for m in messages)
        return Answer(tuple(receipts), quota_of(reply.headers))

    async def sync_errors(self, since_ms: int) -> Sequence[SyncError]:
        """Open sync-errors with ``errored_at`` over ``since_ms``, oldest first, each once.

        Two errors may share a millisecond, so ask again from a little before the last one seen.
        """
        found: dict[tuple[ObjectType, str, int], SyncError] = {}
        seen: set[tuple[str, ...]] = set()
        page: int | None = 0
        while page is not None:
            content = await self._errors(page)
            records = records_of(content)
            identities = [self._identity(record) for record in records]
            if seen.issuperset(identities):  # the end, or a service that ignores the page asked for
                break
            seen.update(identities)
            for sync_error in filter(None, (self._judgement(record) for record in records)):
                if sync_error.errored_at > since_ms:
                    found[sync_error.object_type, sync_error.external_id, sync_error.errored_at] = sync_error
            oldest_ms = min(millis(record, self._form.error_names.errored_at) for record in records)
            if oldest_ms <= since_ms and is_newest_first(self._form, records):
                break
            page = self._form.next_page(content, page, len(records))
        return sorted(found.values(), key=lambda sync_error: sync_error.errored_at)

    async def _errors(self, page: int, **more: int) -> Any:
        path, query = self._form.errors(page, has_token=self._http.has_token)
        return await self._caller.ask(path, what="the list of sync errors", query={**query, **more})

    def _identity(self, record: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(str(record.get(name)) for name in ("storeId", "objectType", "type", *self._form.error_names))

    def _judgement(self, record: Mapping[str, Any]) -> SyncError | None:
        if record.get("storeId", self._store_id) != self._store_id:
            return None  # version 2 lists the errors of all stores
        sync_error = read_error(self._form, record)
        return None if sync_error is None else replace(sync_error, detail=self._http.redact(sync_error.detail))

    async def is_known(self, object_type: ObjectType, external_id: str) -> bool:
        """Whether HubSpot holds a record for the object (sync-status names its HubSpot id)."""
        standing = await self.standing(object_type, external_id)
        return standing is not None and bool(standing.hubspot_id)

    async def standing(self, object_type: ObjectType, external_id: str) -> SyncStatus | None:
        """The object's sync-status. 400, which is the bridge's word for "not processed yet", is None."""
        path = self._form.status_path(object_type, external_id)
        try:
            content = await self._caller.ask(path, what=f"the sync status of {external_id}")
        except BatchRefusedError as error:
            if error.status == 400:
                return None
            raise
        return self._form.standing(content) if isinstance(content, Mapping) else None

    async def check(self) -> Sequence[CheckResult]:
        """Reachable and key good; installed and switched on; settings as ours. Raises nothing."""
        try:
            await self._errors(0, limit=1)
        except SinkError as error:
            return [CheckResult("sink", False, error.message, fix=error.hint)]
        return [
            CheckResult("sink", True, f"the bridge at {self._http.place} answers and takes the key"),
            *await self._account.check(),
        ]

    async def push_mapping(self, *, dry_run: bool) -> Sequence[str]:
        """Install or make the store, and put the settings, where needed; one line per thing done or to do."""
        return await self._account.push(dry_run=dry_run)

    async def close(self) -> None:
        """Close the session. May be called twice."""
        await self._http.close()
