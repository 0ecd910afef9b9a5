"""The installed command as a newcomer meets it: one clear sentence with what to do, never a traceback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

import cdc
from tests.kit.canary import API_KEY
from tests.kit.daemon import COMMAND, Daemon, command, free_environment, wait_until

RECORDING = Path(cdc.__file__).parent / "demo" / "shop-day.000001"
FILES = ("--set", "source.kind=files", "--set", f'source.files=["{RECORDING}"]', "--set", "web.port=0")
NOBODY = "http://127.0.0.1:9"
MIXED = f"""
[source]
kind = "files"
files = ["{RECORDING}"]
[sink]
base_url = "{NOBODY}"
access_token = "{API_KEY}"
[web]
port = 0
"""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "--config", "nope.toml"], 2, ["nope.toml", "cannot be read", "--config"]),
        (["run", "--config", "/"], 2, ["cannot be read: Is a directory"]),
        (["run", "--set", "foo"], 2, ["--set number 1: write section.key=value"]),
        (["run", "--set", "source.prot=1"], 2, ["source.prot", "did you mean port?"]),
        (["run", "--set", "snk.kind=jsonl"], 2, ["snk", "no such section", "did you mean sink?"]),
        (["run", "--start", "yesterday"], 2, ["--start", "'yesterday'", "earliest"]),
        (["run", "--set", "source.kind=files"], 2, ["files is empty"]),
        (
            [
                "run",
                "--sink",
                "jsonl",
                "--set",
                "source.kind=files",
                "--set",
                'source.files=["no*"]',
                "--set",
                "web.port=0",
            ],
            2,
            ["'no*' names no file", "source.files"],
        ),
        (["position", "show"], 2, ["there is no state yet", "magento-cdc run"]),
        (["position", "set", "garbage"], 2, ["'garbage' is not a position", "latest"]),
        (["deadletter", "list"], 2, ["there is no state yet"]),
        (["status", "--set", "web.port=9"], 2, ["there is no state yet"]),
        (["mapping", "push"], 2, ["sink.access_token: is empty", "service key"]),
        (["mapping", "push", "--set", "sink.api_key=x"], 2, ["sink.access_token: is empty", 'sink.kind = "bridge"']),
        (
            ["mapping", "push", "--set", "sink.access_token=x", "--set", f"sink.base_url={NOBODY}"],
            1,
            ["Connection refused", "sink.base_url"],
        ),
        (["frobnicate"], 2, ["No such command"]),
    ],
)
def test_a_wrong_call_is_answered_in_one_sentence(
    arguments: list[str], code: int, words: list[str], tmp_path: Path
) -> None:
    """A wrong call names the thing, says what to do, exits by the contract, and leaves stdout to data."""
    done = command(*arguments, cwd=tmp_path)

    assert done.returncode == code, done.stderr
    assert all("event" in json.loads(line) for line in done.stdout.splitlines())  # run's log, and nothing else
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert "fault(s)" not in done.stderr


def test_a_port_in_use_is_named_plainly(tmp_path: Path) -> None:
    """A port that is taken: address and reason in plain words, and what to set; for the daemon and the sandbox."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        daemon = command("run", "--sink", "jsonl", *FILES, "--set", f"web.port={port}", cwd=tmp_path)
        sandbox = command("sandbox", "--port", str(port), cwd=tmp_path)

    for done, hint in ((daemon, "web.port"), (sandbox, "--port 0")):
        assert done.returncode == 2
        assert f"127.0.0.1:{port}: Address already in use" in done.stderr
        assert hint in done.stderr
        assert "error while attempting" not in done.stderr


def test_the_log_becomes_lines_once(tmp_path: Path) -> None:
    """Into jsonl on stdout: lines and nothing else; a second run on the same state has nothing to say."""
    first = command("run", "--sink", "jsonl", "--until-end", *FILES, cwd=tmp_path)
    second = command("run", "--sink", "jsonl", "--until-end", *FILES, cwd=tmp_path)
    lines = [json.loads(line) for line in first.stdout.splitlines()]

    assert (first.returncode, second.returncode) == (0, 0)
    assert {line["object_type"] for line in lines} == {"CONTACT", "PRODUCT", "DEAL", "LINE_ITEM"}
    assert second.stdout == ""


def test_a_reader_that_leaves_ends_the_run(tmp_path: Path) -> None:
    """``run --sink jsonl | head -1`` ends with 1 and says why; what was not taken is sent at the next start."""
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [str(COMMAND), "run", "--sink", "jsonl", *FILES],
        cwd=tmp_path,
        env=free_environment(),
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write_end)
    os.close(read_end)
    _, said = process.communicate(timeout=30)
    again = command("run", "--sink", "jsonl", "--until-end", *FILES, cwd=tmp_path)

    assert process.returncode == 1
    assert "its reader went away" in said
    assert "Traceback" not in said
    assert again.returncode == 0
    assert len(again.stdout.splitlines()) > 50


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_until_end_can_be_stopped_while_the_sink_is_down(number: signal.Signals, tmp_path: Path) -> None:
    """--until-end waits for a sink that is down, and still ends with 0 on the first signal."""
    with Daemon(tmp_path, MIXED, "--until-end") as daemon:
        daemon.start()
        wait_until(lambda: any(x["event"] == "sink_takes_nothing" for x in daemon.lines()), 30, "the sink is down")
        assert daemon._process is not None
        daemon._process.send_signal(number)

        assert daemon.wait(20) == 0
    assert API_KEY not in (tmp_path / "run.log").read_text(encoding="utf-8")


def test_ready_says_why_the_source_is_not_there(tmp_path: Path) -> None:
    """With no database server /ready and status name the address and the reason, not just that it is not reachable."""
    with Daemon(tmp_path, '[source]\nport = 1\n[web]\nport = 0\n[sink]\naccess_token = "x"\n') as daemon:
        daemon.start()
        port = daemon.port()
        wait_until(lambda: "127.0.0.1:1" in str(daemon.ask("/ready")["reasons"]), 15, "the reason is told")
        asked = command("status", "--set", f"web.port={port}", cwd=tmp_path)

        assert asked.returncode == 0
        assert "Connection refused" in asked.stdout
        assert "['" not in asked.stdout
        assert daemon.stop() == 0


@pytest.mark.parametrize(("number", "sink"), [(signal.SIGTERM, "bridge"), (signal.SIGINT, "crm")])
def test_the_demo_ends_quietly(number: signal.Signals, sink: str, tmp_path: Path) -> None:
    """demo --serve says what arrived and where to look, ends with 0 on Ctrl-C and leaves nothing behind."""
    process = subprocess.Popen(
        [str(COMMAND), "demo", "--serve", "--sink", sink],
        cwd=tmp_path,
        env=free_environment() | {"TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith("look at it: http://127.0.0.1:"):
            break
    process.send_signal(number)
    rest = process.communicate(timeout=20)[1]

    assert process.returncode == 0, rest
    arrived = [line.split() for line in said]
    for words in (["DEAL", "17"], ["PRODUCT", "14"], ["LINE_ITEM", "27"], ["shipped", "9"], ["cancelled", "3"]):
        assert words in arrived
    assert any(line.endswith(" 0 rules of sending broken\n") for line in said)
    assert rest == ""
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_read_leave_the_daemon_ready(tmp_path: Path) -> None:
    """With kind = "files" the end of the files is no fault: /ready is green while nothing else is wrong."""
    with Daemon(tmp_path, MIXED.replace("[sink]", '[sink]\nkind = "jsonl"\npath = "out.jsonl"')) as daemon:
        daemon.start()
        wait_until(lambda: daemon.ask("/ready")["ready"], 20, "/ready turns green")

        assert daemon.stop() == 0
