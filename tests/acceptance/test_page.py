"""The sandbox's page in a real browser, filled by the demo's recorded day."""

from __future__ import annotations

import html
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import cdc
from tests.kit.canary import API_KEY
from tests.kit.daemon import command
from tests.kit.sandbox import SandboxThread

RECORDING = Path(cdc.__file__).parent / "demo" / "shop-day.000001"
PAGE_MS = 5000
"""Of the page's own clock, which runs ahead while nothing is loading: two of its turns and more."""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxThread]:
    """A sandbox that holds the recorded day."""
    folder = tmp_path_factory.mktemp("page")
    running = SandboxThread()
    (folder / "magento-cdc.toml").write_text(
        f'[source]\nkind = "files"\nfiles = ["{RECORDING}"]\n'
        f'[sink]\nkind = "bridge"\nbase_url = "{running.url}"\napi_key = "{API_KEY}"\n[web]\nport = 0\n',
        encoding="utf-8",
    )
    pushed = command("mapping", "push", cwd=folder)
    assert pushed.returncode == 0, pushed.stderr
    done = command("run", "--until-end", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    yield running
    running.close()


def dom(browser: Path, url: str, folder: Path) -> str:
    """The page as the browser holds it once its script has worked, without tags' attributes and entities."""
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
    shown = subprocess.run(
        [str(browser), *flags, f"--user-data-dir={folder}", f"--virtual-time-budget={PAGE_MS}", "--dump-dom", url],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr[-2000:]
    body = re.sub(r"<(script|style)\b.*?</\1>", "", shown.stdout, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]*>", "\n", body))


def a_deal(sandbox: SandboxThread) -> tuple[str, list[str]]:
    """A deal and the names of its line items."""
    names: dict[str, list[str]] = {}
    for held in sandbox.state().values():
        if held["type"] == "LINE_ITEM":
            for deal in held["associations"].get("DEAL", ()):
                names.setdefault(deal, []).append(held["properties"]["name"])
    return max(names.items(), key=lambda pair: len(pair[1]))


def test_the_page_lists_every_deal(browser: Path, sandbox: SandboxThread, tmp_path: Path) -> None:
    """The page opens on the deals: number, stage and amount of each, and how many of everything there are."""
    shown = dom(browser, sandbox.url, tmp_path)
    deals = [held for held in sandbox.state().values() if held["type"] == "DEAL"]

    assert deals
    for deal in deals:
        properties = deal["properties"]
        for text in (properties["name"], properties["stage"], f"{float(properties['amount']):,.2f}"):
            assert text in shown


def test_a_deal_shows_its_line_items(browser: Path, sandbox: SandboxThread, tmp_path: Path) -> None:
    """A deal's own address shows the deal with its contact and all its line items by name."""
    deal, lines = a_deal(sandbox)
    shown = dom(browser, f"{sandbox.url}/#bridge/DEAL/{deal}", tmp_path)

    assert "Line items" in shown
    for name in lines:
        assert shown.count(name) >= 1


def test_the_page_asks_for_nothing_elsewhere(sandbox: SandboxThread) -> None:
    """The page works without a network: it names no address but its own."""
    import urllib.request

    with urllib.request.urlopen(sandbox.url, timeout=5) as answer:
        text = answer.read().decode()

    assert not re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", text)
