"""Runs one side as a process of its own and takes its times: wall, first and last record, processor, memory."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LIMIT_S = 600.0
_LOOK_S = 0.005
_MEMORY_LOOK_S = 0.05
_MOST_KB = re.compile(r"VmHWM:\s+(\d+)")


@dataclass(frozen=True, slots=True)
class Taken:
    """One run. ``wall_s``: from the start of the process to its end; ``cpu_s``: user and system time of the process and
    of its children; ``first_s``, ``last_s``: when its first and last record were there, None if it does not say.
    """

    wall_s: float
    cpu_s: float
    rss_mb: float
    records: int = 0
    first_s: float | None = None
    last_s: float | None = None

    @property
    def from_first_s(self) -> float | None:
        """Seconds between the first record and the last."""
        return None if self.first_s is None or self.last_s is None else self.last_s - self.first_s


def run_that_tells(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> Taken:
    """Run a program that prints ``first``, ``last`` and then the number of records. RuntimeError if it fails."""
    marks: dict[str, float] = {}
    last_line = ""
    with _started(command, folder, subprocess.PIPE, environment) as run:
        assert run.process.stdout is not None
        for raw in run.process.stdout:
            last_line = raw.decode().strip()
            marks.setdefault(last_line, run.now_s())
        usage = run.ended()
    return Taken(*usage, int(last_line.split()[0]), marks.get("first"), marks.get("last"))


def run_that_writes(command: Sequence[str], folder: Path, output: Path, environment: Mapping[str, str]) -> Taken:
    """Run a program that appends lines to ``output``, and watch the file grow. RuntimeError if it fails."""
    first = last = None
    size = 0
    with _started(command, folder, subprocess.DEVNULL, environment) as run:
        while not run.has_ended():
            found = output.stat().st_size if output.exists() else 0
            if found != size:
                size, last = found, run.now_s()
                first = last if first is None else first
            time.sleep(_LOOK_S)
        usage = run.ended()
    with output.open("rb") as lines:
        return Taken(*usage, sum(1 for _ in lines), first, last)


def run_silent(command: Sequence[str], folder: Path) -> Taken:
    """Run a program whose output nobody reads. RuntimeError if it fails."""
    with _started(command, folder, subprocess.DEVNULL) as run:
        return Taken(*run.ended())


class _Run:
    """A process under way."""

    def __init__(self, process: subprocess.Popen[bytes], errors: Path) -> None:
        self.process, self._errors = process, errors
        self._began_s = time.monotonic()
        self._usage: tuple[float, float] | None = None
        self._most_kb = 0

    def now_s(self) -> float:
        return time.monotonic() - self._began_s

    def has_ended(self) -> bool:
        return self._usage is not None or self._reap(os.WNOHANG)

    def ended(self) -> tuple[float, float, float]:
        """Wait for the end; wall and processor seconds, MB of memory. RuntimeError unless it ended with 0."""
        if self._usage is None:
            self._reap(0)
        assert self._usage is not None
        if self.process.returncode:
            told = self._errors.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self.process.args!r} ended with {self.process.returncode}:\n{told}")
        return *self._usage, self._most_kb / 1024

    def look_at_memory(self) -> None:
        """Note the most memory so far. What ``wait4`` says includes the memory of this process, which it was
        forked from.
        """
        with contextlib.suppress(OSError):
            found = _MOST_KB.search(Path(f"/proc/{self.process.pid}/status").read_text())
            self._most_kb = max(self._most_kb, int(found[1]) if found else 0)

    def _reap(self, options: int) -> bool:
        pid, status, used = os.wait4(self.process.pid, options)
        if pid == 0:
            return False
        self._usage = self.now_s(), used.ru_utime + used.ru_stime
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return True


def _watch_memory(run: _Run, is_over: threading.Event) -> None:
    while not is_over.wait(_MEMORY_LOOK_S):
        run.look_at_memory()


@contextmanager
def _started(
    command: Sequence[str], folder: Path, output: int, environment: Mapping[str, str] | None = None
) -> Iterator[_Run]:
    errors = folder / "errors"
    with errors.open("wb") as stream:
        process = _open(command, folder, output, stream, environment)
    limit = threading.Timer(LIMIT_S, process.kill)
    limit.start()
    run = _Run(process, errors)
    is_over = threading.Event()
    watching = threading.Thread(target=_watch_memory, args=(run, is_over), daemon=True)
    watching.start()
    try:
        yield run
    finally:
        is_over.set()
        watching.join()
        limit.cancel()
        if process.returncode is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _open(
    command: Sequence[str], folder: Path, output: int, errors: IO[bytes], environment: Mapping[str, str] | None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=errors
    )
