"""One growing buffer between a socket and the decoder."""

from __future__ import annotations

import ssl
from mmap import mmap
from socket import socket
from typing import Final

from cdc.errors import LogFormatError

START_BYTES: Final = 1 << 20
SHRINK_OVER_BYTES: Final = 16 << 20  # one giant event must not hold its memory for ever
MAX_BYTES: Final = (1 << 30) + (1 << 24)  # servers cap an event at 1 GiB; with room for what comes behind it


class ReceiveBuffer:
    """Bytes received and not decoded yet: ``view[:length]``.

    The next ``keep_from`` or ``receive`` overwrites ``view``, so the decoder copies the bytes that it keeps.
    """

    def __init__(self, size: int = START_BYTES) -> None:
        self._size = size
        self.view = memoryview(mmap(-1, size))  # pages take memory only once they are written, a bytearray's at once
        self.length = 0

    def receive(self, connection: socket) -> int:
        """Append the bytes that have arrived; wait for at least one byte. Returns 0 when the other side closed.

        Raises the socket's errors (TimeoutError among them) and LogFormatError when an event never ends.
        """
        if self.length == len(self.view):
            self._resize(min(2 * len(self.view), MAX_BYTES))
        count = connection.recv_into(self.view[self.length :])
        self.length += count
        if isinstance(connection, ssl.SSLSocket):  # gives one record of 16 KiB at a time; take those that are here
            while count and connection.pending() and self.length < len(self.view):
                more = connection.recv_into(self.view[self.length :])
                self.length += more
                count += more
        return count

    def keep_from(self, consumed: int) -> None:
        """Drop the first ``consumed`` bytes."""
        rest = self.length - consumed
        if consumed and rest:
            self.view[:rest] = self.view[consumed : self.length]
        self.length = rest
        if len(self.view) > SHRINK_OVER_BYTES and rest < self._size:
            self._resize(self._size)

    def _resize(self, size: int) -> None:
        if size <= self.length:
            raise LogFormatError(f"an event of over {MAX_BYTES} bytes; no server writes one")
        grown = memoryview(mmap(-1, size))
        grown[: self.length] = self.view[: self.length]
        self.view = grown
