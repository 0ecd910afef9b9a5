"""The newest requests with their bodies and answers, for the page; and all of them in a file, for checking the form."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Final

import orjson

KEPT: Final = 300


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, without headers: they hold the token. ``status`` 0: the connection was cut."""

    number: int
    at_ms: int
    took_ms: int
    method: str
    path: str
    query: dict[str, str]
    status: int
    inputs: int
    request: str
    answer: str


class Exchanges:
    """Keeps the newest exchanges and counts all of them by family."""

    def __init__(self) -> None:
        self.kept: deque[Exchange] = deque(maxlen=KEPT)
        self.counts: Counter[str] = Counter()
        self.inputs: Counter[str] = Counter()
        self._file: FileIO | None = None
        self._lock = threading.Lock()

    def record_into(self, path: Path) -> None:
        """Write every exchange from now on into a file, one JSON object a line. Its answers hold personal values."""
        self.close()
        # Without a buffer each line is one write at the file's end, so that several sandboxes can share a file.
        self._file = path.open("ab", buffering=0)
        path.chmod(0o600)

    def close(self) -> None:
        """Stop recording."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def clear(self) -> None:
        """Forget what was kept and counted; recording goes on."""
        self.kept.clear()
        self.counts.clear()
        self.inputs.clear()

    def note(self, family: str, exchange: Exchange) -> None:
        """Remember one exchange."""
        self.counts["all"] += 1
        self.counts[family] += 1
        self.inputs[exchange.path] += exchange.inputs
        self.kept.append(exchange)

    def write_line(self, line: dict[str, Any]) -> None:
        """Record one exchange with whole bodies, if somebody asked for a file."""
        if self._file is not None:
            with self._lock:
                self._file.write(orjson.dumps(line) + b"\n")
