"""Writes log lines to a pipe through a bounded queue and a thread of its own, so that a slow reader never stops work.

The reader of standard output may stop reading: a stuck log collector, Docker's mode "blocking". Then a write to the
full pipe waits, and so does the thread that writes. So only this module's thread writes. Lines that do not fit into the
queue are dropped and counted. A line with the count follows as soon as lines can be written again.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

MAX_BYTES: Final = 4 * 1024 * 1024
"""The most bytes of lines that wait: some ten thousand lines."""

FLUSH_S: Final = 1.0
"""Seconds that the end of the process waits for lines that are still in the queue."""


class Sink(Protocol):
    """The final destination of lines."""

    def __call__(self, data: bytes) -> None:
        """Write all of ``data``; may block. OSError if it can never be read."""
        ...


def to_descriptor(descriptor: int) -> Sink:
    """Writes to a file descriptor without Python's buffers: a blocked write would lock such a buffer until the process
    ends.
    """

    def write(data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    return write


class LogWriter:
    """The text stream that ``structlog`` writes to. ``write`` never blocks; lines keep their order.

    ``on_dropped`` is called in the writer's thread, after the next successful write, with the number of lines dropped
    since the last call.
    """

    def __init__(
        self, sink: Sink, *, max_bytes: int = MAX_BYTES, on_dropped: Callable[[int], None] = lambda _: None
    ) -> None:
        self._sink = sink
        self._max_bytes = max_bytes
        self._on_dropped = on_dropped
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._is_writing = False
        self._unsaid = 0
        self.dropped = 0
        """Lines dropped since the process started."""
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def write(self, text: str) -> int:
        """Put a line into the queue, or drop and count it if the queue is full."""
        line = text.encode("utf-8", "backslashreplace")
        with self._changed:
            if self._bytes + len(line) > self._max_bytes:
                self.dropped += 1
                self._unsaid += 1
                return len(text)
            self._lines.append(line)
            self._bytes += len(line)
            self._changed.notify_all()
        return len(text)

    def flush(self) -> None:
        """Nothing: the thread writes as soon as the reader reads."""

    def drain(self, seconds: float = FLUSH_S) -> bool:
        """Wait until every line is written; False if ``seconds`` were not enough. For the end of the process."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._lines or self._is_writing:
                left_s = end - time.monotonic()
                if left_s <= 0:
                    return False
                self._changed.wait(left_s)
        return True

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._lines:
                    self._changed.wait()
                data = b"".join(self._lines)
                count = len(self._lines)
                self._lines.clear()
                self._is_writing = True
            is_written = False
            # a closed pipe has no reader any more: the daemon goes on, and the lines are counted as dropped
            with contextlib.suppress(OSError):
                self._sink(data)
                is_written = True
            self._after(len(data), 0 if is_written else count)

    def _after(self, size: int, lost: int) -> None:
        """Free the space of lines that were written or lost. It is freed only now, so that a blocked write counts as
        waiting.
        """
        with self._changed:
            self._bytes -= size
            self._is_writing = False
            self.dropped += lost
            self._unsaid += lost
            unsaid = 0 if lost else self._unsaid
            self._unsaid -= unsaid
            self._changed.notify_all()
        if unsaid:
            self._on_dropped(unsaid)
