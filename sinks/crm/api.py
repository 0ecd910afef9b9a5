"""One call of HubSpot's API under its permit: JSON in, JSON out. Refusals that are not about content become errors."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson

from cdc.errors import (
    BatchRefusedError,
    OutcomeUnknownError,
    SinkError,
    SinkSwitchedOffError,
    SinkThrottledError,
    SinkUnauthorizedError,
    SinkUnavailableError,
)
from sinks.crm.answers import errors_of
from sinks.crm.faults import context_of, texts_of
from sinks.crm.paths import Paths
from sinks.hubspot.http_client import HttpClient
from sinks.hubspot.http_faults import ApiFaults, Reply, quota_of, status_fault

if TYPE_CHECKING:
    from cdc.protocols import Requests

OBJECTS: Final = "objects"
"""The family of all calls except those of associations and searches."""

ASSOCIATIONS: Final = "associations"
"""HubSpot counts calls to /crm/associations separately."""

_ABOUT_CONTENT: Final = frozenset({400, 404, 409, 413, 422})
"""Statuses that are about a call's content; the caller reads the body."""

SEARCH: Final = "search"
"""Searches have a limit of their own, which their answers do not show."""

SEARCHES_PER_10S: Final = 40
"""HubSpot allows 5 a second, or 4 by its older pages."""

_FAULTS: Final = ApiFaults()
_SCOPE_HINT: Final = "give the token's key or app these scopes in HubSpot, or check sink.access_token"


class MissingScopesError(SinkUnauthorizedError):
    """A 403 that names the scopes which the token lacks."""

    def __init__(self, message: str, scopes: Sequence[str] = ()) -> None:
        super().__init__(message, hint=_SCOPE_HINT)
        self.scopes = tuple(scopes)


class Api:
    """Calls over one HTTP client. Paths are relative to ``sink.base_url``."""

    def __init__(self, http: HttpClient, paths: Paths, max_body: int) -> None:
        self.http = http
        self.paths = paths
        self.max_body = max_body
        """``sink.max_batch_kb`` in bytes: batch calls are cut so that no body is larger."""
        self.time_zone = ""
        """The account's time zone, an IANA name, once it is known."""

    async def call(
        self,
        requests: Requests,
        method: str,
        path: str,
        *,
        what: str,
        body: Any = None,
        query: Mapping[str, str | int] | None = None,
        family: str = OBJECTS,
        writes: bool = False,
    ) -> Reply:
        """Make one request. Returns any 2xx, and refusals about content (400, 404, 409, 413, 422); raises for all
        others.

        ``writes``: a server error may come after the write was made, so its outcome is unknown. Raises
        SinkUnauthorizedError (which names the scopes), SinkThrottledError, SinkUnavailableError, OutcomeUnknownError,
        SinkSwitchedOffError and SendingStoppedError.
        """
        content = b"" if body is None else orjson.dumps(body)
        async with requests.permit(family) as permit:
            reply = await self.http.call(method, path, what=what, query=query, body=content)
            permit.answered(quota_of(reply.headers))
            # A refusal of content is the caller's: only it knows what the call held.
            if reply.is_ok or reply.status in _ABOUT_CONTENT:
                return reply
            raise self._fault(reply, what, writes=writes)

    async def get(
        self, requests: Requests, path: str, *, what: str, query: Mapping[str, str | int] | None = None
    ) -> Any:
        """GET a JSON object. BatchRefusedError with the status if it is refused."""
        reply = await self.call(requests, "GET", path, what=what, query=query)
        return self.content(reply, what)

    def content(self, reply: Reply, what: str) -> Any:
        """The JSON of a 2xx. Raises BatchRefusedError for a refusal, SinkUnavailableError for a body that is not a JSON
        object.

        A page of a proxy, with status 200, is not an answer of HubSpot: it confirms nothing.
        """
        if not reply.is_ok:
            raise self.refused(reply, what)
        content = reply.content()
        # A page of a proxy or of maintenance confirms nothing.
        if not isinstance(content, Mapping):
            raise SinkUnavailableError(
                f"{self.http.address} answered {reply.status} to {what} with something that is not HubSpot's JSON",
                hint="does sink.base_url lead to the API itself?",
            )
        return content

    def refused(self, reply: Reply, what: str) -> BatchRefusedError:
        """The error for a refusal about content, with HubSpot's text redacted and shortened."""
        said = self.http.redact(reply.member("message"))
        return BatchRefusedError(
            f"{self.http.address} answered {reply.status} to {what}" + (f": {said}" if said else ""),
            status=reply.status,
        )

    def _fault(self, reply: Reply, what: str, *, writes: bool) -> SinkError:
        address = self.http.address
        # Scopes are named only in the body, and only in some answers.
        if reply.status in (401, 403):
            scopes = missing_scopes(reply.content())
            said = self.http.redact(reply.member("message"))
            text = f"{address} answered {reply.status} to {what}" + (f": {said}" if said else "")
            if scopes:
                return MissingScopesError(f"{text}; the token lacks {', '.join(scopes)}", scopes)
            return SinkUnauthorizedError(text, hint="check sink.access_token: a service key or a private app's token")
        # HubSpot retires date versions: no message is at fault.
        if reply.status == 410:
            return SinkSwitchedOffError(
                f"{address} answered 410 to {what}", hint="crm.api_version is over; set a newer date version"
            )
        # A gateway's error may come after the write was made.
        if writes and reply.status >= 500:
            return OutcomeUnknownError(f"{address} answered {reply.status} to {what}: it may have been written")
        fault = status_fault(reply, _FAULTS, what=what, address=address, redact=self.http.redact, now_s=time.time())
        # The end of a daily limit depends on the account's time zone.
        if isinstance(fault, SinkThrottledError):
            fault.time_zone = self.time_zone
        return fault


def missing_scopes(content: Any) -> list[str]:
    """The scopes that a 403 names as missing."""
    found: list[str] = []
    for error in errors_of(content):
        for name in ("requiredGranularScopes", "requiredScopes"):
            found += [scope for scope in texts_of(context_of(error).get(name)) if _is_scope(scope)]
    return list(dict.fromkeys(found))[:20]


def _is_scope(text: str) -> bool:
    return len(text) <= 100 and text.replace(".", "").replace("_", "").replace("-", "").isalnum()
