"""Log lines whose reader is slow, stuck or gone: work goes on, and what is dropped is counted and said."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator

import pytest

from cdc.log_writer import LogWriter, to_descriptor

ROOM = 1000


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe of one page: (read end, write end)."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    yield reader, writer
    for end in (reader, writer):
        try:
            os.close(end)
        except OSError:  # the test closed it
            continue


def read_until(reader: int, end: bytes) -> bytes:
    """What stands in the pipe up to and with ``end``."""
    found = b""
    while not found.endswith(end):
        found += os.read(reader, 65_536)
    return found


def test_lines_arrive_whole_and_in_order(pipe: tuple[int, int]) -> None:
    """Lines of one process keep their order."""
    writer = LogWriter(to_descriptor(pipe[1]))
    lines = [f"line {number}\n" for number in range(100)]
    for line in lines:
        writer.write(line)

    assert writer.drain(10)
    assert read_until(pipe[0], b"line 99\n").decode() == "".join(lines)


def test_a_reader_that_does_not_read_holds_nothing_up(pipe: tuple[int, int]) -> None:
    """With a full pipe and a full queue a line is dropped and counted, and nothing waits."""
    writer = LogWriter(to_descriptor(pipe[1]), max_bytes=10 * ROOM)
    line = "x" * (ROOM - 1) + "\n"
    for _ in range(50):
        writer.write(line)

    assert writer.dropped >= 50 - 10 - 4096 // ROOM - 1
    assert not writer.drain(0.01)
    os.close(pipe[0])  # lets the blocked write end


def test_dropped_lines_are_said_once_lines_go_through_again(pipe: tuple[int, int]) -> None:
    """After the reader woke up, the number of dropped lines is told once, and later lines go through."""
    told: list[int] = []
    was_told = threading.Event()

    def on_dropped(lines: int) -> None:
        told.append(lines)
        was_told.set()

    writer = LogWriter(to_descriptor(pipe[1]), max_bytes=5 * ROOM, on_dropped=on_dropped)
    for _ in range(40):
        writer.write("y" * (ROOM - 1) + "\n")
    dropped = writer.dropped
    awake = threading.Thread(target=lambda: read_until(pipe[0], b"the end\n"), daemon=True)
    awake.start()
    assert was_told.wait(10)
    writer.write("the end\n")

    assert writer.drain(10)
    assert told == [dropped]
    assert dropped > 0
    awake.join(10)


def test_a_reader_that_is_gone_does_not_end_the_process(pipe: tuple[int, int]) -> None:
    """A closed pipe raises nothing: its lines count as dropped."""
    os.close(pipe[0])
    writer = LogWriter(to_descriptor(pipe[1]))
    writer.write("nobody\n")
    writer.write("reads this\n")

    assert writer.drain(10)
    assert writer.dropped == 2
