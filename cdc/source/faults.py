"""Decides what a server's error during the dump means. Pure.

Most errors of a dump are error 1236 with a text. The text differs between servers and versions, and nothing else tells
these errors apart (MySQL's sql/rpl_binlog_sender.cc, MariaDB's sql/sql_repl.cc).
"""

from __future__ import annotations

from typing import Final

from cdc.errors import REPAIR, CdcError, PositionLostError, SetupError, SourceDisconnectedError, SourceStoppedError
from cdc.model import Position

FATAL_READ: Final = 1236
_DENIED: Final = frozenset({1045, 1227})

_LOST: Final = (
    "could not find first log file",
    "purged",
    "position > file size",
    "impossible position",
    "more gtids than",
    "could not find gtid state",
    "which is not in the master's binlog",
    "which is not in the source's binlog",
    "too old",
    "does not contain all the transactions",
    "does not exist in the",
)
TWIN: Final = "another replica with our server_id connected"

_TWIN: Final = ("same server_uuid", "same server_id", "same server uuid", "same server id")


def fault_of(error: SourceDisconnectedError, at: Position) -> CdcError:
    """The same error, or an error that says why trying again would not help."""
    words = error.message.lower()
    if error.errno in _DENIED:
        return SetupError(
            f"the server refuses the dump: {error.message}", hint="GRANT REPLICATION SLAVE ON *.* to the user"
        )
    if any(sign in words for sign in _TWIN):  # 1236, on MariaDB 4052
        return SourceDisconnectedError(TWIN, errno=error.errno, hint="give each its own source.server_id")
    if error.errno != FATAL_READ:
        return error
    if any(sign in words for sign in _LOST):
        return PositionLostError(
            f"the server cannot read on from {at}: {error.message}",
            hint=f"{REPAIR}; and raise the server's log retention",
        )
    if "max_allowed_packet" in words:
        return SetupError(
            f"the server cannot send the event at {at}: {error.message}",
            hint="SET GLOBAL max_allowed_packet = 1073741824",
        )
    if "misconfigured" in words:
        return SetupError(
            "the server has no server_id of its own", hint="set server_id in its configuration, restart it"
        )
    return SourceStoppedError(f"the server stopped its dump: {error.message}", position=str(at))
