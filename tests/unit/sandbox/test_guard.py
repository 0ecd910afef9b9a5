"""The sandbox takes nothing from a page of another site."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from cdc.same_site import is_own_name
from sinks.sandbox.server import SandboxServer, start

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """One that also answers for ``sandbox.example.com``."""
    server = await start(auto_validate=False, allow_hosts=("sandbox.example.com",))
    yield server
    await server.close()


async def status_of(sandbox: SandboxServer, method: str, path: str, headers: dict[str, str]) -> int:
    """The status of one request."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, sandbox.url + path, headers=headers, skip_auto_headers=["Content-Type"]) as answer,
    ):
        return answer.status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8090", 200),
        ("127.0.0.1", 200),
        ("[::1]:8090", 200),
        ("sandbox:8090", 200),
        ("sandbox.example.com", 200),
        ("evil.example.com", 403),
        ("localhost.evil.example.com", 403),
        ("[", 403),
    ],
)
async def test_only_own_names_are_answered(sandbox: SandboxServer, host: str, status: int) -> None:
    """A foreign name in Host is a page whose name was pointed at this machine."""
    assert await status_of(sandbox, "GET", "/_sandbox/summary", {"Host": host}) == status
    assert await status_of(sandbox, "GET", "/", {"Host": host}) == status


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example.com"} | JSON,
        {"Origin": "null"} | JSON,
        {"Sec-Fetch-Site": "cross-site"} | JSON,
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {},
    ],
)
async def test_a_simple_request_changes_nothing(sandbox: SandboxServer, headers: dict[str, str]) -> None:
    """Neither a form of another site nor one of our own."""
    assert await status_of(sandbox, "POST", "/_sandbox/reset", headers) == 403


@pytest.mark.parametrize("path", ["/extensions/ecomm/v1/installs/uninstall?hapikey=sandbox", "/_sandbox/reset"])
async def test_a_foreign_form_reaches_neither_world(sandbox: SandboxServer, path: str) -> None:
    """The bridge's key stands in the address, so Origin counts there too."""
    assert await status_of(sandbox, "POST", path, {"Origin": "https://evil.example.com"} | JSON) == 403
    assert sandbox.store.installed


async def test_the_own_page_may_change_things(sandbox: SandboxServer) -> None:
    """Its Origin is the Host that was asked."""
    headers = {"Origin": sandbox.url, "Sec-Fetch-Site": "same-origin"} | JSON
    assert await status_of(sandbox, "POST", "/_sandbox/reset", headers) == 204


async def test_the_page_loads_nothing_from_elsewhere(sandbox: SandboxServer) -> None:
    """A content security policy without inline scripts, on the page, its parts and the JSON."""
    for path in ("/", "/_sandbox/page.js", "/_sandbox/page.css", "/_sandbox/summary"):
        async with aiohttp.ClientSession() as session, session.get(sandbox.url + path) as answer:
            assert answer.status == 200
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy


@pytest.mark.parametrize(("name", "own"), [("", False), ("fe80::1%eth0", True), ("a.localhost", True), ("a.b", False)])
def test_names_that_no_stranger_can_own(name: str, own: bool) -> None:
    """Addresses, localhost and names without a dot."""
    assert is_own_name(name, frozenset()) == own
