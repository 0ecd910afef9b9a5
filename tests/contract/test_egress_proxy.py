"""Requests through a real proxy: each by the right way, with the login for the proxy alone, and sentences that fit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from cdc.errors import SinkError, SinkUnavailableError
from sinks.hubspot.http_client import HttpClient, Keys
from tests.kit.canary import API_KEY
from tests.kit.egress import EgressProxy
from tests.kit.sandbox import SandboxThread

HOST = "api.example.com:8090"
PASSWORD = "a proxy's secret"
DETAILS = "/account-info/v3/details"


@pytest.fixture
def sandbox() -> Iterator[SandboxThread]:
    made = SandboxThread(["api.example.com"])
    yield made
    made.close()


def ask(base_url: str, proxy: str = "") -> int:
    """The status of one question."""

    async def work() -> int:
        client = HttpClient(base_url, keys=lambda: Keys("", API_KEY), timeout_s=5.0, proxy=proxy)
        try:
            return (await client.call("GET", DETAILS, what="the account")).status
        finally:
            await client.close()

    return asyncio.run(work())


def fault(base_url: str, proxy: str = "") -> SinkError:
    """Why the question could not be asked: nothing was sent, so nothing is unknown."""
    with pytest.raises(SinkUnavailableError) as caught:
        ask(base_url, proxy)
    assert PASSWORD not in f"{caught.value} {caught.value!r} {caught.value.hint}"
    return caught.value


def port_of(sandbox: SandboxThread) -> int:
    return int(sandbox.url.rpartition(":")[2])


@pytest.mark.parametrize("by_setting", [True, False])
def test_the_proxy_leads_to_a_host_that_nobody_else_knows(
    sandbox: SandboxThread, by_setting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's proxy as well as the setting's, with a login; NO_PROXY and ``direct`` go past it."""
    with EgressProxy({HOST: port_of(sandbox)}, login=f"user:{PASSWORD}") as proxy:
        address = f"http://user:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{proxy.port}"
        if not by_setting:
            monkeypatch.setenv("HTTP_PROXY", address)

        assert ask(f"http://{HOST}", address if by_setting else "") == 200
        assert proxy.requests == [f"GET http://{HOST}{DETAILS} HTTP/1.1"]
        assert ask(sandbox.url, "direct") == 200
        assert len(proxy.requests) == 1
        if not by_setting:
            monkeypatch.setenv("NO_PROXY", "example.com")
            fault(f"http://{HOST}")  # there is no such host but behind the proxy
            assert len(proxy.requests) == 1


def test_a_proxy_that_wants_a_login_says_where_to_give_it(sandbox: SandboxThread) -> None:
    """407 blames no message, and the advice can be followed. Without a tunnel 407 is an answer like any other."""
    with EgressProxy({HOST: port_of(sandbox)}, login=f"user:{PASSWORD}") as proxy:
        said = fault(f"https://{HOST}", f"http://127.0.0.1:{proxy.port}")
        assert ask(f"http://{HOST}", f"http://127.0.0.1:{proxy.port}") == 407

    assert "407" in str(said)
    assert "sink.proxy = http://user:password@" in said.hint


def test_a_proxy_that_does_not_lead_there_is_named(sandbox: SandboxThread) -> None:
    """What CONNECT is answered is the proxy's word, not the API's."""
    with EgressProxy({}) as proxy:
        said = fault(f"https://{HOST}", f"http://127.0.0.1:{proxy.port}")

        assert API_KEY not in "".join(proxy.heads)
        assert str(said).startswith(f"proxy 127.0.0.1:{proxy.port} answered 502 instead of leading to {HOST}")
        assert proxy.requests == [f"CONNECT {HOST} HTTP/1.1"]


@pytest.mark.parametrize(("proxy", "words"), [
    (f"http://user:{PASSWORD.replace(' ', '%20')}@127.0.0.1:1", "no connection to proxy 127.0.0.1:1"),
    ("http://no-such-proxy.invalid:3128", "the name of proxy no-such-proxy.invalid:3128 cannot be resolved"),
])  # fmt: skip
def test_a_proxy_that_is_not_there_is_told_from_the_api(proxy: str, words: str) -> None:
    """It is sink.proxy that has to be mended, and not sink.base_url."""
    said = fault(f"https://{HOST}", proxy)

    assert words in str(said)
    assert "check sink.proxy" in said.hint
