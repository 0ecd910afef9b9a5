"""How a connection to the server is protected, and which login methods can show the password to others."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, Final, Protocol

import pymysql

from cdc.errors import SetupError
from cdc.settings.source import TlsMode, TlsSettings

CANNOT_LOAD: Final = 2059
"""CR_AUTH_PLUGIN_CANNOT_LOAD: the server asks for a login method that we do not support."""

_VERIFYING: Final = (TlsMode.VERIFY_CA, TlsMode.VERIFY_IDENTITY)


def tls_arguments(tls: TlsSettings) -> dict[str, Any]:
    """The TLS arguments for PyMySQL's ``connect``. Raises SetupError for files that cannot be read.

    A client certificate requires TLS: with a certificate, ``preferred`` becomes ``required``.
    """
    # Also where the server offers TLS: the operator does not want it.
    if tls.mode is TlsMode.DISABLED:
        return {"ssl_disabled": True}
    if tls.mode is TlsMode.PREFERRED and tls.cert is None:
        return {}  # PyMySQL's own way: TLS, unverified, when the server offers it
    return {"ssl": _context(tls)}


def _context(tls: TlsSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(tls.ca) if tls.ca else None)
        # Certificates that servers make for themselves lack the extensions that strict checking wants.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.check_hostname = tls.mode is TlsMode.VERIFY_IDENTITY
        # Encrypted, but anybody could be the server.
        if tls.mode not in _VERIFYING:
            context.verify_mode = ssl.CERT_NONE
        if tls.cert is not None:
            # a passphrase would be asked for on a terminal that a daemon has not
            context.load_cert_chain(str(tls.cert), str(tls.key) if tls.key else None, password=b"")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SetupError(
            f"the TLS certificates cannot be read: {reason}",
            hint="check source.tls ca, cert and key; the key must belong to the certificate and have no passphrase",
        ) from error
    return context


def tls_in_use(connection: Any, tls: TlsSettings) -> str:
    """``TLSv1.3, the server's certificate verified``; "" for an unencrypted connection."""
    link = connection._sock
    # The server did not offer TLS.
    if not isinstance(link, ssl.SSLSocket):
        return ""
    checked = {
        TlsMode.VERIFY_CA: "the server's certificate is verified, its name is not",
        TlsMode.VERIFY_IDENTITY: "the server's certificate and name are verified",
    }
    return f"{link.version()}, {checked.get(tls.mode, 'the server is not verified')}"


class Handler(Protocol):
    """PyMySQL's interface: takes the server's packet, returns the server's last answer."""

    def authenticate(self, packet: Any) -> Any: ...


class _ClearPassword:
    """mysql_clear_password sends the password as it is: allowed only where nobody can listen."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def authenticate(self, packet: Any) -> Any:
        connection = self._connection
        # Without TLS everybody on the way would read the password.
        if not isinstance(connection._sock, ssl.SSLSocket):
            raise pymysql.err.OperationalError(CANNOT_LOAD, "mysql_clear_password without TLS")
        connection.write_packet(connection.password + b"\0")
        answer = connection._read_packet()
        answer.check_error()
        return answer


class _Dialog:
    """PAM and similar methods ask questions that only a person can answer."""

    def __init__(self, connection: Any) -> None:
        pass

    def authenticate(self, packet: Any) -> Any:
        raise pymysql.err.OperationalError(CANNOT_LOAD, "dialog")


LOGIN_HANDLERS: Final[dict[str, Callable[[Any], Handler]]] = {"mysql_clear_password": _ClearPassword, "dialog": _Dialog}
"""They replace PyMySQL's handlers, which send the password to any server that asks for it."""
