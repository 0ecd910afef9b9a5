"""Secrets from files: read again, hidden in logs once they are new, and kept while the file is being replaced."""

from __future__ import annotations

import io
from pathlib import Path

import structlog
from aiohttp import web
from pydantic import SecretStr

from cdc import logs
from cdc.settings import secret_files
from cdc.settings.config import LogSettings
from sinks.hubspot.http_client import HttpClient, Keys


def test_the_file_wins_while_it_can_be_read(tmp_path: Path) -> None:
    """A missing or empty file leaves the secret of the start; without a file nothing is read."""
    path = tmp_path / "secret"
    held = SecretStr("old")
    assert secret_files.fresh(held, path) == "old"
    path.write_text("\n")
    assert secret_files.fresh(held, path) == "old"
    path.write_text("new-one\n")
    assert secret_files.fresh(held, path) == "new-one"
    assert secret_files.fresh(held, None) == "old"


def test_a_new_secret_is_hidden_in_the_log(tmp_path: Path) -> None:
    """From the moment when it was read, no line shows it."""
    path = tmp_path / "secret"
    path.write_text("invented-rotated-key")
    stream = io.StringIO()
    logs.configure(LogSettings(), stream, ["invented-old-key"])
    secret_files.fresh(SecretStr("invented-old-key"), path)
    structlog.get_logger().info("x", text="invented-rotated-key and invented-old-key")
    structlog.reset_defaults()

    assert "invented" not in stream.getvalue()


async def test_a_refused_token_is_read_again_and_the_request_sent_once_more() -> None:
    """A rotated token costs one request; a token that stays refused is not tried twice in one call."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers["Authorization"])
        return web.Response(status=200 if asked[-1] == "Bearer new" else 401)

    app = web.Application()
    app.router.add_get("/x", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    tokens = ["old", "old", "new"]
    client = HttpClient(
        f"http://127.0.0.1:{runner.addresses[0][1]}",
        keys=lambda: Keys("", tokens.pop(0) if len(tokens) > 1 else tokens[0]),
        timeout_s=5,
    )
    try:
        first = await client.call("GET", "/x", what="a look")
        second = await client.call("GET", "/x", what="a look")
    finally:
        await client.close()
        await runner.cleanup()

    assert (first.status, second.status) == (401, 200)
    assert asked == ["Bearer old", "Bearer old", "Bearer new"]
    assert client.redact("old new") == "*** ***"
