"""Finds out every few minutes how long the server will keep the oldest log file that is still needed.

A server drops a file once it was closed for longer than its expiry (binlog_expire_logs_seconds, expire_logs_days), or
once all files together are larger than its limit (max_binlog_total_size from MariaDB 11.4 on, binlog_space_limit in
Percona's server). A managed server may have a further retention that no variable shows (Amazon's ``binlog retention
hours``), and the real time may be shorter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from socket import socket
from typing import Final

from cdc.binlog.events import HEADER, EventType
from cdc.binlog.framing import packet_at
from cdc.errors import CdcError, SourceDisconnectedError
from cdc.log_events import get_logger
from cdc.settings.source import SourceSettings
from cdc.source import dump
from cdc.source.buffer import ReceiveBuffer
from cdc.source.server import Connection, connect, log_files, mapped_errors, rows, scalar, variable

log = get_logger(__name__)

LOOK_S: Final = 300.0
FIRST_LOOK_S: Final = 5.0  # the position is read from the state by then
HOUR_S: Final = 3600.0
DAY_S: Final = 86_400.0
_NO_REPLICA: Final = 0  # the id of a reader that is none: it ends no other's dump, and its own ends with the log


@dataclass(frozen=True, slots=True)
class Expiry:
    """The server's rules for dropping log files; 0: no such rule. ``seconds``: since a file was closed."""

    seconds: float
    total_bytes: int = 0


def hours_left(
    files: Sequence[tuple[str, int]], needed: str, expiry: Expiry, *, closed_s: float, now_s: float
) -> float | None:
    """Hours until ``needed`` is dropped; None if never, 0 if the file may be dropped at any moment or is gone.

    ``files``: name and bytes, oldest first. ``closed_s``: when ``needed`` was closed, in seconds, by the clock of
    ``now_s``; not used for the newest file, which is never dropped.
    """
    names = [name for name, _ in files]
    if needed not in names:
        return 0.0
    at = names.index(needed)
    if at == len(names) - 1:
        return None
    left_s = []
    if expiry.seconds:
        left_s.append(closed_s + expiry.seconds - now_s)
    if expiry.total_bytes:
        newer = sum(size for _, size in files[at + 1 :])
        room = expiry.total_bytes - newer - files[at][1]
        rate = newer / max(1.0, now_s - closed_s)  # bytes a second since then
        if room <= 0 or rate:
            left_s.append(room / rate if rate else 0.0)
    return max(0.0, min(left_s)) / HOUR_S if left_s else None


def read_expiry(connection: Connection) -> Expiry:
    """The rules in the server's variables. Raises PyMySQL's errors."""
    seconds = float(variable(connection, "binlog_expire_logs_seconds") or 0)
    seconds = seconds or float(variable(connection, "expire_logs_days") or 0) * DAY_S
    if variable(connection, "binlog_expire_logs_auto_purge") == "OFF":  # MySQL from 8.0.29 on
        seconds = 0.0
    sizes = (variable(connection, name) for name in ("max_binlog_total_size", "binlog_space_limit"))
    return Expiry(seconds, next((int(size) for size in sizes if size and int(size)), 0))


def look(settings: SourceSettings, needed: str) -> float | None:
    """Ask the server over a connection of its own; see ``hours_left``. Raises SetupError, SourceDisconnectedError."""
    connection = connect(settings, database=False)
    try:
        with mapped_errors(settings):
            connection._read_timeout = settings.connect_timeout_s  # type: ignore[attr-defined]  # nothing here is slow
            expiry = read_expiry(connection)
            files = log_files(connection)
            now_s = float(scalar(connection, "SELECT UNIX_TIMESTAMP(SYSDATE())"))
            names = [name for name, _ in files]
            following = names[names.index(needed) + 1 :] if needed in names else []
            closed_s = _began(connection, following[0]) if following else 0.0
    finally:
        if connection.open:
            connection._force_close()  # type: ignore[attr-defined]  # it may be in the middle of a dump
    return hours_left(files, needed, expiry, closed_s=closed_s, now_s=now_s)


def _began(connection: Connection, file: str) -> float:
    """When the server began this file, which is when it closed the file before. No SQL shows it; the file's first event
    does.
    """
    for statement in (*dump.checksum_statements(), *dump.mariadb_statements(None)):
        rows(connection, statement)
    link: socket = connection._sock  # type: ignore[attr-defined]
    link.sendall(dump.packet(dump.by_position(_NO_REPLICA, file, 0)))
    buffer = ReceiveBuffer(1 << 16)
    at = 0
    while True:
        frame = packet_at(buffer.view, at, buffer.length)
        if frame is None:
            if not buffer.receive(link):
                raise SourceDisconnectedError("the server closed the connection")
            continue
        view, start, _, at = frame
        moment, kind, *_ = HEADER.unpack_from(view, start)
        if kind == EventType.FORMAT_DESCRIPTION:
            return float(moment)


class RetentionWatch(threading.Thread):
    """Checks the retention until ``stop`` is set. ``needed``: the file of the applied position, "" while there is none.

    No other thread waits for this thread, and its errors are only logged: the reader meets the same errors and acts on
    them.
    """

    def __init__(self, settings: SourceSettings, needed: Callable[[], str], stop: threading.Event) -> None:
        super().__init__(name="retention", daemon=True)
        self._settings = settings
        self._needed = needed
        self._halt = stop
        self.hours: float | None = None
        """Hours until the needed file is dropped; None: never, or not known."""

    def run(self) -> None:
        """Check, wait, check again."""
        wait_s = FIRST_LOOK_S
        while not self._halt.wait(wait_s):
            wait_s = LOOK_S
            needed = self._needed()
            if not needed:
                continue
            try:
                self.hours = look(self._settings, needed)
            except CdcError as error:
                log.info("retention_unknown", reason=error.message)
                self.hours = None
                continue
            if self.warning:
                log.warning("log_soon_purged", file=needed, hours_left=round(self.hours or 0.0, 2), hint=_HINT)

    @property
    def warning(self) -> str:
        """The text for ``/ready`` while the hours left are below ``source.retention_warning_h``; else ""."""
        if self.hours is None or self.hours >= self._settings.retention_warning_h:
            return ""
        return f"source: the log file still needed is purged in {self.hours:.1f} h"


_HINT: Final = "raise the server's binlog_expire_logs_seconds, and see why the reader is behind"
