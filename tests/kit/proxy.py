"""A TCP proxy before a server, whose network can be made bad while connections are open."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Self


class Proxy:
    """Forwards to ``port`` of this host. ``slice_bytes``: answers go on in pieces of so many bytes.

    ``swallow`` keeps connections open and passes nothing on, as a path that lost its way; ``reset`` ends all with RST.
    """

    def __init__(self, port: int, *, slice_bytes: int = 65536) -> None:
        self._target = port
        self._slice = slice_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0  # how many were made
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._is_resetting = False
        self._passing = threading.Event()
        self._passing.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._passing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()

    def swallow(self) -> None:
        """From now on nothing gets through, in either direction, of connections old and new."""
        self._passing.clear()

    def heal(self) -> None:
        """What was held back goes on."""
        self._passing.set()

    def reset(self) -> None:
        """End every connection with RST."""
        self._is_resetting = True
        for link in self._open:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RD)  # wakes the thread that reads from it: before that nothing is sent
        for thread in self._threads:
            thread.join()
        for link in self._open:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            link.close()
        self._open.clear()
        self._threads.clear()
        self._is_resetting = False

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                server = socket.create_connection(("127.0.0.1", self._target))
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open += [client, server]
                for arguments in ((client, server, 65536), (server, client, self._slice)):
                    thread = threading.Thread(target=self._pass, args=arguments, daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pass(self, source: socket.socket, target: socket.socket, size: int) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                self._passing.wait()
                for at in range(0, len(piece), size):
                    target.sendall(piece[at : at + size])
            if not self._is_resetting:
                target.shutdown(socket.SHUT_WR)
