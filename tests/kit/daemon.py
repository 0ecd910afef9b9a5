"""The installed command in a subprocess, as a cluster would run it: started, stopped, killed, asked."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from tests.kit.canary import TRACEBACK, assert_no_leak, assert_no_secret

KILLS: Final[list[int]] = []
"""The processes that this run killed: what had no receipt then is sent once more."""

COMMAND = Path(sys.executable).with_name("magento-cdc")
START_LIMIT_S = 30.0
SHOWS_PEOPLE = ("run", "demo", "trace", "mapping show", "verify --show-values")
"""Commands whose answer on stdout is people's values, as they were asked for."""


def free_environment() -> dict[str, str]:
    """This environment without settings of ours that a developer may have set; deletions go at once.

    ``DECODE_IN=process`` has every daemon of the tests decode in a process of its own: the results must be the same.
    """
    others = {name: value for name, value in os.environ.items() if not name.upper().startswith("MAGENTO_CDC__")}
    decode_in = os.environ.get("DECODE_IN", "")
    chosen = {"MAGENTO_CDC__SOURCE__DECODE_IN": decode_in} if decode_in else {}
    return {**others, **chosen, "MAGENTO_CDC__DELIVERY__DELETE_GRACE_S": "0"}


def command(*arguments: str, cwd: Path, limit_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run one command to its end. All that it says is searched for values of people, for secrets and for tracebacks."""
    done = subprocess.run(
        [str(COMMAND), *arguments],
        cwd=cwd,
        env=free_environment(),
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    words = " ".join(arguments)
    assert_no_leak(done.stderr, f"stderr of {words[:80]}")
    assert TRACEBACK not in done.stderr, done.stderr
    search = assert_no_secret if words.startswith(SHOWS_PEOPLE) else assert_no_leak
    search(done.stdout, f"stdout of {words[:80]}")
    return done


def wait_until(question: Callable[[], bool], limit_s: float, what: str) -> None:
    """Ask until the answer is yes; an assertion with ``what`` if it never is."""
    deadline = time.monotonic() + limit_s
    while not question():
        assert time.monotonic() < deadline, f"not within {limit_s:.0f} s: {what}"
        time.sleep(0.05)


def fetch(url: str, limit_s: float = 5.0) -> Any:
    """A JSON document, also from an answer that is no 200."""
    try:
        with urllib.request.urlopen(url, timeout=limit_s) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return json.loads(error.read())


class Daemon:
    """``magento-cdc run`` with a settings file in ``folder``; its log lines go to ``folder/run.log``."""

    def __init__(self, folder: Path, settings: str, *arguments: str, verb: str = "run") -> None:
        self.folder = folder
        self._verb = verb
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        (folder / "magento-cdc.toml").write_text(settings, encoding="utf-8")

    def start(self) -> Self:
        """Start it; it may not be listening yet."""
        with (self.folder / "run.log").open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [str(COMMAND), self._verb, *self._arguments],
                cwd=self.folder,
                env=free_environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self

    def start_unread(self, port: int) -> int:
        """Start it with an output of one page that nobody reads, and its web pages at ``port``; the pipe's read end."""
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        self._process = subprocess.Popen(
            [str(COMMAND), self._verb, *self._arguments, "--set", f"web.port={port}"],
            cwd=self.folder, env=free_environment(), stdout=writer, stderr=subprocess.STDOUT,
        )  # fmt: skip
        os.close(writer)
        return reader

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        KILLS.append(self._process.pid)
        self._process.kill()
        self._process.wait()

    def signal(self) -> None:
        """SIGTERM, without waiting."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def stop(self, limit_s: float = 30.0) -> int:
        """SIGTERM; the exit code."""
        self.signal()
        return self.wait(limit_s)

    def wait(self, limit_s: float = 60.0) -> int:
        """Wait for it to end by itself; the exit code."""
        assert self._process is not None
        return self._process.wait(limit_s)

    @property
    def pid(self) -> int:
        """The process of the newest start."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def lines(self) -> list[dict[str, Any]]:
        """The log of all starts so far, parsed; a line that is no JSON is an assertion."""
        return _parsed((self.folder / "run.log").read_bytes())

    def lines_of_this_start(self) -> list[dict[str, Any]]:
        """The same since the newest start."""
        return _parsed((self.folder / "run.log").read_bytes()[self._log_start :])

    def port(self) -> int:
        """The web port of the newest start (``web.port = 0`` picks a free one)."""
        found: list[int] = []

        def listening() -> bool:
            assert self.is_running, (self.folder / "run.log").read_text()[-3000:]
            found[:] = [line["port"] for line in self.lines_of_this_start() if line["event"] == "web_listening"]
            return bool(found)

        wait_until(listening, START_LIMIT_S, "the daemon listens")
        return found[-1]

    def ask(self, path: str) -> Any:
        """A page of the daemon's web server as JSON."""
        return fetch(f"http://127.0.0.1:{self.port()}{path}")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What its state holds now; ``/status`` shows a look into it that may be a second old."""
        path = self.folder / "state" / "state.sqlite3"
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def page(self, path: str) -> str:
        """A page of the daemon's web server as text."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port()}{path}", timeout=5.0) as answer:
            text: str = answer.read().decode()
        return text

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End it; whatever it wrote is searched for values of people and for secrets."""
        pages = {}
        if self.is_running and kind is None:
            pages = self._last_pages()
        if self.is_running:
            self.kill()
        if kind is None:  # a test that failed already says more
            log = self.folder / "run.log"
            text = log.read_text("utf-8", "replace") if log.exists() else ""
            assert_no_leak(text, "the daemon's log")
            assert TRACEBACK not in text, text[text.index(TRACEBACK) :][:3000]
            for path, text in pages.items():
                assert_no_leak(text, path)

    def _last_pages(self) -> dict[str, str]:
        """What the daemon shows at the end; a page that does not answer any more shows nothing."""
        found = {}
        for path in ("/metrics", "/status", "/live", "/ready", "/"):
            with contextlib.suppress(OSError, AssertionError):
                found[path] = self.page(path)
        return found

    def __enter__(self) -> Self:
        return self


def _parsed(text: bytes) -> list[dict[str, Any]]:
    whole = text[: text.rfind(b"\n") + 1]  # the last line may be half written
    return [json.loads(line) for line in whole.splitlines()]
