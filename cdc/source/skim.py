"""Reads a log file up to a position at which no dump can begin: beyond 4 GiB, without GTIDs.

The dump command has 32 bits for the offset. So the dump begins at the file's head, and the bytes before the target are
skipped: only the ends of transactions are read, no row is decoded.
"""

from __future__ import annotations

import socket
from typing import Final

from cdc.binlog.decoder import LogDecoder
from cdc.binlog.events import HEADER, EventType
from cdc.binlog.framing import packet_at
from cdc.errors import PositionLostError, SourceDisconnectedError
from cdc.model import Position
from cdc.source.buffer import ReceiveBuffer
from cdc.source.server import LOG_HEADER_BYTES

_TYPE_AT: Final = 4
_ADVICE: Final = "start at the next log file, or remove the state folder to import afresh"


class Skim:
    """Skips the packets of a dump from the head of ``target.file`` to ``target``."""

    def __init__(self, target: Position) -> None:
        self._target = target
        self._decoder = LogDecoder((), database="", schemas=None, start=Position(target.file, LOG_HEADER_BYTES))
        self._format = b""

    def feed(self, buffer: ReceiveBuffer) -> bool:
        """Take packets off the buffer, none from behind the target. Returns whether the target is reached.

        Raises PositionLostError when no transaction ends at the target, and what the decoder raises.
        """
        at = 0
        reached = False
        while not reached and (frame := packet_at(buffer.view, at, buffer.length)):
            view, start, size, at = frame
            event = view[start : start + size]
            # Kept for the real decoder, which begins behind it.
            if event[_TYPE_AT] == EventType.FORMAT_DESCRIPTION:
                self._format = bytes(event)
            self._decoder.feed(event)
            reached = self._is_reached()
        buffer.keep_from(at)
        return reached

    def teach(self, decoder: LogDecoder) -> None:
        """Give the file's FORMAT_DESCRIPTION to a decoder that begins at the target."""
        decoder.read_format(memoryview(self._format))

    def _is_reached(self) -> bool:
        found = self._decoder.position
        # Not there yet.
        if found.file == self._target.file and found.offset < self._target.offset:
            return False
        # Passed without stopping exactly there: the target is inside a transaction.
        if found.offset != self._target.offset or found.file != self._target.file:
            raise PositionLostError(f"no transaction of the log ends at {self._target}", hint=_ADVICE)
        return True


def first_format(link: socket.socket) -> int:
    """The time in the header of a dump's first FORMAT_DESCRIPTION."""
    buffer = ReceiveBuffer()
    while buffer.receive(link):
        at = 0
        while frame := packet_at(buffer.view, at, buffer.length):
            view, start, _, at = frame
            head = HEADER.unpack_from(view, start)
            if head[1] == EventType.FORMAT_DESCRIPTION:
                return int(head[0])
        buffer.keep_from(at)
    raise SourceDisconnectedError("the server closed the connection")
