"""Cuts a buffer of network packets into events, packets of unusual form included.

    packet   3 length, 1 sequence, payload; a payload of 0xFFFFFF bytes goes on in the next packet
    payload  first byte 0x00: an event follows; 0xFF: 2 error number, "#" + 5 state, words; 0xFE: the dump has ended

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
"""

from __future__ import annotations

import struct
from typing import Final

from cdc.binlog.events import HEADER_BYTES
from cdc.errors import LogFormatError, SourceDisconnectedError

PACKET_HEADER_BYTES: Final = 4
LONG_PACKET: Final = 0xFFFFFF
"""A payload of this length continues in the next packet."""

_MOST: Final = (1 << 31) + (1 << 20)  # no server writes a larger event
_U32: Final = struct.Struct("<I").unpack_from

Frame = tuple[memoryview, int, int, int]
"""The buffer, the position of the event in it, the event's length, and the position behind it in the buffer that was
fed.
"""


def packet_at(buffer: memoryview, at: int, length: int) -> Frame | None:
    """The event in the packet at ``at``; None while the packet is not complete. ``length``: how many bytes the buffer
    holds.

    Raises SourceDisconnectedError for an error packet or an end packet, LogFormatError for anything else.
    """
    # Even the length is not there yet.
    if length - at < PACKET_HEADER_BYTES:
        return None
    size = _U32(buffer, at)[0] & LONG_PACKET
    end = at + PACKET_HEADER_BYTES + size
    if end > length:
        return None
    # A status byte is always there. Zero bytes mean that framing is lost.
    if size == 0:
        raise LogFormatError("an empty packet in the stream of events")
    status = buffer[at + PACKET_HEADER_BYTES]
    if status:
        raise _refusal(status, bytes(buffer[at + PACKET_HEADER_BYTES : end]))
    # Exactly 2^24 - 1 bytes: the event goes on in the next packet, even if that one is empty.
    if size == LONG_PACKET:
        return _long_packet(buffer, at, length)
    return buffer, at + PACKET_HEADER_BYTES + 1, size - 1, end


def _long_packet(buffer: memoryview, at: int, length: int) -> Frame | None:
    """An event of 16 MiB or more, joined from its packets once all of them have arrived."""
    pieces: list[tuple[int, int]] = []
    total = 0
    while True:
        # Nothing is taken until all pieces are there: the caller keeps the bytes and comes again.
        if length - at < PACKET_HEADER_BYTES:
            return None
        size = _U32(buffer, at)[0] & LONG_PACKET
        at += PACKET_HEADER_BYTES
        if at + size > length:
            return None
        pieces.append((at, at + size))
        total += size
        at += size
        # The pieces come without a total. Without a limit a broken stream would fill the memory.
        if total > _MOST:
            raise LogFormatError(f"a packet of more than {_MOST} bytes")
        if size < LONG_PACKET:
            break
    joined = memoryview(b"".join(buffer[start:end] for start, end in pieces))
    return joined, 1, total - 1, at


def _refusal(status: int, payload: bytes) -> Exception:
    if status == 0xFF and len(payload) >= 3:
        words = payload[3:].decode("utf-8", "replace")
        # Since MySQL 4.1 a state of five letters stands before the words. It helps nobody who reads the error.
        if words.startswith("#"):
            words = words[6:]
        number = int.from_bytes(payload[1:3], "little")
        return SourceDisconnectedError(f"the server ended the stream with error {number}: {words}", errno=number)
    # An end packet has at most 5 bytes. A longer one that starts with 0xFE is something else.
    if status == 0xFE and len(payload) < 9:
        return SourceDisconnectedError("the server ended the stream: there is no more to read")
    return LogFormatError(f"a packet that begins with 0x{status:02x} in the stream of events")


def check_length(size: int) -> None:
    """Refuse an impossible length of an event (LogFormatError): the reader would wait for its end for ever."""
    if not HEADER_BYTES <= size <= _MOST:
        raise LogFormatError(
            f"an event of {size} bytes", hint="the file is damaged, or no event begins at the position"
        )
