"""Talks to the database server: connects, reads its identity, and reads where its log ends.

PyMySQL connects, authenticates and negotiates TLS. Its errors become this project's errors here, in one place: a fault
that an operator has to mend is a SetupError, a fault that may pass by itself is a SourceDisconnectedError. No message
holds a password.
"""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import pymysql
from pymysql.connections import Connection as PyMySQLConnection
from pymysql.cursors import Cursor

from cdc.errors import CdcError, LoginRefusedError, SetupError, SourceDisconnectedError
from cdc.model import Position
from cdc.settings.secret_files import fresh
from cdc.settings.source import SourceSettings, TlsMode
from cdc.source.tls import CANNOT_LOAD, LOGIN_HANDLERS, tls_arguments

Connection: TypeAlias = "PyMySQLConnection[Cursor]"  # generic in the stubs only
Flavor = Literal["mysql", "mariadb"]

QUERY_TIMEOUT_S: Final = 300.0  # a chunk of a cold table on a busy disk takes seconds; a dead server must not hang us
LOG_HEADER_BYTES: Final = 4  # a log file's first event lies behind its magic number

_SESSION: Final = (
    "SET time_zone = '+00:00', sql_select_limit = 18446744073709551615, sql_big_selects = 1"
    " /*M!100101 , max_statement_time = 0 */ /*!50708 , max_execution_time = 0 */"
)
"""Settings of the session that remove a server's limits on rows and seconds.

A result that a limit had cut short would be taken for the whole. MariaDB ignores the part in comments for MySQL 5.7 and
newer.
"""

# Error numbers: https://dev.mysql.com/doc/mysql-errors/8.4/en/ and https://mariadb.com/kb/en/mariadb-error-codes/
_WRONG_PASSWORD = 1045
_NO_SUCH_DATABASE = 1049
_HOST_REFUSED = frozenset({1129, 1130})
_DENIED = frozenset({1044, 1142, 1143, 1227, 1370, 1698})
_NO_LOG = 1381
_UNKNOWN_AUTH = frozenset({1251, CANNOT_LOAD, 2061})
_NO_TLS = 2026
_SYNTAX = 1064
_CLIENT_ERRORS = (2000, 2999)  # PyMySQL's own; all others came from the server


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """The identity of a server.

    ``server`` tells the logs of different servers apart: MySQL's server_uuid, MariaDB's server_id as text (MariaDB's
    uuid changes with the network card). ``gtid_enabled``: every transaction in the log carries a GTID.
    ``case_sensitive``: names of databases and tables may differ by case alone (lower_case_table_names = 0).
    """

    flavor: Flavor
    version: tuple[int, ...]
    version_text: str
    server: str
    gtid_enabled: bool
    case_sensitive: bool

    def __str__(self) -> str:
        return f"{'MariaDB' if self.flavor == 'mariadb' else 'MySQL'} {'.'.join(map(str, self.version))}"


# ---------------------------------------------------------------------------------------------- connecting


def connect(settings: SourceSettings, *, database: bool = True) -> Connection:
    """A connection with autocommit on, utf8mb4 and UTC; ``database`` False selects none.

    Raises SetupError (wrong password, grants, database, TLS) or SourceDisconnectedError (unreachable, busy).
    """
    with mapped_errors(settings):
        connection = pymysql.connect(
            host=settings.host,
            port=settings.port,
            user=settings.user,
            password=fresh(settings.password, settings.password_file),  # whoever rotates it replaces the file
            database=settings.database if database else None,
            charset="utf8mb4",
            autocommit=True,
            init_command=_SESSION,
            connect_timeout=settings.connect_timeout_s,
            read_timeout=settings.connect_timeout_s,  # the handshake's answers
            write_timeout=settings.connect_timeout_s,
            program_name="magento-cdc",
            auth_plugin_map=LOGIN_HANDLERS,
            **tls_arguments(settings.tls),
        )
    connection._read_timeout = QUERY_TIMEOUT_S  # type: ignore[attr-defined]  # PyMySQL has one for both
    return connection


# ------------------------------------------------------------------------------------------- mapped errors


@contextlib.contextmanager
def mapped_errors(settings: SourceSettings) -> Iterator[None]:
    """Turn PyMySQL's errors inside the block into SetupError or SourceDisconnectedError."""
    try:
        yield
    except (pymysql.err.Error, OSError) as error:
        raise mapped(error, settings) from error


def mapped(error: BaseException, settings: SourceSettings) -> CdcError:
    """This PyMySQL or socket error as one of this project's errors."""
    # An error of the socket, before the server said anything.
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLCertVerificationError):
        # the number is the operating system's, not the server's
        return _disconnected(settings, error, error.errno)
    number = _number(error)
    words = str(error.args[1]) if len(error.args) > 1 else str(error)
    address = f"{settings.host}:{settings.port}"
    user = f"{settings.user!r}"
    # The server says the same for a wrong user, password or missing TLS, so the sentence names all.
    if number == _WRONG_PASSWORD:
        return LoginRefusedError(
            f"{address} refused user {user}: no such user, or the wrong password{_without_certificate(settings)}",
            hint="set source.user and source.password (or MAGENTO_CDC__SOURCE__PASSWORD)",
        )
    # Too many failed connections, or the host is in no account.
    if number in _HOST_REFUSED:
        return SetupError(
            f"{address} refuses connections from this host: {words}",
            hint=f"let the account of user {user} connect from this host",
        )
    if number == _NO_SUCH_DATABASE:
        return SetupError(
            f"{address} has no database {settings.database!r}", hint="set source.database to Magento's database"
        )
    if number in _DENIED:
        return SetupError(f"user {user} at {address} lacks a grant: {words}", hint=all_grants(settings))
    if number == _NO_LOG:
        return SetupError(
            f"{address} writes no binlog",
            hint="put log_bin = binlog and a server_id into its configuration, restart it",
        )
    # PyMySQL cannot speak this method. Trying again will not help.
    if number in _UNKNOWN_AUTH:
        return SetupError(
            f"{address} asks user {user} to log in by a method that magento-cdc does not support: {words}",
            hint="give the account another method with ALTER USER: caching_sha2_password (MySQL), ed25519 or"
            " mysql_native_password (MariaDB)",
        )
    # PyMySQL wraps the real cause.
    cause = getattr(error, "original_exception", error)
    if number == _NO_TLS or isinstance(cause, ssl.SSLCertVerificationError):
        return SetupError(f"no TLS connection to {address}: {_reason(cause)}", hint="check source.tls")
    if number == _SYNTAX:
        return SetupError(
            f"{address} refused a statement that servers of its version understand: {words}",
            hint="report it as a fault of magento-cdc",
        )
    # The server answered, so the connection works; what it refused may pass.
    if not is_connection_lost(error):
        return SourceDisconnectedError(f"{address} says: {words}", errno=number, hint="see the server's error log")
    return _disconnected(settings, cause, number)


def _disconnected(settings: SourceSettings, error: BaseException, number: int | None) -> SourceDisconnectedError:
    return SourceDisconnectedError(
        f"no connection to {settings.host}:{settings.port}: {_reason(error)}",
        errno=number,
        hint="check source.host, source.port and the server",
    )


def _without_certificate(settings: SourceSettings) -> str:
    """Advice for a refused login without a certificate: the server gives the same error for REQUIRE SSL and REQUIRE
    X509.
    """
    # Without TLS a password account with REQUIRE SSL looks like a wrong password.
    if settings.tls.mode is TlsMode.DISABLED:
        return ", or the account requires TLS"
    return ", or the account requires a client certificate" if settings.tls.cert is None else ""


def is_connection_lost(error: BaseException) -> bool:
    """Whether a PyMySQL or socket error means a lost connection, and not a refused statement."""
    number = None if isinstance(error, OSError) else _number(error)
    # PyMySQL's number for a connection that was closed before is 0
    return not number or _CLIENT_ERRORS[0] <= number <= _CLIENT_ERRORS[1]


def _number(error: BaseException) -> int | None:
    return error.args[0] if error.args and isinstance(error.args[0], int) else None


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        # The library's text names files and depths; this part says what is wrong.
        return error.verify_message
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    words = str(error.args[1]) if len(error.args) > 1 else str(error)
    return words or type(error).__name__


def account(settings: SourceSettings) -> str:
    """The configured user as GRANT writes it, for any host: the server's name for our host is not known here."""
    return "'" + settings.user.replace("'", "''") + "'@'%'"


def all_grants(settings: SourceSettings) -> str:
    """The GRANT statements for all rights that a run needs."""
    return (
        f"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {account(settings)}; "
        f"GRANT SELECT ON {quoted(settings.database)}.* TO {account(settings)}"
    )


def quoted(name: str) -> str:
    """The name in backticks."""
    return "`" + name.replace("`", "``") + "`"


# ------------------------------------------------------------------------------------------------ questions


def rows(connection: Connection, statement: str, arguments: tuple[object, ...] | None = None) -> list[tuple[Any, ...]]:
    """Run one statement and return its rows. Raises PyMySQL's errors."""
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return [tuple(row) for row in cursor.fetchall()]


def scalar(connection: Connection, statement: str, arguments: tuple[object, ...] | None = None) -> Any:
    """The first column of the first row, None without rows. Raises PyMySQL's errors."""
    found = rows(connection, statement, arguments)
    return found[0][0] if found else None


def variable(connection: Connection, name: str) -> str | None:
    """A global server variable as text; None if the server has no such variable."""
    found = rows(connection, "SHOW GLOBAL VARIABLES WHERE Variable_name = %s", (name,))
    return str(found[0][1]) if found else None


def read_identity(connection: Connection) -> ServerIdentity:
    """Read the server's identity. Raises PyMySQL's errors."""
    text = str(scalar(connection, "SELECT VERSION()"))
    version = version_of(text)
    case_sensitive = variable(connection, "lower_case_table_names") == "0"
    # MariaDB has no stable uuid: server_id is what its GTIDs use.
    if "mariadb" in text.lower():
        server_id = scalar(connection, "SELECT @@GLOBAL.server_id")
        return ServerIdentity("mariadb", version, text, str(server_id), True, case_sensitive)
    server = variable(connection, "server_uuid") or ""
    has_gtids = variable(connection, "gtid_mode") == "ON"
    return ServerIdentity("mysql", version, text, server, has_gtids, case_sensitive)


def version_of(text: str) -> tuple[int, ...]:
    """``10.11.6-MariaDB-log`` → (10, 11, 6)."""
    match = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in match[0].split(".")) if match else (0,)


def log_status(connection: Connection, identity: ServerIdentity) -> tuple[str, int, str, str]:
    """File, offset, and the databases that the log is limited to or leaves out (comma lists).

    Raises PyMySQL's errors; SetupError when the log is off.
    """
    is_new = identity.flavor == "mysql" and identity.version >= (8, 2)  # 8.4 no longer knows the old name
    found = rows(connection, "SHOW BINARY LOG STATUS" if is_new else "SHOW MASTER STATUS")
    # An empty answer means that log_bin is off.
    if not found:
        raise SetupError(
            "the server writes no binlog",
            hint="put log_bin = binlog and a server_id into its configuration, restart it",
        )
    file, offset, only, without = found[0][:4]
    return str(file), int(offset), str(only or ""), str(without or "")


def current_position(connection: Connection) -> Position:
    """The position at the end of the log. Cheap: two or three short statements.

    The GTID set is read first, so it never names a transaction behind the offset. Reading on by GTID may bring a
    transaction twice, and never misses one. Raises PyMySQL's errors; SetupError when the log is off.
    """
    identity = read_identity(connection)
    gtid = executed_gtids(connection, identity)
    file, offset, _, _ = log_status(connection, identity)
    return Position(file, offset, gtid, identity.server)


def executed_gtids(connection: Connection, identity: ServerIdentity) -> str:
    """The transactions that the server has executed, in its own notation; "" when it writes no GTIDs."""
    if identity.flavor == "mariadb":
        return str(scalar(connection, "SELECT @@GLOBAL.gtid_binlog_pos") or "")
    # Without GTIDs the set stays empty for ever and would look like "nothing executed".
    if not identity.gtid_enabled:
        return ""
    return str(scalar(connection, "SELECT @@GLOBAL.gtid_executed") or "").replace("\n", "")


def log_files(connection: Connection) -> list[tuple[str, int]]:
    """The log's files with their sizes in bytes, oldest first. Raises PyMySQL's errors."""
    return [(str(row[0]), int(row[1])) for row in rows(connection, "SHOW BINARY LOGS")]


def gtids_before(connection: Connection, identity: ServerIdentity, file: str, offset: int = LOG_HEADER_BYTES) -> str:
    """The transactions executed before a position. MySQL knows them only at a file's start; "" where the server does
    not say.

    Raises PyMySQL's errors.
    """
    if identity.flavor == "mariadb":
        return str(scalar(connection, "SELECT BINLOG_GTID_POS(%s, %s)", (file, offset)) or "")
    # MySQL lists executed sets only at the head of each file.
    if not identity.gtid_enabled or offset != LOG_HEADER_BYTES:
        return ""
    events = rows(connection, "SHOW BINLOG EVENTS IN %s LIMIT 2", (file,))
    return next((str(event[5]).replace("\n", "") for event in events if event[2] == "Previous_gtids"), "")
