"""Checks whether the server's log can have all of the shop's changes.

Three set-ups fail: a replica that does not log what it replicates, a filter that leaves databases out, and a read-only
copy, which changes nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pymysql

from cdc.model import CheckResult
from cdc.settings.source import SourceSettings
from cdc.source.server import Connection, ServerIdentity, scalar, variable

_DENIED: Final = frozenset({1044, 1045, 1142, 1227})
_OFF: Final = frozenset({None, "", "0", "OFF", "NO"})
_DATABASES: Final = ("replicate_do_db", "replicate_ignore_db")
_TABLES: Final = (
    "replicate_do_table", "replicate_ignore_table", "replicate_wild_do_table", "replicate_wild_ignore_table",
)  # fmt: skip


def replication_findings(
    connection: Connection, identity: ServerIdentity, settings: SourceSettings
) -> Iterator[CheckResult]:
    """One line per check. Raises PyMySQL's errors, except for a status that the user may not see."""
    status = _replica_status(connection, identity)
    # The status needs a grant that is not required otherwise.
    is_replica = bool(status) if status is not None else _replicates(connection)
    yield _own_log(connection, identity, settings, is_replica=is_replica)
    if is_replica:
        yield from _filters(connection, settings, status or {})
    elif any(variable(connection, name) not in _OFF for name in ("read_only", "super_read_only", "innodb_read_only")):
        # Nobody writes here: the settings name a copy that nobody feeds.
        yield CheckResult(
            "read only",
            True,
            f"{settings.host}:{settings.port} is read-only and replicates from no server: nothing changes in it",
            "set source.host to the server that the shop writes to, or to a replica of it",
            warning=True,
        )


def is_certainly_primary(connection: Connection, identity: ServerIdentity) -> bool:
    """Whether no other server's changes come into this server's log. False if the user may not see that."""
    return _replica_status(connection, identity) == {} and variable(connection, "wsrep_on") in _OFF


def _own_log(
    connection: Connection, identity: ServerIdentity, settings: SourceSettings, *, is_replica: bool
) -> CheckResult:
    """Whether the server also logs the changes that it receives by replication."""
    name = "log_slave_updates"
    # MySQL 8.0.26 renamed the variable.
    if identity.flavor == "mysql" and variable(connection, "log_replica_updates") is not None:
        name = "log_replica_updates"
    address = f"{settings.host}:{settings.port}"
    is_cluster = variable(connection, "wsrep_on") not in _OFF
    if variable(connection, name) not in _OFF:
        text = f"a replica, and {name} is ON" if is_replica else "the server replicates from no other"
        return CheckResult("replication", True, text)
    fix = f"put {name} = ON into the server's configuration and restart it, or set source.host to the primary server"
    # Changes of other servers never reach this log.
    if is_replica or is_cluster:
        what = "a replica" if is_replica else "a node of a Galera cluster"
        text = f"{address} is {what}, and {name} is OFF: its log has none of the changes that come from other servers"
        return CheckResult("replication", False, text, fix)
    # It was a replica once; whether it still is cannot be seen.
    if identity.flavor == "mariadb" and scalar(connection, "SELECT @@GLOBAL.gtid_slave_pos"):
        text = f"{address} was a replica, and {name} is OFF: if it still is a replica, its log lacks the shop's changes"
        return CheckResult("replication", True, text, fix, warning=True)
    return CheckResult("replication", True, "the server replicates from no other")


def _filters(connection: Connection, settings: SourceSettings, status: Mapping[str, Any]) -> Iterator[CheckResult]:
    """The databases and tables that the replica does not take from its primary server."""
    said = {name: _filter(connection, status, name) for name in (*_DATABASES, *_TABLES)}
    only, without = (said[name].split(",") if said[name] else [] for name in _DATABASES)
    fix = "change these options in the replica's configuration, restart it, and copy the data anew"
    # The shop's database is left out, so nothing ever changes here.
    if (only and settings.database not in only) or settings.database in without:
        text = f"the replica leaves out database {settings.database!r} (replicate_do_db or replicate_ignore_db)"
        yield CheckResult("replication filter", False, text, fix)
    tables = [name for name in _TABLES if said[name]]
    if tables:
        text = f"the replica takes only some tables ({', '.join(tables)}): the others do not change here"
        yield CheckResult("replication filter", True, text, fix, warning=True)


def _filter(connection: Connection, status: Mapping[str, Any], name: str) -> str:
    held = status.get(name)
    return str(held) if held is not None else variable(connection, name) or ""


def _replica_status(connection: Connection, identity: ServerIdentity) -> dict[str, Any] | None:
    """The status as a replica, names in lower case. {} for a server that is not a replica; None if the user may not see
    it.
    """
    if identity.flavor == "mariadb":
        statement = "SHOW ALL SLAVES STATUS"
    else:
        statement = "SHOW REPLICA STATUS" if identity.version >= (8, 0, 22) else "SHOW SLAVE STATUS"
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone()
            names = [str(column[0]).lower() for column in cursor.description or ()]
    except pymysql.err.Error as error:
        # Any other error is a fault.
        if error.args[0] not in _DENIED:
            raise
        return None
    return dict(zip(names, row, strict=True)) if row else {}


def _replicates(connection: Connection) -> bool:
    """Whether the replication threads are running now. Every user may ask for that."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW GLOBAL STATUS WHERE Variable_name IN ('Slave_running', 'Slaves_running')")
        return any(str(value) not in _OFF for _, value in cursor.fetchall())
