"""Each way a request can fail, as the error kind that tells delivery what to do; and no secret in any of them."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from cdc.errors import (
    BatchRefusedError,
    OutcomeUnknownError,
    SinkError,
    SinkSwitchedOffError,
    SinkThrottledError,
    SinkUnauthorizedError,
    SinkUnavailableError,
)
from cdc.settings.sink import SinkSettings
from sinks.bridge.sink import BridgeSink
from sinks.sandbox.app import make_app
from sinks.sandbox.server import SandboxServer, start
from sinks.sandbox.store import SandboxStore
from tests.contract.test_sinks import contact
from tests.kit.certs import Authority
from tests.kit.requests import FreeRequests

KEY = "0f1e2d3c-secret-key-4b5a"
TOKEN = "pat-na1-secret-token"


def assert_no_secret(error: BaseException, log: pytest.LogCaptureFixture) -> None:
    """Neither the error, nor its whole traceback, nor any log line shows key, token, query or address."""
    texts = [str(error), repr(error), "".join(traceback.format_exception(error)), log.text]
    for text in texts:
        for secret in (KEY, TOKEN, "hapikey=", "customer1@example.com"):
            assert secret not in text


def sink_for(url: str, *, timeout_s: float = 5.0, use_token: bool = False) -> BridgeSink:
    """A sink with a recognisable key or token."""
    credentials = {"access_token": TOKEN} if use_token else {"api_key": KEY}
    return BridgeSink(SinkSettings.model_validate({"base_url": url, "timeout_s": timeout_s, **credentials}))


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    running = await start(api_key=KEY, token=TOKEN)
    yield running
    await running.close()


@pytest.fixture
async def fault(sandbox: SandboxServer) -> Callable[..., Awaitable[None]]:
    async def add(**spec: Any) -> None:
        url = f"{sandbox.url}/_sandbox/faults"
        async with aiohttp.ClientSession() as session, session.post(url, json=spec) as answer:
            assert answer.status == 200, await answer.text()

    return add


async def failure(sink: BridgeSink) -> SinkError:
    """The error that sending one message ends with."""
    try:
        with pytest.raises(SinkError) as caught:
            await sink.send([contact(1)], FreeRequests())
    finally:
        await sink.close()
    return caught.value


@pytest.mark.parametrize("use_token", [False, True], ids=["key", "token"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, SinkSwitchedOffError),
        (400, BatchRefusedError),
        (401, SinkUnauthorizedError),
        (403, SinkUnauthorizedError),
        (404, SinkSwitchedOffError),
        (408, SinkUnavailableError),
        (409, BatchRefusedError),
        (410, SinkSwitchedOffError),
        (413, BatchRefusedError),
        (422, BatchRefusedError),
        (402, SinkUnavailableError),
        (405, SinkUnavailableError),
        (406, SinkUnavailableError),
        (407, SinkUnavailableError),
        (411, SinkUnavailableError),
        (414, SinkUnavailableError),
        (415, SinkUnavailableError),
        (417, SinkUnavailableError),
        (421, SinkUnavailableError),
        (426, SinkUnavailableError),
        (428, SinkUnavailableError),
        (431, SinkUnavailableError),
        (451, SinkUnavailableError),
        (423, SinkUnavailableError),
        (429, SinkThrottledError),
        (477, SinkUnavailableError),
        (500, SinkUnavailableError),
        (502, SinkUnavailableError),
        (503, SinkUnavailableError),
        (504, SinkUnavailableError),
        (524, SinkUnavailableError),
    ],
)
async def test_each_status_is_its_error_kind(
    sandbox: SandboxServer,
    fault: Callable[..., Awaitable[None]],
    caplog: pytest.LogCaptureFixture,
    status: int,
    kind: type[SinkError],
    use_token: bool,
) -> None:
    """A status decides the kind, the text names address and status, and one request was made."""
    caplog.set_level(logging.DEBUG)
    await fault(status=status, count=9, retry_after=7)
    error = await failure(sink_for(sandbox.url, use_token=use_token))
    assert type(error) is kind
    assert str(status) in str(error)
    assert "127.0.0.1" in str(error)
    if isinstance(error, SinkUnavailableError | SinkThrottledError):
        assert error.retry_after_s == 7
    if isinstance(error, BatchRefusedError):
        assert error.status == status
    assert len(sandbox.store.requests) == 1
    assert_no_secret(error, caplog)


async def test_a_daily_limit_names_its_policy(sandbox: SandboxServer, fault: Callable[..., Awaitable[None]]) -> None:
    """policyName tells a daily limit from a burst."""
    await fault(status=429, policy="DAILY")
    error = await failure(sink_for(sandbox.url))
    assert isinstance(error, SinkThrottledError)
    assert (error.policy, error.retry_after_s) == ("DAILY", None)


async def test_a_removed_bridge_says_so_and_what_to_use(
    sandbox: SandboxServer, fault: Callable[..., Awaitable[None]]
) -> None:
    """404 explains when HubSpot removed the bridge."""
    await fault(status=404)
    assert "2023-02-28" in str(await failure(sink_for(sandbox.url)))


async def test_a_wrong_key_is_unauthorized(sandbox: SandboxServer, caplog: pytest.LogCaptureFixture) -> None:
    """The refusal names the setting, never the key."""
    sink = BridgeSink(SinkSettings.model_validate({"base_url": sandbox.url, "api_key": "wrong-" + KEY}))
    error = await failure(sink)
    assert isinstance(error, SinkUnauthorizedError)
    assert "sink.api_key" in str(error)
    assert_no_secret(error, caplog)


async def test_a_refused_batch_gives_the_answers_text(
    sandbox: SandboxServer, fault: Callable[..., Awaitable[None]]
) -> None:
    """400 carries what the bridge said."""
    await fault(refuse_ids=["magento-customer-1"])
    error = await failure(sink_for(sandbox.url))
    assert isinstance(error, BatchRefusedError)
    assert "At least one message is not valid." in str(error)
    assert sandbox.store.accepted == 0


@pytest.mark.parametrize(("side", "taken"), [("before", 0), ("after", 1)])
async def test_a_cut_connection_is_an_unknown_outcome_and_is_not_sent_twice(
    sandbox: SandboxServer,
    fault: Callable[..., Awaitable[None]],
    caplog: pytest.LogCaptureFixture,
    side: str,
    taken: int,
) -> None:
    """Cut after the request went out, also on a kept-alive connection: the sink cannot know, and does not retry."""
    caplog.set_level(logging.DEBUG)
    sink = sink_for(sandbox.url)
    await sink.send([contact(2)], FreeRequests())
    await fault(cut=side)
    error = await failure(sink)
    assert type(error) is OutcomeUnknownError
    assert sandbox.store.accepted == 1 + taken
    assert sandbox.store.counts["requests"] == 2
    assert_no_secret(error, caplog)


async def test_no_answer_in_time_is_an_unknown_outcome(
    sandbox: SandboxServer, fault: Callable[..., Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    """A request that hangs ends with the time-out, and the next one works."""
    caplog.set_level(logging.DEBUG)
    await fault(hang=1)
    sink = sink_for(sandbox.url, timeout_s=0.1)
    with pytest.raises(OutcomeUnknownError, match=r"within 0\.1 s") as caught:
        await sink.send([contact(1)], FreeRequests())
    assert_no_secret(caught.value, caplog)
    await sink.send([contact(1)], FreeRequests())
    await sink.close()


async def test_a_request_that_is_given_up_may_still_land(
    sandbox: SandboxServer, fault: Callable[..., Awaitable[None]]
) -> None:
    """The answer comes too late for us; the service takes the messages all the same."""
    await fault(delay_ms=200)
    error = await failure(sink_for(sandbox.url, timeout_s=0.1))
    assert type(error) is OutcomeUnknownError
    assert sandbox.store.accepted == 0
    async with asyncio.timeout(10):
        while sandbox.store.accepted == 0:  # noqa: ASYNC110  # the sandbox tells nobody
            await asyncio.sleep(0.02)


async def test_a_handshake_that_never_ends_took_nothing() -> None:
    """The connection stands, but no request could go out."""

    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(be_silent, "127.0.0.1", 0)
    error = await failure(sink_for(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_s=0.2))
    server.close()
    await server.wait_closed()
    assert type(error) is SinkUnavailableError
    assert "no connection" in str(error)


async def test_a_refused_connection_took_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody listens: unavailable, with host and port."""
    caplog.set_level(logging.DEBUG)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        error = await failure(sink_for(f"http://127.0.0.1:{port}"))
    assert type(error) is SinkUnavailableError
    assert f"127.0.0.1:{port}" in str(error)
    assert_no_secret(error, caplog)


async def test_a_name_that_does_not_resolve_took_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """DNS failure: unavailable. (.invalid never resolves: RFC 2606.)"""
    error = await failure(sink_for("http://bridge.invalid"))
    assert type(error) is SinkUnavailableError
    assert "bridge.invalid" in str(error)
    assert_no_secret(error, caplog)


async def test_a_failed_tls_handshake_took_nothing(sandbox: SandboxServer, caplog: pytest.LogCaptureFixture) -> None:
    """A plain server behind https: unavailable."""
    error = await failure(sink_for(sandbox.url.replace("http://", "https://")))
    assert type(error) is SinkUnavailableError
    assert_no_secret(error, caplog)


@pytest.mark.parametrize(
    ("name", "is_trusted", "said"),
    [
        pytest.param("localhost", True, "takes the key", id="good"),
        pytest.param("localhost", False, "certificate that is not trusted", id="unknown authority"),
        pytest.param("other.example.com", True, "certificate for another name", id="another name"),
    ],
)
async def test_the_certificate_is_verified(tmp_path: Path, name: str, is_trusted: bool, said: str) -> None:
    """Authority and name both count; the command's own process, as trust is read once in a process."""
    authority = Authority(tmp_path, "authority")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.sign(name))
    runner = web.AppRunner(make_app(SandboxStore(), api_key=KEY))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    script = (
        "import asyncio; from cdc.settings.sink import SinkSettings; from sinks.bridge.sink import BridgeSink\n"
        "from tests.kit.requests import FreeRequests\n"
        "async def ask():\n"
        f"    sink = BridgeSink(SinkSettings(base_url='https://localhost:{port}', api_key='{KEY}'))\n"
        "    print([finding.text for finding in await sink.check(FreeRequests())]); await sink.close()\n"
        "asyncio.run(ask())"
    )
    environment = {**os.environ, **({"SSL_CERT_FILE": str(authority.ca)} if is_trusted else {})}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, env=environment
    )
    output, _ = await process.communicate()
    await runner.cleanup()
    assert said in output.decode()


async def test_an_answer_that_is_no_http_is_an_unknown_outcome(caplog: pytest.LogCaptureFixture) -> None:
    """Another kind of server may have done anything with the request."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"* OK IMAP ready\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    error = await failure(sink_for(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    server.close()
    await server.wait_closed()
    assert type(error) is OutcomeUnknownError
    assert_no_secret(error, caplog)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        pytest.param(b'HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n{"', None, id="cut inside a 200"),
        pytest.param(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", None, id="a 202 without a body"),
        pytest.param(
            b'HTTP/1.1 400 Bad\r\nContent-Length: 9000\r\n\r\n{"mess', BatchRefusedError, id="cut inside a 400"
        ),
        pytest.param(b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n", BatchRefusedError, id="a 400 without a body"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", OutcomeUnknownError, id="a maintenance page with 200"
        ),
        pytest.param(
            b"HTTP/1.1 400 Bad\r\nContent-Length: 6\r\n\r\n<html>", SinkUnavailableError, id="a proxy's own 400"
        ),
        pytest.param(
            b"HTTP/1.1 413 Large\r\nContent-Length: 6\r\n\r\n<html>", BatchRefusedError, id="a proxy's size limit"
        ),
    ],
)
async def test_only_what_can_come_from_the_api_accepts_or_refuses(
    head: bytes, expected: type[SinkError] | None
) -> None:
    """A status counts with an empty, whole or cut JSON body; a page of somebody else's neither accepts nor refuses."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    sink = sink_for(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    if expected is None:
        assert len((await sink.send([contact(1)], FreeRequests())).receipts) == 1
        await sink.close()
    else:
        assert type(await failure(sink)) is expected
    server.close()
    await server.wait_closed()


async def test_what_an_answer_says_is_redacted_and_cut(caplog: pytest.LogCaptureFixture) -> None:
    """HubSpot echoes keys and addresses in its texts; ours show neither, and at most 500 characters."""
    text = f"The key {KEY} may not touch customer1@example.com " + "and so on " * 200
    body = f'{{"status":"error","message":"{text}","requestId":"x"}}'.encode()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 422 No\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    error = await failure(sink_for(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    server.close()
    await server.wait_closed()
    assert "The key *** may not touch <email>" in str(error)
    assert len(str(error)) < 600
    assert_no_secret(error, caplog)


async def test_check_turns_faults_into_findings(fault: Callable[..., Awaitable[None]], sandbox: SandboxServer) -> None:
    """``check`` raises nothing: an unreachable bridge and a bad key are one finding each."""
    for url, key in (("http://bridge.invalid", KEY), (sandbox.url, "wrong")):
        sink = BridgeSink(SinkSettings.model_validate({"base_url": url, "api_key": key}))
        findings = await sink.check(FreeRequests())
        await sink.close()
        assert [finding.ok for finding in findings] == [False]
        assert findings[0].fix
