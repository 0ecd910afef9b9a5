"""A real Chromium, driven over its own debugging protocol: addresses, keys, sizes, and what the page holds."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--lang=en-US")
START_LIMIT_S = 30.0
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27}


class Page:
    """One open page."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.errors: list[str] = []

    async def _do(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json(timeout=30)
            self._note(message)
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    def _note(self, message: dict[str, Any]) -> None:
        """Keep what the page complains about: exceptions and errors of its console."""
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(str(params["entry"]["text"]))

    async def begin(self) -> None:
        """Listen to the page's complaints from now on."""
        for domain in ("Page", "Runtime", "Log"):
            await self._do(f"{domain}.enable")

    async def goto(self, url: str) -> None:
        """Load an address anew, also where only its fragment differs."""
        await self._do("Page.navigate", url="about:blank")
        await self._do("Page.navigate", url=url)

    async def reload(self) -> None:
        """As F5 does."""
        await self._do("Page.reload")

    async def size(self, width: int, height: int) -> None:
        """The window's inner size, in CSS pixels."""
        await self._do(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    async def value(self, expression: str) -> Any:
        """What a JavaScript expression gives."""
        found = await self._do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, expression: str, limit_s: float = 10.0) -> None:
        """Wait until an expression is true."""
        end = asyncio.get_running_loop().time() + limit_s
        asked = f"(() => {{ try {{ return Boolean({expression}); }} catch {{ return false; }} }})()"
        while not await self.value(asked):
            assert asyncio.get_running_loop().time() < end, f"never true: {expression}; the page said {self.errors}"
            await asyncio.sleep(0.05)

    async def press(self, key: str) -> None:
        """Press and release a key."""
        text = {"Enter": "\r"}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            await self._do(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=KEYS[key],
                text=text if kind == "keyDown" else "",
            )

    async def write(self, text: str) -> None:
        """Type a text into what has the focus."""
        await self._do("Input.insertText", text=text)

    async def click(self, x: float, y: float) -> None:
        """Click a place of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            await self._do("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def color_scheme(self, name: str) -> None:
        """What the person's system asks for: light or dark."""
        await self._do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    async def barriers(self, axe: str) -> list[str]:
        """What axe-core finds on the page as it stands, one line an element: rule, place, and what is wrong.

        ``axe``: the text of its script (install.axe).
        """
        await self.value(f"{axe}; true")
        found: list[dict[str, Any]] = await self.value(
            "axe.run(document, {resultTypes: ['violations']}).then(result => result.violations.flatMap(rule =>"
            " rule.nodes.map(node => ({rule: rule.id, place: node.target.join(' '), text: node.failureSummary}))))"
        )
        return [f"{one['rule']} at {one['place']}: {one['text']}" for one in found]

    async def picture(self) -> bytes:
        """What is seen, as PNG."""
        found = await self._do("Page.captureScreenshot", format="png")
        return base64.b64decode(found["data"])


@contextlib.asynccontextmanager
async def open_page(browser: Path) -> AsyncIterator[Page]:
    """A page in a browser of its own, which ends with it."""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        command = [str(browser), *FLAGS, "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"]
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet)
        try:
            port = await _port(Path(folder) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    targets = await answer.json(content_type=None)
                address = next(one["webSocketDebuggerUrl"] for one in targets if one["type"] == "page")
                async with session.ws_connect(address, max_msg_size=0) as socket:
                    page = Page(socket)
                    await page.begin()
                    yield page
        finally:
            process.terminate()
            await process.wait()


async def _port(path: Path) -> int:
    """The port that the browser chose, once it has written it down."""
    end = asyncio.get_running_loop().time() + START_LIMIT_S
    while not (text := _text(path)):
        assert asyncio.get_running_loop().time() < end, "Chromium did not start"
        await asyncio.sleep(0.05)
    return int(text.splitlines()[0])


def _text(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""
