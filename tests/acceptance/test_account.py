"""An account that is switched off: the daemon waits, says so in /ready, and loses and sets aside nothing."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_cli import RECORDING
from tests.kit.canary import API_KEY
from tests.kit.daemon import Daemon, command, wait_until
from tests.kit.sandbox import SandboxThread


@pytest.fixture
def sandbox() -> Iterator[SandboxThread]:
    made = SandboxThread()
    yield made
    made.close()


def readiness(daemon: Daemon) -> dict[str, Any]:
    """What /ready says, red or not."""
    try:
        found: dict[str, Any] = daemon.ask("/ready")
    except urllib.error.HTTPError as red:
        found = json.load(red)
    return found


def test_settings_that_are_switched_off_are_waited_for(tmp_path: Path, sandbox: SandboxThread) -> None:
    """/ready names HubSpot's word and the command that mends it; nothing is a dead letter; then all of it arrives."""
    sandbox.switch(on=False)
    toml = f"""
[source]
kind = "files"
files = ["{RECORDING}"]
[sink]
kind = "bridge"
base_url = "{sandbox.url}"
api_key = "{API_KEY}"
judge_poll_s = 0.5
[web]
port = 0
"""
    with Daemon(tmp_path, toml) as daemon:
        daemon.start()
        wait_until(lambda: "SETTINGS_NOT_ENABLED" in json.dumps(readiness(daemon)), 30, "/ready says why")
        said = readiness(daemon)
        assert said["ready"] is False
        assert "magento-cdc mapping push" in json.dumps(said)
        assert [line["state"] for line in daemon.lines() if line["event"] == "sink_takes_nothing"] == ["account"]
        daemon.kill()
        assert json.loads(command("deadletter", "list", "--json", cwd=tmp_path).stdout) == []
        pushed = command("mapping", "push", cwd=tmp_path)
        assert "enabled: false" in pushed.stderr
        daemon.start()
        wait_until(lambda: len(sandbox.state()) >= 60, 30, "the shop's day is there")
    sandbox.assert_rules_kept()
