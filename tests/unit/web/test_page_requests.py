"""Who may ask the operator's page, and who may change something there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from pydantic import SecretStr, ValidationError

from cdc.errors import CdcError
from cdc.settings.web import WebSettings
from cdc.web.metrics import Metrics
from cdc.web.server import WebServer, start_web
from tests.unit.web.test_web import PlainOperations, PlainView

TOKEN = "a-token-of-the-tests-1f3a"
RETRY = {"objects": ["magento-order-42"]}
CHANGES = [("/page/retry", RETRY), ("/page/release", {"type": "deal", "count": 3})]


@pytest.fixture
def operations() -> PlainOperations:
    """What the page asks of the state."""
    return PlainOperations()


@pytest.fixture
async def server(operations: PlainOperations) -> AsyncIterator[WebServer]:
    """A page with an admin token, reached as cdc.example.com, too."""
    settings = WebSettings(port=0, admin_token=SecretStr(TOKEN), allow_hosts=("cdc.example.com",))
    running = await start_web(PlainView(asked=operations), Metrics(), settings)
    yield running
    await running.close()


async def ask(
    server: WebServer, path: str, body: object = None, *, method: str = "POST", **headers: str
) -> tuple[int, Any]:
    """Status and body; ``headers`` beside those that the page itself sends, which a None leaves out."""
    url = f"http://127.0.0.1:{server.port}{path}"
    sent = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
    async with aiohttp.ClientSession() as session:
        data = json.dumps(body) if body is not None else None
        async with session.request(method, url, data=data, headers=sent) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else text


ADMIN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(("path", "body"), CHANGES)
async def test_the_token_lets_a_change_through(
    server: WebServer, operations: PlainOperations, path: str, body: dict[str, Any]
) -> None:
    """Exactly what was asked for is handed on, and the answer says how many."""
    assert await ask(server, path, body, **ADMIN) == (200, {"count": body.get("count", 1)})
    wanted = ("retry", ("magento-order-42",), None) if path == "/page/retry" else ("release", "deal", 3)
    assert operations.calls == [wanted]


@pytest.mark.parametrize(("path", "body"), CHANGES)
@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", "Bearer ä"]
)
async def test_without_the_token_nothing_changes(
    server: WebServer, operations: PlainOperations, path: str, body: object, authorization: str
) -> None:
    """401, a warning in the log without what was given, and nothing done."""
    with structlog.testing.capture_logs() as lines:
        status, said = await ask(server, path, body, Authorization=authorization)

    assert (status, operations.calls) == (401, [])
    assert "token is wrong" in said["error"]
    assert [line["event"] for line in lines] == ["admin_token_refused"]
    assert TOKEN[:-1] not in str(lines)


async def test_without_a_token_in_the_settings_nobody_may_change_anything() -> None:
    """An empty token must never match an empty token."""
    operations = PlainOperations()
    server = await start_web(PlainView(asked=operations), Metrics(), WebSettings(port=0))
    for path, body in CHANGES:
        status, said = await ask(server, path, body, Authorization="Bearer ")
        assert (status, operations.calls) == (403, [])
        assert "web.admin_token" in said["error"]
    _, charts = await ask(server, "/page/charts", method="GET")
    await server.close()
    assert charts["can_change"] is False


async def test_a_token_in_a_file_can_be_rotated(tmp_path: Path) -> None:
    """The file is read again, so the new token holds without a restart, and the old one no longer."""
    held = tmp_path / "token"
    held.write_text(TOKEN)
    operations = PlainOperations()
    settings = WebSettings(port=0, admin_token_file=held)
    server = await start_web(PlainView(asked=operations), Metrics(), settings)
    assert (await ask(server, "/page/retry", RETRY, **ADMIN))[0] == 200
    held.write_text("another-token-of-the-tests\n")
    assert (await ask(server, "/page/retry", RETRY, **ADMIN))[0] == 401
    assert (await ask(server, "/page/retry", RETRY, Authorization="Bearer another-token-of-the-tests"))[0] == 200
    await server.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example.com"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"},
        {"Host": "evil.example.com"}, {"Host": "127.0.0.1.example.com:8080"},
    ],
)  # fmt: skip
async def test_another_sites_page_gets_nothing(
    server: WebServer, operations: PlainOperations, headers: dict[str, str]
) -> None:
    """A foreign Origin or Host is refused with 403 even with the token, for a look-up, too."""
    for path, body in [*CHANGES, ("/page/find", {"name": "order 42"})]:
        status, _ = await ask(server, path, body, **ADMIN, **headers)
        assert (status, operations.calls) == (403, [])


@pytest.mark.parametrize(
    "host", ["localhost:8080", "cdc.example.com", "CDC.example.com:8080", "magento-cdc:80", "[::1]:1"]
)
async def test_the_page_answers_for_its_own_names(server: WebServer, host: str) -> None:
    """Localhost, addresses, names without a dot, and those of web.allow_hosts."""
    assert (await ask(server, "/", method="GET", Host=host))[0] == 200
    assert (await ask(server, "/page/waiting", method="GET", Host=host))[0] == 200


async def test_probes_answer_for_any_name(server: WebServer) -> None:
    """A cluster asks /live, /ready, /metrics and /status by names of its own."""
    for path in ("/live", "/ready", "/metrics", "/status"):
        assert (await ask(server, path, method="GET", Host="magento-cdc.shop.svc.cluster.local"))[0] == 200


@pytest.mark.parametrize("path", ["/page/retry", "/page/release", "/page/find"])
async def test_get_changes_nothing(server: WebServer, operations: PlainOperations, path: str) -> None:
    """A link or an image of another page cannot do anything."""
    status, _ = await ask(server, path, method="GET", **ADMIN)

    assert (status, operations.calls) == (405, [])


@pytest.mark.parametrize("path", ["/page/retry", "/page/release", "/page/find"])
async def test_a_form_of_another_page_is_refused(server: WebServer, operations: PlainOperations, path: str) -> None:
    """A plain form can send no JSON content type."""
    status, _ = await ask(server, path, {"name": "x"}, Content_Type="text/plain", **ADMIN)

    assert (status, operations.calls) == (415, [])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/page/retry", {}), ("/page/retry", {"objects": []}), ("/page/retry", {"objects": "all"}),
        ("/page/retry", {"objects": ["a"], "reason": "b"}), ("/page/retry", {"reason": 1}), ("/page/retry", [1]),
        ("/page/release", {}), ("/page/release", {"type": ""}), ("/page/release", {"type": "", "count": 0}),
        ("/page/release", {"type": "", "count": True}), ("/page/release", {"type": "", "count": "3"}),
        ("/page/release", {"count": 3}), ("/page/find", {}), ("/page/find", {"name": " "}), ("/page/find", "x"),
    ],
)  # fmt: skip
async def test_a_request_that_is_not_understood_does_nothing(
    server: WebServer, operations: PlainOperations, path: str, body: object
) -> None:
    """400 with a sentence: a missing field never means all."""
    status, said = await ask(server, path, body, **ADMIN)

    assert (status, operations.calls) == (400, [])
    assert said["error"]


async def test_what_cannot_be_done_is_said(server: WebServer, operations: PlainOperations) -> None:
    """A sentence with what to do next: 404 for a name that nothing goes by, 409 for what is not so any more."""
    operations.fault = CdcError("4 deletions are held now, not 3", hint="look again")
    said = {"error": "4 deletions are held now, not 3", "hint": "look again"}

    assert await ask(server, "/page/release", {"type": "", "count": 3}, **ADMIN) == (409, said)
    assert await ask(server, "/page/find", {"name": "order 1"}) == (404, said)


async def test_before_the_state_is_open_the_page_says_so() -> None:
    """503, and the page itself is there already."""
    server = await start_web(PlainView(), Metrics(), WebSettings(port=0))
    status, said = await ask(server, "/page/waiting", method="GET")
    page, _ = await ask(server, "/", method="GET")
    await server.close()

    assert (status, page) == (503, 200)
    assert "not open yet" in said["error"]


async def test_answers_of_the_page_are_kept_to_it(server: WebServer) -> None:
    """No frame, no script or style but our own, nothing kept, also where a request is refused."""
    async with aiohttp.ClientSession() as session:
        for path in ("/", "/page/page.js", "/page/charts", "/page/waiting"):
            async with session.get(f"http://127.0.0.1:{server.port}{path}") as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert answer.headers["Cache-Control"] == "no-store"
                assert "default-src 'none'" in policy
                assert "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy


@pytest.mark.parametrize("token", ["guess-it", "fifteen-letters", "a token with blanks in it", "two\nlines-of-a-token"])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(token: str) -> None:
    """The fault does not repeat the token."""
    with pytest.raises(ValidationError) as caught:
        WebSettings(admin_token=SecretStr(token))

    assert "admin_token" in str(caught.value)
    assert token not in str(caught.value)
