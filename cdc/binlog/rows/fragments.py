"""MariaDB's PARTIAL_ROW_DATA (from 12.3): pieces of a rows event over binlog_row_event_fragment_threshold.

    4 and 4: number of the piece, from 1, and number of pieces; 1 flags; with 0x01 (first piece): 8 size of the whole;
    the piece

MariaDB's replication protocol, PARTIAL_ROW_DATA_EVENT: https://mariadb.com/docs/server/reference. Its pages give the
two numbers in either order. A piece's number is never larger than the number of pieces, so both orders can be read. The
joined pieces must be an event by its own header, and of the stated size; otherwise the event is refused.
"""

from __future__ import annotations

import struct
from typing import Final

from cdc.binlog.events import CHECKSUM_BYTES, HEADER, HEADER_BYTES
from cdc.binlog.rows.headers import cut
from cdc.errors import UnsupportedEventError

_FIXED: Final = struct.Struct("<IIB").unpack_from
_FIXED_BYTES: Final = 9
_HAS_SIZE: Final = 0x01
_MOST: Final = 1 << 32  # no rows event is larger
_ADVICE: Final = "raise binlog_row_event_fragment_threshold on the server (its default is 1 GB), then import afresh"


class Fragments:
    """The pieces of the rows event that is being put together."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._count = 0
        self._size = 0

    @property
    def is_empty(self) -> bool:
        """Whether no event is half complete."""
        return not self._held

    def clear(self) -> None:
        """Forget the pieces: the event was read, or its transaction was cut off."""
        self._held.clear()
        self._count = self._size = 0

    def whole(self, body: bytes) -> bytes | None:
        """Take one piece. Returns the event with its last piece, and keeps the pieces, so that a failed read can be
        repeated.

        ValueError for a piece out of order or cut short; UnsupportedEventError when the joined pieces are not an event.
        """
        one, other, flags = _FIXED(body)
        number, count = min(one, other), max(one, other)
        at = _FIXED_BYTES
        size = self._size
        if flags & _HAS_SIZE:
            size = int.from_bytes(cut(body, at, 8), "little")
            at += 8
        if number != len(self._held) + 1 or (self._held and count != self._count) or size > _MOST:
            raise ValueError(f"piece {number} of {count} after piece {len(self._held)} of {self._count}")
        piece = body[at:]
        if number < count:
            self._held.append(piece)
            self._count, self._size = count, size
            return None
        return _checked(b"".join([*self._held, piece]), size)


def _checked(event: bytes, size: int) -> bytes:
    """The joined event, if its header and the stated size confirm it."""
    stated = HEADER.unpack_from(event)[3] if len(event) >= HEADER_BYTES else 0
    if not stated or size not in (0, len(event)) or stated not in (len(event), len(event) + CHECKSUM_BYTES):
        raise UnsupportedEventError(
            f"the pieces of a rows event (PARTIAL_ROW_DATA) make {len(event)} bytes that are no event", hint=_ADVICE
        )
    return event
