"""SIGHUP: a running daemon takes over what can change, names the rest, and a mistake changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

SETTINGS = """
[source]
kind = "files"
files = ["{root}/cdc/demo/shop-day.000001"]
[sink]
kind = "jsonl"
path = "messages.jsonl"
[web]
port = 0
[delivery]
max_deletes_per_hour = 500
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that reads binlog files into a file of JSON lines."""
    (tmp_path / "magento-cdc.toml").write_text(SETTINGS.format(root=ROOT))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAGENTO_CDC")}
    with subprocess.Popen(
        [sys.executable, "-c", "from cdc.cli.main import main; main()", "run"],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until(process: subprocess.Popen[str], event: str) -> dict[str, Any]:
    """The next line of the log with this event."""
    assert process.stdout is not None
    for text in process.stdout:
        line: dict[str, Any] = json.loads(text)
        if line["event"] == event:
            return line
    raise AssertionError(f"the log ended without {event}")


def test_a_hangup_reloads_the_settings(daemon: subprocess.Popen[str], tmp_path: Path) -> None:
    """Changed brakes hold, a changed folder is refused by name, a broken file changes nothing; SIGTERM ends with 0."""
    path = tmp_path / "magento-cdc.toml"
    until(daemon, "started")
    path.write_text(path.read_text().replace("500", "7") + '[state]\ndir = "elsewhere"\n')
    daemon.send_signal(signal.SIGHUP)
    assert until(daemon, "settings_reloaded")["changed"] == ["delivery.max_deletes_per_hour"]
    assert until(daemon, "settings_need_restart")["settings"] == ["state.dir"]

    path.write_text("[delivery]\nmax_deletes_per_hour = -1\n")
    daemon.send_signal(signal.SIGHUP)
    assert "delivery.max_deletes_per_hour = -1" in until(daemon, "settings_refused")["reason"]

    daemon.send_signal(signal.SIGTERM)
    until(daemon, "stopped")
    assert daemon.wait(20) == 0
