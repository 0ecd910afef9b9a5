"""SIGHUP: a running daemon takes over what can change, names the rest, and a mistake changes nothing."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cdc.delivery.engine import Delivery
from cdc.engine.engine import Engine
from cdc.settings import documentation
from cdc.settings.config import Settings
from cdc.settings.reload import CHANGEABLE, merge
from cdc.sink_output import SinkOutput
from tests.kit.delivery_harness import DeliveryHarness
from tests.kit.fakesink import FakeSink

ROOT = Path(__file__).resolve().parents[2]

LOOKED_UP_AT_THE_START = {
    "verify.every_h": "the task that takes samples is made at the start or not at all",
    "mapping.namespace": "every object's external id begins with it",
}
"""Settings that delivery reads and that a reload refuses by name, with the reason."""

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
    """Changed limits hold, a changed folder is refused by name, a broken file changes nothing; SIGTERM ends with 0."""
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


def test_each_setting_is_taken_over_or_refused_by_name() -> None:
    """Whatever setting changes in the file, a reload either holds the new value or names it as needing a restart."""
    held = Settings()
    for name, _ in documentation.fields():
        asked = changed(held, name.split("."), object())
        found = merge(held, asked)
        if name in CHANGEABLE:
            assert (found.changed, found.need_restart) == ([name], []), name
            assert found.settings == asked, name
        else:
            assert (found.changed, found.need_restart) == ([], [name]), name
            assert found.settings == held, name


def changed(section: Any, path: list[str], value: object) -> Any:
    """The section with one setting replaced, as it is: no rule of the settings is asked."""
    first, *rest = path
    first = "sent_as" if first == "as" else first  # a word that Python keeps for itself
    return section.model_copy(update={first: changed(getattr(section, first), rest, value) if rest else value})


def test_what_delivery_looks_up_at_each_use_can_be_reloaded() -> None:
    """Each setting that a module of delivery reads through the settings it was handed can change while it runs."""
    read = {name for path in sorted((ROOT / "cdc" / "delivery").glob("*.py")) for name in settings_read(path)}

    assert "delivery.max_deletes_share" in read, "the search finds what it is meant to find"
    assert read - CHANGEABLE == LOOKED_UP_AT_THE_START.keys()


def settings_read(path: Path) -> set[str]:
    """Names like ``sink.max_batch`` for each ``….settings.sink.max_batch`` of a module.

    A part that holds one section as ``settings`` (the circuit breaker) reads ``settings.NAME``: of ``[delivery]``.
    """
    sections = Settings.model_fields
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        dotted = ast.unparse(node).split(".") if isinstance(node, ast.Attribute) else []
        if "settings" not in dotted[:-1]:
            continue
        rest = dotted[dotted.index("settings") + 1 :]
        if rest[0] not in sections:
            found.add(f"delivery.{rest[0]}")
        elif len(rest) > 1:
            found.add(".".join(rest[:2]))
    return found


class BoundedSink(FakeSink):
    """A sink that cuts its bodies by itself."""

    max_bytes = 0

    def bound_bodies(self, max_bytes: int) -> None:
        """See ``BoundsBodies``."""
        self.max_bytes = max_bytes


async def test_reloaded_brakes_shares_and_waits_hold_at_once(tmp_path: Path) -> None:
    """The circuit breaker's share, the batch and the time in which verdicts come are those of the reloaded settings."""
    sink = BoundedSink()
    harness = DeliveryHarness(tmp_path, sink)
    delivery: Delivery = harness.delivery
    settings = harness.settings
    values = {
        "delivery.max_deletes_share": 0.9, "sink.max_batch": 3, "sink.judge_poll_s": 100.0, "sink.max_batch_kb": 64,
    }  # fmt: skip
    for name, value in values.items():
        settings = changed(settings, name.split("."), value)

    await delivery.reload(settings, harness.sink.traits)

    context = delivery._context
    assert context.circuit_breaker.settings.max_deletes_share == 0.9
    assert context.max_batch == 3
    assert sink.max_bytes == 64 * 1024
    assert context.health.account.verdict_s == 300.0


async def test_a_reloaded_grace_time_holds_for_the_next_deletion(tmp_path: Path) -> None:
    """Rendering rests deletions as long as the reloaded delivery.delete_grace_s says."""
    settings = Settings.model_validate({"sink": {"kind": "jsonl", "path": str(tmp_path / "out")}})
    output = SinkOutput(settings)
    renderer = DeliveryHarness(tmp_path).books.renderer
    output._engine = cast(Engine, SimpleNamespace(renderer=renderer))

    await output.reload(changed(settings, ["delivery", "delete_grace_s"], 5.0))

    assert renderer.delete_grace_ms == 5_000
    await output.close()
