"""``run --dry-run``: what would be sent, against what the receiver holds, and nothing else happens."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

from tests.acceptance.test_cli import FILES, NOBODY
from tests.kit.daemon import command

BRIDGE = (*FILES, "--set", f"sink.base_url={NOBODY}", "--set", "sink.api_key=none", "--set", "sink.kind=bridge")


def state_of(folder: Path) -> dict[str, str]:
    """Every file of the state folder by its content."""
    found = sorted((folder / "state").rglob("*"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found if path.is_file()}


def test_everything_is_new_to_an_empty_state_and_nothing_is_kept(tmp_path: Path) -> None:
    """A first look at a shop: all its objects as new, no request to the sink, no state left behind."""
    shown = command("run", "--dry-run", *BRIDGE, cwd=tmp_path)
    left = state_of(tmp_path)
    sent = command("run", "--sink", "jsonl", "--until-end", *FILES, cwd=tmp_path)

    assert (shown.returncode, sent.returncode) == (0, 0), shown.stderr
    last = {line["external_id"]: line for line in map(json.loads, shown.stdout.splitlines())}
    held = {line["external_id"]: line for line in map(json.loads, sent.stdout.splitlines())}
    existing = {name for name, line in last.items() if line["action"] == "UPSERT"}
    assert existing == {name for name, line in held.items() if line["action"] == "UPSERT"}
    upserts = Counter(last[name]["object_type"] for name in existing)
    assert upserts["DEAL"] > 0
    for object_type, count in upserts.items():
        assert f"{object_type}: {count} new, 0 changed, 0 deleted" in shown.stderr
    assert "0 unchanged" in shown.stderr
    assert left == {}


def test_the_state_stays_as_it_was(tmp_path: Path) -> None:
    """After a run nothing is left to send; with --resend every object would be a change, and the state is untouched."""
    assert command("run", "--sink", "jsonl", "--until-end", *FILES, cwd=tmp_path).returncode == 0
    before = state_of(tmp_path)

    quiet = command("run", "--dry-run", *BRIDGE, cwd=tmp_path)
    again = command("run", "--dry-run", "--resend", *BRIDGE, cwd=tmp_path)

    assert (quiet.returncode, again.returncode) == (0, 0), quiet.stderr + again.stderr
    assert quiet.stdout == ""
    lines = [json.loads(line) for line in again.stdout.splitlines()]
    assert lines
    assert {line["change"] for line in lines} == {"changed"}
    assert f"{len(lines)} unchanged" in quiet.stderr
    assert state_of(tmp_path)["state.sqlite3"] == before["state.sqlite3"]
