"""How far the server's log has come, and what time it is in the shop. Each question has a connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cdc.model import Position
from cdc.settings.source import SourceSettings
from cdc.source.replication import is_certainly_primary
from cdc.source.server import Connection, connect, current_position, mapped_errors, read_identity, scalar

T = TypeVar("T")


def log_end(settings: SourceSettings) -> Position:
    """The position at the end of the log. Raises CdcError for a server that does not answer."""
    return _asked(settings, current_position)


def shop_ms(settings: SourceSettings) -> int:
    """The server's clock, by which it dates its commits, epoch milliseconds. Raises CdcError.

    0 if the shop may write to another server: the log of a replica may be hours behind, whatever its clock says.
    """
    return _asked(settings, _clock_of)


def _asked(settings: SourceSettings, question: Callable[[Connection], T]) -> T:
    connection = connect(settings)
    try:
        with mapped_errors(settings):
            return question(connection)
    finally:
        if connection.open:
            connection.close()


def _clock_of(connection: Connection) -> int:
    if not is_certainly_primary(connection, read_identity(connection)):
        return 0
    return int(scalar(connection, "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS UNSIGNED)") or 0)
