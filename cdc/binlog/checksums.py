"""Checksums of events (binlog_checksum = CRC32): where an event's body ends, and whether its bytes are intact. Pure."""

from __future__ import annotations

import struct
from binascii import crc32
from typing import Final

from cdc.binlog.events import CHECKSUM_BYTES, FLAG_ARTIFICIAL, HEADER_BYTES, EventType

CRC_OF_ALL: Final = 0x2144DF1C
"""The CRC-32 of any bytes followed by their own CRC-32, low byte first. So one call checks a whole event."""

WRONG_CHECKSUM: Final = "its checksum does not fit its bytes"

_U32: Final = struct.Struct("<I").unpack_from
_ROTATE: Final = int(EventType.ROTATE)
_FORMAT: Final = int(EventType.FORMAT_DESCRIPTION)


def body_end(view: memoryview, at: int, end: int, head: tuple[int, ...], *, has_checksums: bool, verify: bool) -> int:
    """Where the body of a FORMAT_DESCRIPTION, a ROTATE, or any event of a log without checksums ends.

    ``at`` and ``end``: the event in ``view``. ``head``: its header. ValueError for a wrong checksum, if ``verify``.

    FORMAT_DESCRIPTION keeps its checksum, as that event says whether there are checksums. An artificial ROTATE may come
    before the first FORMAT_DESCRIPTION, so there the bytes themselves show whether a checksum follows.
    """
    if head[1] == _FORMAT or not (head[1] == _ROTATE or has_checksums):
        return end
    body = end - CHECKSUM_BYTES
    fits = body >= at + HEADER_BYTES and crc32(view[at:body]) == _U32(view, body)[0]
    # Servers send an artificial ROTATE with a checksum or without, whatever the file has.
    if head[5] & FLAG_ARTIFICIAL or not head[4]:
        return body if fits else end
    # The last four bytes of this event belong to the next file's name.
    if not has_checksums:
        return end
    if verify and not fits:
        raise ValueError(WRONG_CHECKSUM)
    return body
