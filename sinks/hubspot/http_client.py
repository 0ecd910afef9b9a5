"""One HTTP session to one API: credentials, time-outs and keep-alive. Every failure is raised as a SinkError.

Shared by the sinks that speak HTTP. It never retries: aiohttp's own second attempt on a dropped connection is turned
off, because delivery alone decides what is sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip as gzip_format
import os
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

import aiohttp
from yarl import URL

from cdc.errors import ConfigError, SinkError
from cdc.settings.secret_files import fresh
from cdc.settings.sink import SinkSettings
from sinks.hubspot.http_faults import Redactor, Reply, transport_fault
from sinks.hubspot.proxy import find_proxy

MAX_BODY = 64 * 1024
"""Bytes that are read of an answer whose content is not needed (errors)."""

MAX_CONTENT = 16 * 1024 * 1024
"""Bytes of an answer that is parsed (a page of 200 sync-errors has about 200 KB)."""

GZIP_FROM = 1024
"""Bodies of at least this many bytes are compressed; a smaller body fits one packet anyway."""

UNAUTHORIZED: Final = 401

CONNECT_S = 10.0
"""Seconds for the TCP connection; the whole request's time-out caps it."""


class _CutError(aiohttp.ClientError):
    """A connection that ended without an answer. aiohttp does not repeat requests that end with this kind of error."""


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Client middleware: hide a dropped connection from aiohttp's automatic second attempt for PUT and GET."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        # Before the connection: nothing was sent.
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        # aiohttp would send the request again by itself, and the receiver would get it twice.
        raise _CutError("cut") from error


async def _mark_begun(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.began = True


class Keys(NamedTuple):
    """The credentials of requests; a token is preferred to a key."""

    api_key: str
    access_token: str

    @property
    def query(self) -> dict[str, str]:
        """The key, as part of the address."""
        return {"hapikey": self.api_key} if self.api_key and not self.access_token else {}

    @property
    def headers(self) -> dict[str, str]:
        """The token, as a header."""
        return {"Authorization": f"Bearer {self.access_token}"} if self.access_token else {}


def keys_of(settings: SinkSettings, *, token_only: bool = False) -> Keys:
    """The credentials as they are now; files are read again. ``token_only``: the API takes no key."""
    key = "" if token_only else fresh(settings.api_key, settings.api_key_file)
    return Keys(key, fresh(settings.access_token, settings.access_token_file))


class HttpClient:
    """Calls one API. The session is created at the first call, in the running event loop."""

    def __init__(
        self, base_url: str, *, keys: Callable[[], Keys], timeout_s: float, gzip: bool = False, proxy: str = ""
    ) -> None:
        """``timeout_s`` runs from connect to the last byte; ``gzip`` compresses bodies.

        ``proxy``: see ``sink.proxy``; if it is empty, the present environment names the proxy. ``keys`` is called again
        when the API refuses its credentials (401), and by ``renew``. ConfigError for a bad URL.
        """
        try:
            self._base = URL(base_url)
            self.address = f"{self._base.host}:{self._base.port}"
        except ValueError:
            raise ConfigError(["sink.base_url: is no valid URL"]) from None
        # "https:" alone is a URL for the library.
        if not self._base.host:
            raise ConfigError(["sink.base_url: names no host"])
        self._proxy = find_proxy(self._base, proxy, os.environ)
        self._ask_keys = keys
        self._keys = Keys("", "")
        self._seen: set[str] = {self._base.password or "", *(self._proxy.secrets if self._proxy is not None else ())}
        self.redact = Redactor(self._seen)
        self.renew()
        self._headers = {"User-Agent": "magento-cdc"}
        # A token wins, so a key that was left in the settings is not sent.
        self._way: dict[str, Any] = {}
        if self._proxy is not None:
            self._way = {"proxy": self._proxy.url}
            if self._base.scheme == "https":  # told with CONNECT alone: what goes through the tunnel is the API's
                self._way["proxy_headers"] = self._proxy.headers
            else:
                self._headers |= self._proxy.headers
        self._timeout_s = timeout_s
        self._gzip = gzip
        self._session: aiohttp.ClientSession | None = None

    @property
    def has_token(self) -> bool:
        """Whether a token is used, and not a key."""
        return bool(self._keys.access_token)

    @property
    def has_secret(self) -> bool:
        """Whether there is a key or a token at all."""
        return any(self._keys)

    def renew(self) -> bool:
        """Read the credentials again. Returns whether they changed. Old ones stay hidden in errors."""
        keys = self._ask_keys()
        is_new = keys != self._keys
        self._keys = keys
        self._seen |= {*keys}
        self.redact = Redactor(self._seen)
        return is_new

    def _open(self) -> aiohttp.ClientSession:
        # Made in the loop that uses it.
        if self._session is None or self._session.closed:
            trace = aiohttp.TraceConfig()
            trace.on_request_headers_sent.append(_mark_begun)
            self._session = aiohttp.ClientSession(
                # limit 0: the lanes bound what is in flight; a queue in here would eat the request's time-out
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, keepalive_timeout=30),
                timeout=aiohttp.ClientTimeout(
                    total=self._timeout_s, sock_connect=min(CONNECT_S, self._timeout_s), ceil_threshold=3600
                ),
                # no headers of the session: aiohttp would tell them to the proxy too, the token among them
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[trace],
                middlewares=(_send_once,),
            )
        return self._session

    async def call(
        self, method: str, path: str, *, what: str, query: Mapping[str, str | int] | None = None, body: bytes = b""
    ) -> Reply:
        """Make one request; any status is an answer. ``what`` names the request in errors.

        After a refused key (401) the credentials are read again. If they changed, the request is sent once more, as the
        refused request had no effect. Raises SinkUnavailableError before the request's head was sent,
        OutcomeUnknownError after it.
        """
        reply = await self._call(method, path, what=what, query=query, body=body)
        if reply.status == UNAUTHORIZED and self.renew():
            reply = await self._call(method, path, what=what, query=query, body=body)
        return reply

    async def _call(
        self, method: str, path: str, *, what: str, query: Mapping[str, str | int] | None, body: bytes
    ) -> Reply:
        progress = SimpleNamespace(began=False)
        body, form = self._packed(body)
        try:
            async with self._open().request(
                method,
                self._base.with_path(self._base.path.rstrip("/") + path),
                params={**(query or {}), **self._keys.query},
                data=body or None,
                headers={**self._headers, **self._keys.headers, **form},
                allow_redirects=False,
                trace_request_ctx=progress,
                **self._way,
            ) as response:
                content = await _read(response, MAX_CONTENT if 200 <= response.status < 300 else MAX_BODY)
                return Reply(response.status, response.headers, content)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            fault: SinkError = transport_fault(
                error,
                began=progress.began,
                what=what,
                address=self.address,
                timeout_s=self._timeout_s,
                proxy=self._proxy,
            )
        # raised out here so that the aiohttp error, which may hold the URL with its key, is not its context
        raise fault

    def _packed(self, body: bytes) -> tuple[bytes, dict[str, str]]:
        """The body as it is sent, with its headers. Level 1 brings four fifths of the gain for a fifth of the time."""
        if not body:
            return body, {}
        headers = {"Content-Type": "application/json"}
        # Below a packet's size compressing gains nothing.
        if self._gzip and len(body) >= GZIP_FROM:
            return gzip_format.compress(body, 1, mtime=0), {**headers, "Content-Encoding": "gzip"}
        return body, headers

    async def close(self) -> None:
        """Close the connections. May be called twice."""
        session, self._session = self._session, None
        if session is not None:
            await asyncio.shield(session.close())


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body up to ``limit`` bytes. The status is valid whatever happens to the body, so a lost
    connection just ends it.
    """
    parts: list[bytes] = []
    size = 0
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            # An endless body must not fill the memory.
            if size >= limit:
                break
    return b"".join(parts)[:limit]
