"""The web pages, asked over HTTP on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from cdc.errors import SetupError
from cdc.settings.config import WebSettings
from cdc.web.metrics import Metrics
from cdc.web.server import WebServer, start_web


@dataclass
class PlainView:
    """A view that says what the test sets."""

    live_reasons: list[str] = field(default_factory=list)
    ready_reasons: list[str] = field(default_factory=list)
    said: dict[str, object] = field(default_factory=dict)

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
    """/ is one HTML page that asks this server only, and its policy says so."""
    status, content_type, body = await get(server, "/")

    assert (status, content_type) == (200, "text/html; charset=utf-8")
    assert "http://" not in body
    assert "https://" not in body
    assert "innerHTML" not in body


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
