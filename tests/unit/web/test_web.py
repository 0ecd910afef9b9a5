"""The web pages, asked over HTTP on loopback."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from cdc.errors import CdcError, SetupError
from cdc.settings.web import WebSettings
from cdc.web.metrics import Metrics
from cdc.web.page import FILES
from cdc.web.server import WebServer, start_web


@dataclass
class PlainOperations:
    """Operations that note what they were asked for; ``fault`` is raised instead, if there is one."""

    calls: list[tuple[object, ...]] = field(default_factory=list)
    fault: CdcError | None = None

    def _note(self, *call: object) -> None:
        if self.fault is not None:
            raise self.fault
        self.calls.append(call)

    async def waiting(self) -> dict[str, Any]:
        self._note("waiting")
        return {"held": {"total": 0}}

    async def find(self, text: str) -> list[dict[str, Any]]:
        self._note("find", text)
        return [{"external_id": "magento-order-42"}]

    async def retry(self, names: Sequence[str], reason: str | None) -> int:
        self._note("retry", tuple(names), reason)
        return len(names) or 7

    async def release(self, kind: str, count: int) -> int:
        self._note("release", kind, count)
        return count


@dataclass
class PlainView:
    """A view that says what the test sets."""

    live_reasons: list[str] = field(default_factory=list)
    ready_reasons: list[str] = field(default_factory=list)
    said: dict[str, object] = field(default_factory=dict)
    asked: PlainOperations | None = None

    def operations(self) -> PlainOperations | None:
        return self.asked

    def live(self) -> tuple[bool, list[str]]:
        return not self.live_reasons, self.live_reasons

    def ready(self) -> tuple[bool, list[str]]:
        return not self.ready_reasons, self.ready_reasons

    def role(self) -> str:
        return "follower"

    def status(self) -> dict[str, object]:
        return self.said


@pytest.fixture
def view() -> PlainView:
    """What the daemon would say."""
    return PlainView()


@pytest.fixture
async def server(view: PlainView) -> AsyncIterator[WebServer]:
    """A server on a free port."""
    running = await start_web(view, Metrics(), WebSettings(port=0))
    yield running
    await running.close()


async def get(server: WebServer, path: str) -> tuple[int, str, Any]:
    """Status, content type and body (read as JSON where it is)."""
    url = f"http://127.0.0.1:{server.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        body = await answer.json() if answer.content_type == "application/json" else await answer.text()
        return answer.status, answer.headers["Content-Type"], body


@pytest.mark.parametrize(
    ("path", "reasons", "more"),
    [("/live", "live_reasons", {}), ("/ready", "ready_reasons", {"role": "follower"})],
)
async def test_probes_answer_200_or_503_with_the_reasons(
    server: WebServer, view: PlainView, path: str, reasons: str, more: dict[str, str]
) -> None:
    """A probe is green, or red with what is wrong; readiness says the member's role, too."""
    status, _, body = await get(server, path)
    assert (status, body) == (200, {path[1:]: True, "reasons": [], **more})

    setattr(view, reasons, ["sink: the key is refused (401)"])
    status, _, body = await get(server, path)
    assert (status, body) == (503, {path[1:]: False, "reasons": ["sink: the key is refused (401)"], **more})


async def test_status_is_the_views_words_without_values(server: WebServer, view: PlainView) -> None:
    """/status gives what the view says, but no field that could hold personal data."""
    view.said = {"position": "binlog.000001:4", "last": [{"object": "customer-1", "properties": {"city": "Y"}}]}

    status, _, body = await get(server, "/status")
    assert status == 200
    assert body == {"position": "binlog.000001:4", "last": [{"object": "customer-1"}]}


async def test_values_are_shown_where_the_settings_ask_for_them(view: PlainView) -> None:
    """web.show_values lets personal data through."""
    view.said = {"last": {"properties": {"city": "Y"}}}
    server = await start_web(view, Metrics(), WebSettings(port=0, show_values=True))
    _, _, body = await get(server, "/status")
    await server.close()

    assert body == view.said


async def test_metrics_are_prometheus_text(server: WebServer) -> None:
    """/metrics is what Prometheus reads, with the version in it."""
    status, content_type, body = await get(server, "/metrics")

    assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert 'magento_cdc_info{version="' in body


async def test_the_page_needs_nothing_from_elsewhere(server: WebServer) -> None:
    """/ and its files ask this server only, the policy says so, and no text becomes HTML."""
    for path in ("/", *(f"/page/{name}" for name in FILES)):
        status, content_type, body = await get(server, path)
        assert status == 200
        assert content_type == f"{FILES.get(path.rpartition('/')[2], 'text/html')}; charset=utf-8"
        assert not re.findall(r"(?:src|href|import|fetch|url)\W+https?:", body), path
        assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|style=", body), path


async def test_other_paths_are_not_there(server: WebServer) -> None:
    """What is not offered answers 404."""
    status, _, _ = await get(server, "/api/anything")

    assert status == 404


async def test_a_taken_port_is_a_sentence_with_address_and_setting(server: WebServer, view: PlainView) -> None:
    """Two daemons on one port: the second says which address and which setting."""
    with pytest.raises(SetupError) as caught:
        await start_web(view, Metrics(), WebSettings(port=server.port))

    assert f"127.0.0.1:{server.port}" in str(caught.value)
    assert "web.port" in str(caught.value)


async def test_closing_twice_is_harmless(server: WebServer) -> None:
    """close may be called again."""
    await server.close()
    await server.close()
