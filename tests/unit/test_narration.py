"""What a run tells in its log: what was started, counts once a minute, and the last line of a bad end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from cdc.narration import EVERY_S, Activity, tell_start
from cdc.settings.config import load

ROOT = Path(__file__).resolve().parents[2]


def status(changes: int, accepted: int) -> Mapping[str, object]:
    """As the daemon's view gives it."""
    return {
        "changes": changes,
        "outbox": {"total": 7},
        "delivery": {"accepted": {"DEAL": accepted, "CONTACT": 1}},
        "position": "binlog.000001:4",
    }


def test_counts_are_told_once_a_minute_while_there_was_work() -> None:
    """A line has what was done since the last one; a minute without work has none."""
    activity = Activity(0)
    with capture_logs() as lines:
        activity.look(status(10, 2), EVERY_S - 1)
        activity.look(status(15, 2), EVERY_S)
        activity.look(status(15, 2), 2 * EVERY_S)
        activity.look(status(18, 2), 3 * EVERY_S)

    assert [(line["event"], line["done"]) for line in lines] == [
        ("activity", {"changes": 15, "accepted": 3}),
        ("activity", {"changes": 3}),
    ]
    assert lines[0]["outbox"] == 7


def test_the_end_tells_what_the_last_minute_did() -> None:
    """A run that ends within its first minute says what it did; a total that began anew counts whole."""
    activity = Activity(0)
    with capture_logs() as lines:
        activity.look(status(10, 2), 1, is_last=True)
        activity.look(status(4, 2), 2, is_last=True)

    assert [line["done"].get("changes") for line in lines] == [10, 4]


def test_the_start_names_what_runs_without_secrets(tmp_path: Path) -> None:
    """Version, both ends, the state and the place; no password and no key."""
    flags = {"source": {"password": "invented-secret"}, "sink": {"access_token": "invented-secret"}}
    settings = load(None, flags)
    with capture_logs() as lines:
        tell_start(settings, position="binlog.000001:4", server="uuid", is_relay=False)

    [line] = lines
    assert line["source"] == "binlog 127.0.0.1:3306/magento"
    assert line["sink"].endswith("https://api.hubapi.com")
    assert (line["position"], line["server"]) == ("binlog.000001:4", "uuid")
    assert "invented-secret" not in str(line)


def ended(folder: Path, *words: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, JSON lines of stdout and text of stderr of a command that ends by itself."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAGENTO_CDC")}
    command = [sys.executable, "-c", "from cdc.cli.main import main; main()", *words]
    done = subprocess.run(
        command, cwd=folder, env=environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("run", "--set", "source.prot=3"), 2, "source.prot"),
        (("relay", "--set", "source.kind=kafka"), 2, "source.kind"),
        (
            (
                "run",
                "--set",
                "source.kind=files",
                "--set",
                'source.files=["nowhere.*"]',
                "--set",
                "sink.kind=jsonl",
                "--set",
                "sink.path=x",
            ),
            2,
            "nowhere",
        ),
    ],
)
def test_the_last_line_of_a_bad_end_says_why(tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    """Reason, hint and exit code are in the log too, not on standard error alone, also where settings are wrong."""
    exit_code, lines, text = ended(tmp_path, *words)

    assert exit_code == code
    assert (lines[-1]["event"], lines[-1]["level"], lines[-1]["exit_code"]) == ("failed", "error", code)
    assert said in lines[-1]["reason"]
    assert said in text
