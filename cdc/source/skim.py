"""Reads from a log file's head up to a place in it that no dump can begin at: a place beyond 4 GiB, without GTIDs.

The dump command has 32 bits for the offset. So the dump begins at the file's head, and what lies before the place is
passed over: only where transactions end is looked at, no row is decoded and no table mapped.
"""

from __future__ import annotations

from typing import Final

from cdc.binlog.decoder import LogDecoder
from cdc.binlog.events import EventType
from cdc.binlog.framing import packet_at
from cdc.errors import PositionLostError
from cdc.model import Position
from cdc.source.buffer import ReceiveBuffer
from cdc.source.server import LOG_HEADER_BYTES

_TYPE_AT: Final = 4
_ADVICE: Final = "start at the next log file, or remove the state folder to import afresh"


class Skim:
    """Passes over the packets of a dump from the head of ``place.file`` until ``place``."""

    def __init__(self, place: Position) -> None:
        self._place = place
        self._decoder = LogDecoder((), database="", schemas=None, start=Position(place.file, LOG_HEADER_BYTES))
        self._format = b""

    def feed(self, buffer: ReceiveBuffer) -> bool:
        """Take packets off the buffer, none from behind the place; whether the place is reached.

        Raises PositionLostError when no transaction ends at the place, and what the decoder raises.
        """
        at = 0
        reached = False
        while not reached and (frame := packet_at(buffer.view, at, buffer.length)):
            view, start, size, at = frame
            event = view[start : start + size]
            if event[_TYPE_AT] == EventType.FORMAT_DESCRIPTION:
                self._format = bytes(event)
            self._decoder.feed(event)
            reached = self._is_reached()
        buffer.keep_from(at)
        return reached

    def teach(self, decoder: LogDecoder) -> None:
        """Tell a decoder that begins at the place how the file's events are to be read."""
        decoder.read_format(memoryview(self._format))

    def _is_reached(self) -> bool:
        found = self._decoder.position
        if found.file == self._place.file and found.offset < self._place.offset:
            return False
        if found.offset != self._place.offset or found.file != self._place.file:
            raise PositionLostError(f"no transaction of the log ends at {self._place}", hint=_ADVICE)
        return True
