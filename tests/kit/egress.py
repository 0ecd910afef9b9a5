"""A small HTTP proxy as companies have them: CONNECT for https, whole URLs for http, a login if it wants one.

    with EgressProxy({"api.example.com:443": sandbox_port}, login="user:secret") as proxy:
        settings["sink"]["proxy"] = f"http://user:secret@127.0.0.1:{proxy.port}"

It leads to the ports of this machine that it is told, and nowhere else. ``certificate`` and its key: what it answers
TLS with in the host's place, as tests have no certificate that the world trusts.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

_Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class EgressProxy:
    """``leads``: host:port → a port of this machine. ``requests`` are the first lines that it was sent, ``heads`` all
    that it could read.
    """

    def __init__(
        self, leads: Mapping[str, int], *, login: str = "", certificate: tuple[Path, Path] | None = None
    ) -> None:
        self.leads = dict(leads)
        self.requests: list[str] = []
        self.heads: list[str] = []
        self.port = 0
        self._wanted = f"Basic {base64.b64encode(login.encode()).decode()}" if login else ""
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(*certificate)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="egress proxy", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _open(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._request(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        self.requests.append(first)
        self.heads.append(head)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        method, target, _ = first.split(" ")
        host = target if method == "CONNECT" else target.removeprefix("http://").partition("/")[0]
        if self._wanted and headers.get("proxy-authorization") != self._wanted:
            await _answer(writer, "407 Proxy Authentication Required")
            return
        if host not in self.leads:
            await _answer(writer, "502 Bad Gateway")
            return
        onward = await asyncio.open_connection("127.0.0.1", self.leads[host])
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            if self._tls is not None:
                await writer.start_tls(self._tls)
        else:
            path = "/" + target.removeprefix("http://").partition("/")[2]
            kept = [line for line in lines if not line.lower().startswith(("proxy-", "connection:"))]
            onward[1].write(
                "\r\n".join([head.split(" ")[0] + f" {path} HTTP/1.1", *kept, "Connection: close"]).encode()
            )
            onward[1].write(b"\r\n\r\n")
        await _joined((reader, writer), onward)


async def _answer(writer: asyncio.StreamWriter, status: str) -> None:
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()


async def _joined(one: _Pair, other: _Pair) -> None:
    """Everything from each to the other, until one of them ends."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()

    ways = [asyncio.ensure_future(pass_on(one[0], other[1])), asyncio.ensure_future(pass_on(other[0], one[1]))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        other[1].close()
