"""How far a named replica is behind its primary: the load of history waits while the replica lags.

The replica says its lag itself, in seconds (``Seconds_Behind_Source``, on MariaDB ``Seconds_Behind_Master``). It says
NULL when replication is stopped or disconnected. Then the lag grows unseen, so the load waits for that too, as it does
for a replica that cannot be asked. Live changes never wait.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import pymysql
from pymysql.cursors import DictCursor

from cdc.errors import CdcError, SetupError
from cdc.model import CheckResult
from cdc.settings.history import HistorySettings
from cdc.settings.source import SourceSettings
from cdc.source.server import Connection, ServerIdentity, account, connect, mapped_errors, read_identity

_SECONDS: Final = ("Seconds_Behind_Source", "Seconds_Behind_Master")
_RENAMED: Final = (8, 0, 22)
"""MySQL since this version says REPLICA; MySQL 8.4 no longer understands SLAVE."""


class ReplicaLag:
    """The named replica. Has one connection, which is opened again after it broke; used by one thread."""

    def __init__(self, settings: SourceSettings, most_s: float) -> None:
        """``settings``: the replica's address with the login of ``[source]``. ``most_s``: lag that is allowed."""
        self._settings = settings
        self._most_s = most_s
        self._connection: Connection | None = None
        self._statement = ""

    def seconds(self) -> float:
        """The lag, infinite if replication is stopped.

        Raises SetupError if the server is no replica or refuses the login, SourceDisconnectedError if it is away.
        """
        try:
            with mapped_errors(self._settings):
                connection = self._open()
                with connection.cursor(DictCursor) as cursor:
                    cursor.execute(self._statement)
                    channels = list(cursor.fetchall())
        except CdcError:
            self.close()
            raise
        return worst_lag_s(channels, f"{self._settings.host}:{self._settings.port}")

    def reason_to_wait(self) -> str:
        """Why no rows of history should be read now; "" if the replica is near enough. Raises nothing for a replica
        that is away: that is a reason.
        """
        place = f"replica {self._settings.host}:{self._settings.port}"
        try:
            lag_s = self.seconds()
        except CdcError as error:
            return f"the lag of {place} is not known: {error.message}"
        if lag_s == math.inf:
            return f"{place} does not replicate: start its replication"
        if lag_s > self._most_s:
            return f"{place} is {lag_s:.0f} s behind; history.max_replica_lag_s is {self._most_s:g}"
        return ""

    def close(self) -> None:
        """Close the connection. May be called twice."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> Connection:
        # Opened on first use, and again after it broke: another server may stand behind the name by then.
        if self._connection is None:
            connection = connect(self._settings, database=False)
            try:
                self._statement = statement_for(read_identity(connection))
            except pymysql.err.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection


def statement_for(identity: ServerIdentity) -> str:
    """The statement that shows all channels of a replica of this make and version. Pure."""
    if identity.flavor == "mariadb":
        return "SHOW ALL SLAVES STATUS"
    return "SHOW REPLICA STATUS" if identity.version >= _RENAMED else "SHOW SLAVE STATUS"


def worst_lag_s(channels: Sequence[Mapping[str, object]], place: str) -> float:
    """The largest lag of the channels, infinite if any of them is stopped. Pure. ``place``: the server, for errors.

    Raises SetupError for a server without channels, or without a number that is understood.
    """
    if not channels:
        raise SetupError(f"{place} is no replica: it shows no replication",
                         hint="set history.replica_host to a replica of the shop's server")  # fmt: skip
    found = []
    for channel in channels:
        name = next((name for name in _SECONDS if name in channel), None)
        # A server that names it differently must not pass for a replica without lag.
        if name is None:
            raise SetupError(f"{place} shows no {_SECONDS[0]}", hint="set history.max_replica_lag_s = 0")
        held = channel[name]
        found.append(math.inf if held is None else float(str(held)))
    return max(found)


def replica_of(source: SourceSettings, history: HistorySettings) -> ReplicaLag | None:
    """The replica that the settings name; None if they name none."""
    if not history.replica_host:
        return None
    place = {"host": history.replica_host, "port": history.replica_port}
    return ReplicaLag(source.model_copy(update=place), history.max_replica_lag_s)


def replica_findings(source: SourceSettings, history: HistorySettings) -> list[CheckResult]:
    """One line of ``check`` on the named replica; no line without one. A replica that lags now is not a fault."""
    replica = replica_of(source, history)
    if replica is None:
        return []
    place = f"{history.replica_host}:{history.replica_port}"
    try:
        lag_s = replica.seconds()
    except CdcError as error:
        return [CheckResult("replica", False, f"the lag of {place} is not known: {error.message}",
                            f"check history.replica_host and history.replica_port; the account of [source] needs GRANT"
                            f" REPLICATION CLIENT ON *.* TO {account(source)}, on MariaDB since 10.5 GRANT SLAVE"
                            f" MONITOR ON *.* TO {account(source)}")]  # fmt: skip
    finally:
        replica.close()
    if lag_s == math.inf:
        return [CheckResult("replica", True, f"{place} does not replicate: the load of history waits",
                            "start its replication", warning=True)]  # fmt: skip
    return [CheckResult("replica", True, f"{place} is {lag_s:.0f} s behind")]
