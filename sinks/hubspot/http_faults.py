"""Turns an HTTP answer or a broken connection into a SinkError. Pure: status, headers and exception in, error out.

Statuses are read as HubSpot documents them ("Error handling", "API usage guidelines and limits"). Nothing here shows a
URL, a key or a token: aiohttp's exceptions may hold the URL with its query, so their own text is never used.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson

from cdc.errors import (
    MAX_RETRY_AFTER_S,
    BatchRefusedError,
    OutcomeUnknownError,
    SinkError,
    SinkSwitchedOffError,
    SinkThrottledError,
    SinkUnauthorizedError,
    SinkUnavailableError,
    bounded_wait,
)
from cdc.model import Quota
from sinks.hubspot.numbers import MAX_LIMIT, whole
from sinks.hubspot.proxy import Proxy

MAX_DETAIL = 500
"""Characters of an answer's text that an error keeps."""

MAX_DATE = 64
"""Characters of an HTTP date: the longest form has under 40."""

_WAY_HINT = "no message is at fault: look at firewall, proxy and sink.base_url between here and the API"

_EMAIL = re.compile(r"[^\s@\"'<>\[\](),:;=]+@[^\s@\"'<>\[\](),:;=]+")
_AGAIN_LATER = frozenset({408, 423, 425, 477})  # request time-out, locked, too early, account is being moved
_WAY = frozenset({402, 405, 406, 411, 414, 415, 417, 421, 426, 428, 431, 451})
"""Statuses about the account's payment, or about the form of the request: no message is at fault."""

_OF_PROXY = (aiohttp.ClientHttpProxyError, aiohttp.ClientProxyConnectionError, aiohttp.ClientConnectorDNSError)
_OTHER_NAME = frozenset({62, 64})  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


@dataclass(frozen=True, slots=True)
class ApiFaults:
    """One API's own meaning of its answers. ``absent``: the hint for 404 and 410, which mean that the API does not
    exist.

    ``account``: word in an answer's message → hint, for refusals that are the account's fault, whatever the message.
    """

    absent: str = "sink.base_url does not lead to the API; check scheme, host and path"
    account: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. ``headers`` ignores case in names; ``body`` is its first 64 KiB."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_foreign(self) -> bool:
        """Whether the body cannot come from HubSpot's API: it is not empty and not JSON (a proxy's page).

        A body that begins as JSON and was cut off comes from the API.
        """
        # An answer that was cut is still the API's.
        body = self.body.lstrip()
        return bool(body) and body[:1] not in b"{[" and self.content() is None

    def content(self) -> Any:
        """The body's JSON; None if it is not JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    def member(self, name: str) -> str:
        """A text member of the body's JSON object; "" if there is none."""
        held = self.content()
        value = held.get(name) if isinstance(held, dict) else None
        return value if isinstance(value, str) else ""


class Redactor:
    """Removes secrets and email addresses from a text of the receiver, and shortens it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(sorted({s for s in secrets if s}, key=len, reverse=True))

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return " ".join(_EMAIL.sub("<email>", text).split())[:MAX_DETAIL]


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """The seconds that the answer asks to wait (Retry-After as seconds or as an HTTP date), or None.

    At most ``MAX_RETRY_AFTER_S``, however many digits there are.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        seconds = whole(text)
        # A huge number of digits must not become an endless silence.
        return bounded_wait(MAX_RETRY_AFTER_S if seconds is None else float(seconds))
    try:
        moment = parsedate_to_datetime(text[:MAX_DATE])
        # RFC dates without a zone are in GMT.
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return bounded_wait(aware.timestamp() - now_s)
    except (ValueError, OverflowError):
        return None


def quota_of(headers: Mapping[str, str]) -> Quota:
    """The X-HubSpot-RateLimit-* headers; None where a header is missing or is not a number within bounds."""

    def number(suffix: str) -> int | None:
        return whole(headers.get(f"X-HubSpot-RateLimit-{suffix}", ""), MAX_LIMIT)

    return Quota(
        limit=number("Max"),
        remaining=number("Remaining"),
        interval_ms=number("Interval-Milliseconds"),
        daily_limit=number("Daily"),
        daily_remaining=number("Daily-Remaining"),
    )


def status_fault(
    reply: Reply, faults: ApiFaults, *, what: str, address: str, redact: Redactor, now_s: float
) -> SinkError:
    """The error for an answer that is not 2xx. ``what``: the request. ``address``: host and port of the API."""
    status = reply.status
    said = redact(reply.member("message"))
    text = f"{address} answered {status} to {what}" + (f": {said}" if said else "")
    wait = retry_after_s(reply.headers, now_s)
    account = next((word for word in sorted(faults.account) if word in said), "")
    # The account's fault, whatever the status: no message may be set aside for it.
    if account and status < 500:
        return SinkSwitchedOffError(text, hint=faults.account[account])
    if status in (401, 403):
        return SinkUnauthorizedError(text, hint="check sink.api_key or sink.access_token, and the token's scopes")
    # The path is not there, so the settings or the version are wrong.
    if status in (404, 410):
        return SinkSwitchedOffError(text, hint=faults.absent)
    # A redirect leads to a login page, never to the API.
    if status < 400:
        return SinkSwitchedOffError(text, hint="sink.base_url does not lead to the API itself; check scheme and host")
    if status == 429:
        return SinkThrottledError(text, retry_after_s=wait, policy=redact(reply.member("policyName")))
    # The server's own trouble passes.
    if status >= 500 or status in _AGAIN_LATER:
        return SinkUnavailableError(text, retry_after_s=wait)
    if status == 407:
        hint = "a proxy on the way wants a login: sink.proxy = http://user:password@host:port"
        return SinkUnavailableError(text, retry_after_s=wait, hint=hint)
    if status in _WAY:
        hint = "if sink.gzip is on, turn it off: this service does not take it" if status == 415 else _WAY_HINT
        return SinkUnavailableError(text, retry_after_s=wait, hint=hint)
    # Only the API itself can refuse a message; a page of somebody else cannot.
    if reply.is_foreign and status != 413:  # 413: a smaller batch helps, whoever on the way says so
        return SinkUnavailableError(text, retry_after_s=wait, hint=_WAY_HINT)
    return BatchRefusedError(text, status=status)


def transport_fault(
    error: BaseException, *, began: bool, what: str, address: str, timeout_s: float, proxy: Proxy | None = None
) -> SinkError:
    """The error for a request without an answer.

    ``began``: the request's head was sent, so the receiver may have accepted the request. ``proxy``: the proxy before
    ``address``; then only the proxy's own address was looked up and connected to from here.
    """
    # Once the head is out, the receiver may have taken the request.
    if began:
        if isinstance(error, asyncio.TimeoutError):
            return OutcomeUnknownError(f"{address} gave no answer to {what} within {timeout_s:g} s")
        return OutcomeUnknownError(f"the connection to {address} was cut before it answered {what}")
    if proxy is not None and isinstance(error, _OF_PROXY):
        return _proxy_fault(error, address, proxy)
    if isinstance(error, asyncio.TimeoutError):
        by_way = f" through proxy {proxy.place} ({proxy.setting})" if proxy is not None else ""
        return SinkUnavailableError(
            f"no connection to {address}{by_way} within the time allowed", hint="is the host reachable?"
        )
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        # A wrong name is a wrong setting; an untrusted certificate is a matter of the system.
        if getattr(error.certificate_error, "verify_code", 0) in _OTHER_NAME:
            return SinkUnavailableError(
                f"{address} shows a certificate for another name", hint="check the host in sink.base_url"
            )
        return SinkUnavailableError(
            f"{address} shows a certificate that is not trusted",
            hint="check sink.base_url, the system's clock and its CA certificates",
        )
    if isinstance(error, aiohttp.ClientSSLError):
        return SinkUnavailableError(f"TLS with {address} failed", hint="check the scheme and port of sink.base_url")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return SinkUnavailableError(f"the name of {address} cannot be resolved", hint="check sink.base_url and DNS")
    if isinstance(error, aiohttp.InvalidURL):
        return SinkUnavailableError(f"{address} is no usable address", hint="check sink.base_url")
    return SinkUnavailableError(
        f"no connection to {address}: {_reason(error)}", hint="is it running, and sink.base_url right?"
    )


def _proxy_fault(error: BaseException, address: str, proxy: Proxy) -> SinkError:
    """The error for a proxy that cannot be reached, or that does not pass requests on: no message is at fault."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        text = f"proxy {proxy.place} answered {error.status} instead of leading to {address}"
        if error.status == 407:
            return SinkUnavailableError(text, hint=f"the proxy wants a login: {proxy.setting} = http://user:password@…")
        return SinkUnavailableError(text, hint=f"may the proxy of {proxy.setting} lead there, and can it?")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        text = f"the name of proxy {proxy.place} cannot be resolved"
    else:
        text = f"no connection to proxy {proxy.place}: {_reason(error)}"
    return SinkUnavailableError(text, hint=f'check {proxy.setting}; sink.proxy = "direct" goes without a proxy')


def _reason(error: BaseException) -> str:
    number = getattr(error, "errno", None)  # asyncio puts a sentence of its own around the system's words
    words = os.strerror(number) if isinstance(number, int) and number > 0 else getattr(error, "strerror", None)
    return words or type(error).__name__
