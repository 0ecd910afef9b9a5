"""Checks the server before reading begins. Each fault is one sentence, with the statement that mends it.

Grants are checked by trying what they allow, since roles, proxies and managed servers make SHOW GRANTS hard to read.
Nothing is changed on the server.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Final

import pymysql

from cdc.binlog.schema.history import versions_refused
from cdc.errors import CdcError, SetupError, SourceDisconnectedError
from cdc.model import CheckResult, TableSpec
from cdc.settings.shop_codes import NamedCodes
from cdc.settings.source import SourceSettings
from cdc.source import dump
from cdc.source.attributes import NO_ATTRIBUTES, Wanted, missing_attributes
from cdc.source.replication import replication_findings
from cdc.source.retention import DAY_S, read_expiry
from cdc.source.schemas import versioned_tables
from cdc.source.server import (
    Connection,
    ServerIdentity,
    account,
    connect,
    is_connection_lost,
    log_files,
    log_status,
    mapped,
    mapped_errors,
    quoted,
    read_identity,
    rows,
    variable,
)
from cdc.source.shop_codes import missing_codes
from cdc.source.tls import tls_in_use

MYSQL_SINCE: Final = (5, 7)
MARIADB_SINCE: Final = (10, 2)
_NO_SUCH_TABLE = 1146
_DENIED = frozenset({1044, 1045, 1142, 1227, 1698})
_SALES = "sales_"
_SHOWN_NAMES = 3


def findings(
    settings: SourceSettings,
    tables: Sequence[TableSpec],
    attributes: Wanted = NO_ATTRIBUTES,
    codes: Sequence[NamedCodes] = (),
) -> list[CheckResult]:
    """One line per check, in the order in which the checks would fail. A failed check is a line, never an exception.

    ``attributes``, ``codes``: names in the mapping that the shop must have.
    """
    try:
        return _look(settings, tables, attributes, codes)
    except CdcError as error:
        return [CheckResult("server", False, error.message, error.hint)]


def _look(
    settings: SourceSettings, tables: Sequence[TableSpec], attributes: Wanted, codes: Sequence[NamedCodes]
) -> list[CheckResult]:
    """Like ``findings``. Raises SetupError and SourceDisconnectedError as ``connect`` does, also for a connection lost
    later.
    """
    connection = connect(settings, database=False)
    try:
        with mapped_errors(settings):
            return list(_examine(connection, settings, tables, attributes, codes))
    finally:
        if connection.open:
            connection.close()


def require(
    settings: SourceSettings,
    tables: Sequence[TableSpec],
    attributes: Wanted = NO_ATTRIBUTES,
    codes: Sequence[NamedCodes] = (),
) -> None:
    """Raises SetupError that names every fault that prevents a start.

    Raises SourceDisconnectedError when the server cannot be reached or the connection is lost: the setup may be right.
    """
    faults = [finding for finding in _look(settings, tables, attributes, codes) if not finding.ok]
    # One fault reads better as one sentence.
    if len(faults) == 1:
        raise SetupError(faults[0].text, hint=faults[0].fix)
    if faults:
        lines = "".join(f"\n  {fault.text}; {fault.fix}" if fault.fix else f"\n  {fault.text}" for fault in faults)
        raise SetupError(f"{len(faults)} things do not allow a start:{lines}")


def _examine(
    connection: Connection,
    settings: SourceSettings,
    tables: Sequence[TableSpec],
    attributes: Wanted,
    codes: Sequence[NamedCodes],
) -> Iterator[CheckResult]:
    identity = read_identity(connection)
    yield _version(identity, settings)
    yield _tls(connection, settings)
    yield from _log(connection, identity, settings)
    yield from replication_findings(connection, identity, settings)
    yield _format(connection)
    yield _image(connection)
    yield _metadata(connection)
    yield _gtid(identity)
    yield _retention(connection, identity)
    yield _server_id(connection, settings)
    of_tables = list(_tables(connection, settings, tables))
    yield from of_tables
    # Attributes are read from these tables.
    if all(finding.ok for finding in of_tables):
        yield from missing_attributes(connection, settings, attributes)
        yield from missing_codes(connection, settings, codes)
    yield _replication_slave(connection, settings)  # last: it ends the connection's life as an SQL session


# ------------------------------------------------------------------------------------------------ the server


def _version(identity: ServerIdentity, settings: SourceSettings) -> CheckResult:
    since = MARIADB_SINCE if identity.flavor == "mariadb" else MYSQL_SINCE
    is_known = identity.version >= since
    text = f"{settings.host}:{settings.port} is {identity}"
    least = ".".join(map(str, since))
    return CheckResult(
        "server", is_known, text if is_known else f"{text}, too old", "" if is_known else f"{least} or newer"
    )


def _tls(connection: Connection, settings: SourceSettings) -> CheckResult:
    used = tls_in_use(connection, settings.tls)
    return CheckResult(
        "tls", True, f"the connection is encrypted: {used}" if used else "the connection is not encrypted"
    )


def _log(connection: Connection, identity: ServerIdentity, settings: SourceSettings) -> Iterator[CheckResult]:
    if (variable(connection, "log_bin") or "OFF") in {"OFF", "0"}:
        fix = "put log_bin = binlog and a server_id into the server's configuration, restart it"
        yield CheckResult("binlog", False, "the server writes no binlog (log_bin is off)", fix)
        return
    name = "BINLOG MONITOR" if identity.flavor == "mariadb" and identity.version >= (10, 5) else "REPLICATION CLIENT"
    try:
        files = log_files(connection)
        _, _, only, without = log_status(connection, identity)
    except pymysql.err.OperationalError as error:
        # Any other error is no missing grant.
        if error.args[0] not in _DENIED:
            raise
        yield _missing_grant(settings, name)
        return
    yield CheckResult("grant", True, f"{name} granted")
    size_mb = sum(size for _, size in files) / 1e6
    yield CheckResult("binlog", True, f"log files {files[0][0]} to {files[-1][0]}, {size_mb:.1f} MB")
    # The shop's changes would never be in the log.
    if (only and settings.database not in only.split(",")) or settings.database in without.split(","):
        text = f"the log leaves out database {settings.database!r} (binlog_do_db or binlog_ignore_db)"
        yield CheckResult(
            "binlog filter", False, text, "change these options in the server's configuration, restart it"
        )


def _missing_grant(settings: SourceSettings, name: str) -> CheckResult:
    text = f"user {settings.user!r} lacks the grant {name}"
    return CheckResult("grant", False, text, f"GRANT {name} ON *.* TO {account(settings)}")


def _replication_slave(connection: Connection, settings: SourceSettings) -> CheckResult:
    """Check the grant by registering as a replica. The registration lasts as long as the connection."""
    try:
        dump.run_command(connection._sock, dump.register(settings.server_id))  # type: ignore[attr-defined]
    except SourceDisconnectedError as error:
        if error.errno is None:  # the connection was lost, and nothing was refused
            raise
        if error.errno not in _DENIED:
            return CheckResult("grant", False, f"the server refuses a replica: {error.message}")
        return _missing_grant(settings, "REPLICATION SLAVE")
    return CheckResult("grant", True, "REPLICATION SLAVE granted")


def _format(connection: Connection) -> CheckResult:
    value = variable(connection, "binlog_format") or "ROW"  # a server without the variable knows no other
    # Statements in the log cannot be applied to rows.
    if value == "ROW":
        return CheckResult("binlog_format", True, "binlog_format is ROW")
    fix = "SET GLOBAL binlog_format = 'ROW', put it into the server's configuration, and reconnect the shop"
    return CheckResult("binlog_format", False, f"binlog_format is {value}, so the log holds statements, not rows", fix)


def _image(connection: Connection) -> CheckResult:
    value = variable(connection, "binlog_row_image") or "FULL"
    text = f"binlog_row_image is {value}"
    if value != "FULL":
        text += ": missing parts of rows come from the schema, from the state, or from reading the row again;"
        text += " FULL avoids that"
    return CheckResult("binlog_row_image", True, text)


def _metadata(connection: Connection) -> CheckResult:
    value = variable(connection, "binlog_row_metadata") or "absent"
    source = "the log" if value == "FULL" else "information_schema"
    return CheckResult("binlog_row_metadata", True, f"binlog_row_metadata is {value}; column names come from {source}")


def _gtid(identity: ServerIdentity) -> CheckResult:
    if identity.gtid_enabled:
        return CheckResult("gtid", True, "GTIDs are written; the position holds after a failover")
    return CheckResult("gtid", True, "no GTIDs (gtid_mode is not ON); the position holds on this server only")


def _retention(connection: Connection, identity: ServerIdentity) -> CheckResult:
    seconds = read_expiry(connection).seconds
    # 0: for ever.
    if not seconds:
        return CheckResult("retention", True, "the server does not expire its log")
    text = f"the server keeps its log for {seconds / DAY_S:.3g} days"
    if seconds >= DAY_S:
        return CheckResult("retention", True, text)
    has_seconds = identity.version >= ((8,) if identity.flavor == "mysql" else (10, 6))
    fix = "SET GLOBAL " + ("binlog_expire_logs_seconds = 604800" if has_seconds else "expire_logs_days = 7")
    return CheckResult("retention", True, f"{text}; a longer stop of this daemon loses changes", fix, warning=True)


def _server_id(connection: Connection, settings: SourceSettings) -> CheckResult:
    server_id = int(variable(connection, "server_id") or 0)
    # Without a server_id MySQL refuses every replica.
    if server_id == 0:
        fix = "set server_id in the server's configuration, restart it"
        return CheckResult("server_id", False, "the server has no server_id, so it sends its log to no one", fix)
    # The server drops one of two replicas with the same id, again and again.
    if server_id == settings.server_id:
        text = f"source.server_id {settings.server_id} is the server's own"
        return CheckResult("server_id", False, text, "set source.server_id to a number that no server or replica has")
    return CheckResult("server_id", True, f"source.server_id is {settings.server_id}, the server's own is {server_id}")


# ------------------------------------------------------------------------------------------------- the tables


def _database(connection: Connection, settings: SourceSettings) -> CheckResult | None:
    """The fault of the database as a whole; None when there is none, and the database is selected."""
    try:
        rows(connection, f"USE {quoted(settings.database)}")
    except pymysql.err.Error as error:
        # Lost, which says nothing about grants.
        if is_connection_lost(error):
            raise
        if error.args[0] in _DENIED:
            return _missing_select(settings)
        fault = mapped(error, settings)
        return CheckResult("database", False, fault.message, fault.hint)
    spelled = _spelled(connection, settings.database)
    # The name is compared with the log's, letter by letter.
    if spelled:
        text = f"source.database is {settings.database!r}, and the server calls that database {spelled!r}"
        return CheckResult("database", False, text, f"set source.database to {spelled!r}, as the log has it")
    return None


def _tables(connection: Connection, settings: SourceSettings, tables: Sequence[TableSpec]) -> Iterator[CheckResult]:
    unusable = _database(connection, settings)
    # Every table would fail for the same reason.
    if unusable is not None:
        yield unusable
        return
    held: dict[str, list[str]] = {}
    statement = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s"
    for table, column in rows(connection, statement, (settings.database,)):
        held.setdefault(str(table), []).append(str(column))
    present = [spec for spec in tables if settings.table_prefix + spec.name in held]
    required = [spec for spec in tables if spec.required]
    # Nothing at all: one sentence about the wrong database helps more than forty about tables.
    if len(required) > _SHOWN_NAMES and not set(required) & set(present):
        yield _no_shop(connection, settings, required, held)
        return
    elsewhere = _elsewhere(required, present)
    checks = (_table(connection, settings, spec, held) for spec in tables if spec not in elsewhere)
    faults = [fault for fault in checks if fault is not None]
    # A split shop is one fault, not one per table.
    if elsewhere:
        faults.insert(0, _split(settings, elsewhere))
    versioned = versioned_tables(connection, settings.database)
    for spec in present:
        if settings.table_prefix + spec.name in versioned:
            refused = versions_refused(settings.table_prefix + spec.name)
            faults.append(CheckResult("tables", False, refused.message, refused.hint))
    yield from faults
    if not faults:
        yield CheckResult("tables", True, f"{len(present)} mapped tables in {settings.database!r}, all readable")


def _spelled(connection: Connection, database: str) -> str:
    """The server's spelling of the database's name; "" when it is the configured spelling, or when it is not known.

    A server that ignores case in names takes any spelling in a SELECT, and writes its own spelling into the log.
    """
    names = [str(name) for (name,) in rows(connection, "SHOW DATABASES")]
    # Spelled as configured.
    if database in names:
        return ""
    return next((name for name in names if name.lower() == database.lower()), "")


def _elsewhere(required: Sequence[TableSpec], present: Sequence[TableSpec]) -> list[TableSpec]:
    """The tables of sales, if all of them are missing and other tables exist:
    Magento can keep them on another server.
    """
    sales = [spec for spec in required if spec.name.startswith(_SALES)]
    return sales if len(sales) > 1 and present and not any(spec in present for spec in sales) else []


def _split(settings: SourceSettings, missing: Sequence[TableSpec]) -> CheckResult:
    names = ", ".join(settings.table_prefix + spec.name for spec in missing)
    text = f"no table of sales is in database {settings.database!r} ({names}); a shop split over servers has two logs"
    fix = "two logs have no common order: let one replica collect both servers into one database, and follow that one"
    return CheckResult("tables", False, text, fix)


def _missing_select(settings: SourceSettings, table: str = "") -> CheckResult:
    wanted = f"table {table!r}" if table else f"database {settings.database!r}"
    text = f"user {settings.user!r} may not read {wanted}, or it does not exist"
    return CheckResult("grant", False, text, f"GRANT SELECT ON {quoted(settings.database)}.* TO {account(settings)}")


def _no_shop(
    connection: Connection, settings: SourceSettings, required: Sequence[TableSpec], held: dict[str, list[str]]
) -> CheckResult:
    """One line for a wrong database or prefix, or for a database without a readable table; otherwise it would be forty
    lines.
    """
    names = [settings.table_prefix + spec.name for spec in required]
    # Missing and forbidden look alike in information_schema.
    if _denied_or_missing(connection, settings, names[0]) in _DENIED:
        return _missing_select(settings)
    shown = ", ".join(names[:_SHOWN_NAMES])
    text = f"database {settings.database!r} has none of Magento's tables ({shown} ...)"
    plain = required[0].name
    prefixed = next((name for name in held if name.endswith(plain)), "")
    # The tables are there under a prefix: name it.
    if prefixed:
        return CheckResult("tables", False, text, f"set source.table_prefix to {prefixed.removesuffix(plain)!r}")
    return CheckResult("tables", False, text, "check source.database and source.table_prefix")


def _table(
    connection: Connection, settings: SourceSettings, spec: TableSpec, held: dict[str, list[str]]
) -> CheckResult | None:
    """The fault of one mapped table; None when there is none."""
    name = settings.table_prefix + spec.name
    prefix = f" with prefix {settings.table_prefix!r}" if settings.table_prefix else ""
    where = f"database {settings.database!r}{prefix}"
    number = _denied_or_missing(connection, settings, name)
    # Named with the grant that mends it.
    if number in _DENIED:
        return _missing_select(settings, name)
    if number == _NO_SUCH_TABLE or name not in held:
        # Optional tables may be missing: the module is not installed.
        if not spec.required:
            return None
        fix = f"{_nearest(name, list(held))}check source.database and source.table_prefix"
        return CheckResult("tables", False, f"table {name!r} is not in {where}", fix)
    needed = [column for column in spec.columns if column not in spec.optional and column not in spec.derived]
    gone = [column for column in needed if column not in held[name]]
    if not gone:
        return None
    fix = f"{_nearest(gone[0], held[name])}map another column or mend the table"
    return CheckResult("tables", False, f"table {name!r} in {where} has no column {gone[0]!r}", fix)


def _denied_or_missing(connection: Connection, settings: SourceSettings, table: str) -> int | None:
    """The error number of a SELECT from the table; None when the table can be read."""
    try:
        rows(connection, f"SELECT 1 FROM {quoted(settings.database)}.{quoted(table)} LIMIT 0")
    except pymysql.err.Error as error:
        if is_connection_lost(error):  # else a table that was not read would count as readable
            raise
        return int(error.args[0])
    return None


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}? " if close else ""
