"""The decoding process: reads and decodes the log, and sends whole transactions to the daemon that started it.

Run as ``python -m cdc.source.decoding.worker N``, where N is the file descriptor of a socket to the daemon. The job
comes over the socket, so no secret stands on the command line. The process ends when the daemon closes the socket,
however the daemon ended.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, BinaryIO, Final, cast

import structlog

from cdc.change_codec import pack, plain_changes
from cdc.collector import tune_collector
from cdc.model import Position, Transaction
from cdc.settings import secret_files
from cdc.source.binlog import BinlogSource
from cdc.source.decoding.frames import (
    Kind,
    PlainTransaction,
    frame,
    pack_error,
    pack_object,
    pack_transactions,
    plain_transaction,
    read_frame,
    unpack_object,
)
from cdc.source.decoding.job import Job
from cdc.source.files import FilesSource
from cdc.source.spill import room_in

BATCH_BYTES: Final = 256 * 1024  # of transactions sent together; they go at once when nothing more has arrived
PACK_CHANGES: Final = 2000  # changes of a transaction larger than memory that are sent together
COUNTS_S: Final = 0.5  # how often counters are sent at most


class DaemonGoneError(Exception):
    """The daemon has closed the socket: it ended, or wants no more."""


class Sender:
    """Sends frames over the socket. Several threads may send."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._lock = threading.Lock()
        self._batch: list[PlainTransaction] = []
        self._bytes = 0

    def send(self, kind: Kind, body: bytes = b"") -> None:
        """Send one frame; waits while the daemon has no room. Raises DaemonGoneError."""
        with self._lock:
            try:
                self._link.sendall(frame(kind, body))
            # A kind of its own: an OSError could be taken for a fault of the source, or hide such a fault.
            except OSError as error:
                raise DaemonGoneError from error

    def add(self, transaction: Transaction) -> None:
        """Send a transaction, together with those before and behind it."""
        changes = transaction.changes
        # Its changes are in a file: the daemon must not need memory for them either.
        if not isinstance(changes, list | tuple):
            self.flush()
            # In order and once: each look at a place of the file would decode a megabyte.
            rest = iter(changes)
            while some := list(islice(rest, PACK_CHANGES)):
                self.send(Kind.PACK, pack(plain_changes(some)))
            self._batch.append(plain_transaction(transaction, ()))
            self.flush()
            return
        self._batch.append(plain_transaction(transaction))
        self._bytes += transaction.size
        if self._bytes >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what is gathered."""
        if self._batch:
            self.send(Kind.TRANSACTIONS, pack_transactions(self._batch))
            self._batch, self._bytes = [], 0


class Worker:
    """Does one job."""

    def __init__(self, job: Job, sender: Sender) -> None:
        self._job = job
        self._sender = sender
        self._stop = threading.Event()
        self._counted_s = 0.0
        room = room_in(job.folder, job.settings.max_transaction_mb)
        self._source: BinlogSource | FilesSource
        self._transactions: Callable[[], Iterator[Transaction]]
        if isinstance(job.start, Position):
            self._source = BinlogSource(
                job.settings,
                job.tables,
                stop=self._stop,
                on_state=lambda name, details: sender.send(Kind.STATE, pack_object((name, dict(details)))),
                room=room,
                known=job.known,
                before_wait=self._nothing_more,
            )
            self._transactions = partial(self._source.transactions, job.start)
        else:
            self._source = FilesSource(
                job.settings.files,
                job.tables,
                database=job.settings.database,
                prefix=job.settings.table_prefix,
                room=room,
            )
            self._transactions = partial(self._source.transactions, job.start)

    def run(self) -> None:
        """Send everything, then the end or the error."""
        try:
            for transaction in self._transactions():
                self._sender.add(transaction)
            self._sender.flush()
            self._send_counts()
            self._sender.send(Kind.END)
        except (DaemonGoneError, MemoryError):
            raise  # nobody listens any more, or a new process has memory again
        except Exception as error:  # noqa: BLE001  # the process's top: the daemon must hear of any fault, once
            # The transactions before the error are good: the daemon has to apply them.
            self._sender.flush()
            self._send_counts()
            self._sender.send(Kind.ERROR, pack_error(error))

    def close(self) -> None:
        """The daemon is gone, or wants no more."""
        self._stop.set()
        if isinstance(self._source, BinlogSource):
            self._source.close()

    def _nothing_more(self) -> None:
        """All that arrived is decoded: what is gathered must not wait for more."""
        self._sender.flush()
        if time.monotonic() - self._counted_s >= COUNTS_S:
            self._send_counts()

    def _send_counts(self) -> None:
        self._counted_s = time.monotonic()
        heard_s, twin_s = self._counted_s, 0.0  # files are always there
        if isinstance(self._source, BinlogSource):
            heard_s, twin_s = self._source.heard_s, self._source.twin_s
        self._sender.send(Kind.COUNTS, pack_object((dict(self._source.counters), heard_s, twin_s)))


def _log_to(sender: Sender) -> None:
    """Send log lines to the daemon, which knows where they go, what must be hidden in them, and, also after SIGHUP,
    which levels are wanted.
    """

    def forward(_: object, method: str, event: MutableMapping[str, Any]) -> str:
        with suppress(DaemonGoneError):  # and with it its log
            fields = {
                name: value if isinstance(value, int | float | None) else str(value) for name, value in event.items()
            }
            sender.send(Kind.LOG, pack_object((method, str(fields.pop("event")), fields)))
        raise structlog.DropEvent

    wrapper = structlog.make_filtering_bound_logger(logging.DEBUG)
    structlog.configure(processors=[forward], wrapper_class=wrapper, cache_logger_on_first_use=False)


def _end_with(stream: BinaryIO, worker: Worker) -> None:
    """Wait until the daemon closes the socket, then end: nobody takes what this process reads."""
    with suppress(OSError):
        stream.read(1)
    worker.close()
    os._exit(0)


def main() -> None:
    """Do the job that comes over the socket."""
    # Ctrl-C goes to the whole process group; the daemon decides when reading ends.
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    link = socket.socket(fileno=int(sys.argv[1]))
    stream = cast(BinaryIO, link.makefile("rb"))
    read = read_frame(stream)
    # The daemon ended before it gave the job.
    if read is None:
        return
    job: Job = unpack_object(read[1])
    sender = Sender(link)
    _log_to(sender)
    secret_files.on_new[:] = [lambda value: sender.send(Kind.SECRET, pack_object(value))]
    tune_collector()
    worker = Worker(job, sender)
    threading.Thread(target=_end_with, args=(stream, worker), daemon=True).start()
    with suppress(DaemonGoneError):
        worker.run()


if __name__ == "__main__":
    main()
