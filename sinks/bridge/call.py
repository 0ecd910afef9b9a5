"""One call of the bridge: its answer's JSON, or the SinkError that its status or its failure means."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from cdc.errors import SinkUnavailableError
from sinks.hubspot.http_client import HttpClient
from sinks.hubspot.http_faults import Reply, status_fault


class Caller:
    """Calls over one HttpClient. Paths begin behind ``sink.base_url``."""

    def __init__(self, http: HttpClient) -> None:
        self.http = http

    async def call(
        self, method: str, path: str, *, what: str, query: Mapping[str, str | int] | None = None, body: bytes = b""
    ) -> Reply:
        """One request; raises the SinkError that anything but a 2xx means."""
        reply = await self.http.call(method, path, what=what, query=query, body=body)
        if not reply.is_ok:
            place, redact = self.http.place, self.http.redact
            raise status_fault(reply, what=what, place=place, redact=redact, now_s=time.time())
        return reply

    async def ask(self, path: str, *, what: str, query: Mapping[str, str | int] | None = None) -> Any:
        """GET something and read its JSON. SinkUnavailableError if it is none."""
        reply = await self.call("GET", path, what=what, query=query)
        content = reply.content()
        if content is None and reply.status != 204:
            raise SinkUnavailableError(
                f"{self.http.place} answered {reply.status} to {what} with something that is not JSON",
                hint="does sink.base_url lead to the API itself?",
            )
        return content
