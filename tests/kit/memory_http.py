"""The sandbox's CRM in a process of its own, called through a pipe: no sockets, so that it works in simulated time."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any, Self, cast
from unittest.mock import Mock

from aiohttp import StreamReader, web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict
from yarl import URL

from cdc.protocols import Clock
from sinks.hubspot.http_client import HttpClient, Keys
from sinks.hubspot.http_faults import Reply
from sinks.sandbox.app import make_app
from sinks.sandbox.crm.account import CrmAccount
from sinks.sandbox.crm.gate import TOKEN, runtime_of
from sinks.sandbox.store import SandboxStore

Asked = tuple[int, str, str, Mapping[str, str], bytes]
"""Wall clock in epoch milliseconds, method, path, query, body."""

Answered = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers, body."""


class MemorySandbox:
    """A sandbox in another process. Its clock is that of the caller, so its quotas count simulated seconds."""

    def __init__(self, limit_per_10s: int) -> None:
        ours, theirs = multiprocessing.Pipe()
        self._pipe = ours
        self._process = multiprocessing.get_context("spawn").Process(
            target=serve, args=(theirs, limit_per_10s), daemon=True
        )

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join(10)

    def ask(self, asked: Asked) -> Answered:
        """One call; blocks, as time stands still meanwhile."""
        self._pipe.send(asked)
        return cast(Answered, self._pipe.recv())


class MemoryHttp(HttpClient):
    """An HTTP client whose calls go into a ``MemorySandbox`` and take ``answer_s`` of the loop's time."""

    def __init__(self, sandbox: MemorySandbox, clock: Clock, answer_s: float) -> None:
        super().__init__("http://sandbox.example.com", keys=lambda: Keys("", TOKEN), timeout_s=30.0)
        self._sandbox, self._clock, self._answer_s = sandbox, clock, answer_s
        self.calls: list[str] = []

    async def call(
        self, method: str, path: str, *, what: str, query: Mapping[str, str | int] | None = None, body: bytes = b""
    ) -> Reply:
        """See ``HttpClient``."""
        self.calls.append(path)
        await asyncio.sleep(self._answer_s / 2)
        texts = {name: str(value) for name, value in (query or {}).items()}
        status, headers, content = self._sandbox.ask((self._clock.now_ms(), method, path, texts, body))
        await asyncio.sleep(self._answer_s / 2)
        return Reply(status, CIMultiDict(headers), content)


def serve(pipe: Connection, limit_per_10s: int) -> None:
    """Answer until the other end closes."""
    now = [0]
    store = SandboxStore()
    account = CrmAccount(lambda: now[0])
    runtime = runtime_of(lambda: store.watch, account, TOKEN)
    for quota in runtime.quotas.values():
        quota.set(limit_per_10s, 10_000, None)
    app = make_app(store, crm=runtime)
    loop = asyncio.new_event_loop()
    app.freeze()
    loop.run_until_complete(app.startup())
    while True:
        try:
            now[0], method, path, query, body = pipe.recv()
        except EOFError:
            return
        pipe.send(loop.run_until_complete(_answer(app, method, str(URL(path).with_query(query)), body)))


async def _answer(app: web.Application, method: str, path: str, body: bytes) -> Answered:
    payload = StreamReader(Mock(_reading_paused=False), 2**20)
    payload.feed_data(body)
    payload.feed_eof()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", "Host": "127.0.0.1"}
    request = make_mocked_request(method, path, headers=headers, payload=payload, app=app)
    request.transport.is_closing = lambda: False  # type: ignore[union-attr,method-assign]  # a mock
    response: Any = await app._handle(request)
    content = response.body if isinstance(response.body, bytes) else b""
    return response.status, list(response.headers.items()), content
