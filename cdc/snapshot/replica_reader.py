"""Reads the first load from a replica of the server whose log is followed (``history.read_from``).

Only a table that is read for the first time, or for new columns, is read there. A table that is read *again* is read
because the log does not tell its changes, and a replica knows no more than the log.

A replica has a log of its own, so the positions of its rows in the followed log are found by GTID. Before each snapshot
the replica is asked which transactions it has committed. The snapshot is taken afterwards, so it contains all of them.
In the followed log, the newest file is looked for that begins within these transactions: every change before that file
is in the rows, so its start is a safe position (``cdc/snapshot/reader.py``). Changes behind it come with the log.

What the replica has committed: MySQL's ``gtid_executed``, MariaDB's ``gtid_slave_pos``. Both get a transaction after
the engine has committed it.

Three things are asked of the replica, or nothing is read:

* its transactions are all in the followed log. A transaction of its own, or of another primary, would bring rows that
  the shop does not have;
* it replicates every database and table: a filter would hide rows;
* it has what the log had when this daemon began to read (``floor``). Another, slower replica may stand behind the same
  name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Final

from pymysql.cursors import Cursor, DictCursor

from cdc.binlog.gtid import contains_gtids
from cdc.binlog.schema.columns import ForgettingLookup
from cdc.errors import CdcError, PositionLostError, SetupError, SourceDisconnectedError
from cdc.model import CheckResult, TableSpec
from cdc.settings.history import HistorySettings
from cdc.settings.source import SourceSettings
from cdc.snapshot.reader import TIMED_OUT, Chunk, RowLoader
from cdc.snapshot.replica_lag import statement_for
from cdc.snapshot.required_position import Snapshot
from cdc.source.schemas import ServerSchemas
from cdc.source.server import (
    Connection,
    ServerIdentity,
    connect,
    executed_gtids,
    mapped_errors,
    read_identity,
    scalar,
)
from cdc.source.start_positions import locate

_HINT: Final = "check [history.read_from], or leave it out: then the tables are read from source.host"


class ReplicaWaitError(CdcError):
    """The replica cannot be read now: it is away, behind, or set up in a way that an operator has to mend."""


class ReplicaReader(RowLoader):
    """Reads chunks of tables from the replica. It has a second connection, to the server whose log is followed.

    Raises what ``RowLoader`` raises, with the replica's name: SetupError for a replica that must not be read,
    SourceDisconnectedError for one that is away or too far behind.
    """

    def __init__(
        self,
        replica: SourceSettings,
        primary: SourceSettings,
        specs: Sequence[TableSpec],
        identity: ServerIdentity,
        schemas: ForgettingLookup,
        *,
        statement_timeout_s: float = 0.0,
    ) -> None:
        """``identity``: of the primary, whose log is followed."""
        super().__init__(replica, specs, identity, schemas, statement_timeout_s=statement_timeout_s)
        self._primary_settings = primary
        self._log: Connection | None = None
        self.floor = ""
        """A GTID set that every snapshot must contain."""

    def chunk(self, table: str, cursor: str | None, limit: int) -> Chunk:
        """As ``RowLoader.chunk``. Raises ReplicaWaitError while the replica cannot be read, SourceDisconnectedError for
        a SELECT that timed out.
        """
        try:
            return super().chunk(table, cursor, limit)
        except (SetupError, SourceDisconnectedError) as error:
            # The chunk was too large: the loader asks for a smaller one.
            if isinstance(error, SourceDisconnectedError) and error.errno in TIMED_OUT:
                raise
            raise ReplicaWaitError(error.message, hint=error.hint) from error

    @property
    def place(self) -> str:
        """Where the replica is, for people."""
        return f"{self._settings.host}:{self._settings.port}"

    def _begin(self, connection: Connection, cursor: Cursor) -> Snapshot:
        executed = committed_on_replica(connection, self._identity)
        with self._primary() as (log, primary):
            # Asked after the replica: what the replica has is in the primary's log before.
            self._must_be_of_the_log(executed, executed_gtids(log, primary))
            if not contains_gtids(executed, self.floor):
                raise SourceDisconnectedError(
                    f"replica {self.place} does not have yet what the log of {self._primary_settings.host} had when"
                    " reading began"
                )
            try:
                safe = locate(log, primary, executed)
            except PositionLostError as error:
                raise SourceDisconnectedError(
                    f"replica {self.place} is too far behind: the log of {self._primary_settings.host} no longer holds"
                    " what the replica does not have yet"
                ) from error
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        return Snapshot(safe, safe, exact=False)

    def _must_be_of_the_log(self, executed: str, in_log: str) -> None:
        if not contains_gtids(in_log, executed):
            raise SetupError(
                f"replica {self.place} has transactions that are not in the log of {self._primary_settings.host}: its"
                " rows may not be the shop's",
                hint="read from a replica that nobody writes to, and that follows this server alone; " + _HINT,
            )

    def _open(self) -> Connection:
        is_open = self._connection is not None
        connection = super()._open()
        if not is_open:
            with self._primary() as (_, primary):
                pass  # asked before the replica is, so that each server's errors name that server
            require_replica(connection, self._identity, primary, self.place, self._primary_settings.host)
        return connection

    @contextmanager
    def _primary(self) -> Iterator[tuple[Connection, ServerIdentity]]:
        """The connection to the server whose log is followed, opened again after it broke."""
        try:
            with mapped_errors(self._primary_settings):
                if self._log is None:
                    self._log = connect(self._primary_settings)
                yield self._log, read_identity(self._log)
        except SourceDisconnectedError:
            self._close_log()
            raise

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """The errors of ``RowLoader``. Those that an operator has to mend name the section of the settings."""
        try:
            with super()._mapped():
                yield
        except SetupError as error:
            self.close()
            raise SetupError(f"history.read_from: {error.message}", hint=error.hint or _HINT) from error

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    def close(self) -> None:
        """Close both connections. May be called twice."""
        self._close_log()
        super().close()


def committed_on_replica(connection: Connection, identity: ServerIdentity) -> str:
    """The transactions that the replica's engine has committed, as a GTID set in the server's notation.

    Raises PyMySQL's errors; SetupError for a MariaDB replica with transactions of its own.
    """
    if identity.flavor == "mysql":
        return executed_gtids(connection, identity)
    replicated = str(scalar(connection, "SELECT @@GLOBAL.gtid_slave_pos") or "")
    current = str(scalar(connection, "SELECT @@GLOBAL.gtid_current_pos") or "")
    # gtid_slave_pos leaves out what was written on the replica itself; gtid_current_pos has it too.
    if not contains_gtids(replicated, current):
        raise SetupError(
            f"replica server {identity.server} was written to itself (gtid_current_pos {current}, gtid_slave_pos"
            f" {replicated}): its rows may not be the shop's",
            hint="read from a replica that nobody writes to; " + _HINT,
        )
    return replicated


def require_replica(
    connection: Connection, identity: ServerIdentity, primary: ServerIdentity, place: str, primary_host: str
) -> None:
    """Raises SetupError unless this server is a whole replica with GTIDs, of the same make as its primary; PyMySQL's
    errors, as for a missing grant.
    """
    if identity.flavor != primary.flavor:
        raise SetupError(
            f"{place} is {identity}, and {primary_host} is {primary}: GTIDs of the two cannot be compared", hint=_HINT
        )
    for server, host in ((identity, place), (primary, primary_host)):
        # Without GTIDs nobody can tell which part of the followed log the replica's rows contain.
        if not server.gtid_enabled:
            raise SetupError(
                f"{host} writes no GTIDs (gtid_mode is not ON), so the positions of its rows in the followed log cannot"
                " be known",
                hint="set gtid_mode = ON on both servers; " + _HINT,
            )
    with connection.cursor(DictCursor) as cursor:
        cursor.execute(statement_for(identity))
        channels = list(cursor.fetchall())
    if fault := fault_of(channels, primary):
        raise SetupError(f"{place} {fault}", hint=_HINT)


def fault_of(channels: Sequence[Mapping[str, object]], primary: ServerIdentity) -> str:
    """Why a server with these replication channels is no whole replica of ``primary``; "" if it is one. Pure."""
    if not channels:
        return "is no replica: it shows no replication"
    filters = sorted({name for channel in channels for name, value in channel.items() if _is_filter(name) and value})
    if filters:
        return f"replicates only a part ({', '.join(filters)}), so rows may be missing"
    # MariaDB's GTIDs do not name a server for certain, since many servers have number 1 and domain 0. MySQL's do.
    if primary.flavor == "mariadb" and all(str(c.get("Master_Server_Id")) != primary.server for c in channels):
        return f"is no direct replica of server_id {primary.server}"
    return ""


def _is_filter(name: str) -> bool:
    return name.lower().startswith("replicate_")


def replica_reader(
    primary: SourceSettings, history: HistorySettings, specs: Sequence[TableSpec], identity: ServerIdentity
) -> ReplicaReader | None:
    """The reader of the replica in the settings; None if they name none. ``identity``: the primary's."""
    if not history.read_from.host:
        return None
    server = history.read_from.server(primary)
    schemas = ServerSchemas(lambda: connect(server))
    return ReplicaReader(server, primary, specs, identity, schemas, statement_timeout_s=history.statement_timeout_s)


def read_from_findings(
    primary: SourceSettings, history: HistorySettings, specs: Sequence[TableSpec]
) -> list[CheckResult]:
    """One line of ``check`` on the replica that tables are read from: a row of each mapped table is read there. A
    replica that is behind now is a warning.
    """
    reader: ReplicaReader | None = None
    name = "history.read_from"
    try:
        with mapped_errors(primary), closing(connect(primary)) as connection:
            identity = read_identity(connection)
        reader = replica_reader(primary, history, specs, identity)
        assert reader is not None
        safe = reader.safe_point()
        for spec in specs:
            RowLoader.chunk(
                reader, spec.name, None, 1
            )  # without the loader's patience: a missing grant is a fault here
    except SourceDisconnectedError as error:
        text = (
            error.message if history.read_from.host in error.message else f"{history.read_from.host}: {error.message}"
        )
        return [CheckResult(name, True, f"no table can be read now: {text}", _HINT, warning=True)]
    except CdcError as error:
        return [CheckResult(name, False, error.message.removeprefix(f"{name}: "), error.hint or _HINT)]
    finally:
        if reader is not None:
            reader.close()
    return [CheckResult(name, True, f"{reader.place} has everything of the log before {safe}")]
