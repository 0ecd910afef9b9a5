"""Calls of one HubSpot API: each call under its permit. Returns the answer's JSON, or raises the SinkError
of its status.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from cdc.errors import OutcomeUnknownError, SinkUnavailableError
from cdc.protocols import Requests
from sinks.hubspot.http_client import HttpClient
from sinks.hubspot.http_faults import ApiFaults, Reply, quota_of, status_fault


class Api:
    """Calls over one HttpClient. Paths are relative to ``sink.base_url``."""

    def __init__(self, http: HttpClient, faults: ApiFaults) -> None:
        """``faults``: this API's own meaning of statuses."""
        self.http = http
        self._faults = faults

    async def call(
        self,
        requests: Requests,
        family: str,
        method: str,
        path: str,
        *,
        what: str,
        query: Mapping[str, str | int] | None = None,
        body: bytes = b"",
    ) -> Reply:
        """Make one call under one permit of ``family``. Raises the SinkError that this API means by a status other than
        2xx.

        ``what`` names the call in errors. An answer whose body is not JSON cannot come from the API, so it accepts
        nothing. Then OutcomeUnknownError is raised, as the call may have reached the API nevertheless.
        """
        async with requests.permit(family) as permit:
            reply = await self.http.call(method, path, what=what, query=query, body=body)
            permit.answered(quota_of(reply.headers))
            address, redact = self.http.address, self.http.redact
            # Every status outside of 2xx has its meaning in http_faults.py.
            if not reply.is_ok:
                raise status_fault(reply, self._faults, what=what, address=address, redact=redact, now_s=time.time())
            # A proxy's page with status 200 confirms nothing.
            if reply.is_foreign:
                raise OutcomeUnknownError(
                    f"{address} answered {reply.status} to {what} with something that is not JSON",
                    hint="a proxy or a maintenance page answers in the API's place, or sink.base_url is wrong",
                )
        return reply

    async def ask(
        self,
        requests: Requests,
        family: str,
        path: str,
        *,
        what: str,
        query: Mapping[str, str | int] | None = None,
    ) -> Any:
        """GET a resource and return its JSON; None for 204. SinkUnavailableError if the answer is not JSON."""
        try:
            reply = await self.call(requests, family, "GET", path, what=what, query=query)
        except OutcomeUnknownError as error:  # a question changes nothing, so nothing is unknown after it
            raise SinkUnavailableError(error.message, hint=error.hint) from None
        content = reply.content()
        # 204 says "nothing" on purpose.
        if content is None and reply.status != 204:
            raise SinkUnavailableError(
                f"{self.http.address} answered {reply.status} to {what} without JSON",
                hint="does sink.base_url lead to the API itself?",
            )
        return content
