"""Transactions from a decoding process (``worker.py``), as if this process had read the log itself.

The daemon's reader thread reads the socket. A full queue stops it, then the socket, then the process: memory stays
bounded on both sides. If the process dies (out of memory, say), it is started again behind the last transaction.
"""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import BinaryIO, Final, cast

from cdc.binlog.assembly import Overflow
from cdc.change_codec import changes_of, unpack
from cdc.errors import SourceDisconnectedError
from cdc.log_events import get_logger
from cdc.model import Position, Start, StartKind, TableSchema, Transaction
from cdc.settings import secret_files
from cdc.source.decoding.frames import (
    Kind,
    frame,
    pack_object,
    read_frame,
    unpack_error,
    unpack_object,
    unpack_transactions,
)
from cdc.source.decoding.job import Job
from cdc.source.reconnect import OnState, counted, wait_to_retry
from cdc.source.spill import room_in

log = get_logger(__name__)

BUFFER_BYTES: Final = 1 << 20
_HINT: Final = 'see in the kernel\'s log whether memory ran out; source.decode_in = "thread" needs no process'
END_S: Final = 5.0  # how long a process may take to end once its socket is closed


class _Ended(Exception):
    """The source has no more transactions: files were read to their end."""


class DecodingProcess:
    """Reads by a process of its own; used as ``BinlogSource`` and ``FilesSource`` are.

    ``job``: what to read; start and known columns are given later.
    ``on_state``: see ``BinlogSource``.
    """

    def __init__(self, job: Job, *, stop: threading.Event, on_state: OnState) -> None:
        self._job = job
        self._stop = stop
        self._on_state = on_state
        self._known: dict[str, TableSchema] = {}
        self._lock = threading.Lock()
        self._link: socket.socket | None = None
        self._is_closed = False
        self._counters: Counter[str] = Counter()
        self._counted_before: Counter[str] = Counter()
        self.heard_s = time.monotonic()
        self.twin_s = -math.inf

    @property
    def counters(self) -> dict[str, int]:
        """The decoder's counters, over all processes."""
        return dict(self._counted_before + self._counters)

    def know(self, schemas: Iterable[TableSchema]) -> None:
        """Columns of tables at the next start position."""
        self._known = {schema.name: schema for schema in schemas}

    def transactions(self, start: Position | Start) -> Iterator[Transaction]:
        """Whole transactions from ``start`` on. Raises what the source raises.

        Ends when ``stop`` is set or after ``close``, and at the end of files.
        """
        at, failures = start, 0
        while not self._is_stopping():
            began = time.monotonic()
            try:
                process, link = self._begin(at)
            except OSError as error:  # no memory for one more process, say: that may pass
                reason = f"the decoding process could not be started: {error.strerror}"
            else:
                try:
                    for transaction in self._received(link):
                        end = transaction.end
                        at = end if isinstance(start, Position) else Start(StartKind.FILE_OFFSET, end)
                        self._known.update({schema.name: schema for schema in transaction.schemas})
                        yield transaction
                except _Ended:
                    return
                finally:
                    code = self._end(process, link)
                reason = f"the decoding process ended by itself with {code}"
            if self._is_stopping():
                return
            failures = counted(failures, began)
            fault = SourceDisconnectedError(reason, hint=_HINT)
            wait_to_retry(fault, at, failures, on_state=self._on_state, stop=self._stop)

    def close(self) -> None:
        """End the transactions, also while they are waited for. May be called twice and from any thread."""
        with self._lock:
            self._is_closed = True
            if self._link is not None:
                _shut(self._link)

    # ----------------------------------------------------------------------------------------------------- inside

    def _is_stopping(self) -> bool:
        return self._stop.is_set() or self._is_closed

    def _begin(self, at: Position | Start) -> tuple[subprocess.Popen[bytes], socket.socket]:
        """Start a process, and give it the job over its socket. OSError if none can be started."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = subprocess.Popen(  # noqa: S603  # our own module
                    # -P and the path: it imports what the daemon imports, and nothing that lies in the present folder
                    [sys.executable, "-P", "-m", "cdc.source.decoding.worker", str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                )
            except OSError:
                ours.close()
                raise
        with self._lock:
            self._link = ours
            # ``close`` came before there was anything to close.
            if self._is_closed:
                _shut(ours)
        job = self._job._replace(start=at, known=tuple(self._known.values()))
        with suppress(OSError):  # it died at once: reading tells
            ours.sendall(frame(Kind.JOB, pack_object(job)))
        return process, ours

    def _end(self, process: subprocess.Popen[bytes], link: socket.socket) -> str:
        """Close the socket, which ends the process. Returns how it ended."""
        with self._lock:
            self._link = None
        _shut(link)
        link.close()
        self._counted_before += self._counters
        self._counters = Counter()
        try:
            code = process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _received(self, link: socket.socket) -> Iterator[Transaction]:
        """The transactions of one process. Ends when the process has ended; raises its error."""
        stream = cast(BinaryIO, link.makefile("rb", buffering=BUFFER_BYTES))
        spilled: Overflow | None = None
        room = room_in(self._job.folder, self._job.settings.max_transaction_mb)
        with stream:
            while (read := read_frame(stream)) is not None:
                kind, body = read
                if kind is Kind.PACK:
                    spilled = spilled if spilled is not None else room.overflow()
                    spilled.add(changes_of(unpack(body)))
                elif kind is Kind.TRANSACTIONS:
                    for transaction in unpack_transactions(body):
                        # It comes alone, behind its packs.
                        if spilled is not None:
                            spilled.finish(())
                            transaction, spilled = replace(transaction, changes=spilled), None
                        yield transaction
                else:
                    self._take(kind, body)

    def _take(self, kind: Kind, body: bytes) -> None:
        """A frame beside the transactions."""
        match kind:
            case Kind.STATE:
                self._on_state(*unpack_object(body))
            case Kind.LOG:
                method, event, fields = unpack_object(body)
                getattr(log, method)(event, **fields)
            case Kind.COUNTS:
                counters, self.heard_s, self.twin_s = unpack_object(body)
                self._counters = Counter(counters)
            case Kind.SECRET:
                secret = unpack_object(body)
                for tell in secret_files.on_new:
                    tell(secret)
            case Kind.ERROR:
                raise unpack_error(body)
            case Kind.END:
                raise _Ended
            case _:
                raise AssertionError(f"the decoding process sent {kind.name}, which only the daemon sends")


def _shut(link: socket.socket) -> None:
    with suppress(OSError):
        link.shutdown(socket.SHUT_RDWR)
