"""Every way to log in that the servers offer: with each that we go the dump works, each other one is named."""

from __future__ import annotations

from collections.abc import Iterator

import pymysql
import pytest

from cdc.errors import SetupError
from cdc.settings.source import SourceSettings, TlsMode, TlsSettings
from cdc.source.server import connect, mapped
from tests.integration.test_live_source import GRANTS, NOTE, PASSWORD, USER, end_of_log, make_shop, settings_for, write
from tests.kit.follow import Follower
from tests.kit.servers import MariaDB, Server

CLEAR, ENCRYPTED = TlsMode.DISABLED, TlsMode.REQUIRED


def account(server: Server, database: str, identified: str) -> None:
    server.run(
        f"DROP USER IF EXISTS '{USER}'@'%'",
        f"CREATE USER '{USER}'@'%' IDENTIFIED {identified}",
        *(f"GRANT {grant} TO '{USER}'@'%'" for grant in (*GRANTS, f"SELECT ON `{database}`.*")),
        "FLUSH PRIVILEGES",  # and what the server remembers of passwords, so that the whole exchange is gone through
    )


def reads_the_log(server: Server, settings: SourceSettings) -> None:
    with Follower(settings, [NOTE], end_of_log(settings)) as log:
        write(server, settings.database, 1)
        log.wait_for_ids([1])


@pytest.fixture(scope="module")
def plugged() -> Iterator[Server]:
    """A MariaDB with the plugins that come with it."""
    with MariaDB() as server:
        server.run("INSTALL SONAME 'auth_ed25519'", "INSTALL SONAME 'auth_pam'")
        yield server


@pytest.mark.parametrize("mode", [CLEAR, ENCRYPTED])
@pytest.mark.parametrize("plugin", ["caching_sha2_password", "sha256_password"])
def test_mysqls_ways(mysql: Server, plugin: str, mode: TlsMode) -> None:
    """Without TLS the password goes under the server's RSA key, with TLS inside it."""
    with mysql.database() as database:
        make_shop(mysql, database)
        account(mysql, database, f"WITH {plugin} BY '{PASSWORD}'")
        reads_the_log(mysql, settings_for(mysql, database, tls=TlsSettings(mode=mode)))


@pytest.mark.parametrize("identified", ["VIA mysql_native_password", "VIA ed25519"])
def test_mariadbs_ways(mariadb: Server, plugged: Server, identified: str) -> None:
    """The password itself never leaves us; also in the clear, as 10.11 has no TLS of its own making."""
    with plugged.database() as database:
        make_shop(plugged, database)
        account(plugged, database, f"{identified} USING PASSWORD('{PASSWORD}')")
        reads_the_log(plugged, settings_for(plugged, database))
        wrong = settings_for(plugged, database, password="another")
        with pytest.raises(SetupError, match="wrong password"):
            connect(wrong)


@pytest.mark.parametrize("identified", ["VIA pam", "VIA unix_socket"])
def test_ways_that_are_not_gone_are_refused_in_a_sentence(mariadb: Server, plugged: Server, identified: str) -> None:
    """PAM's dialog, and an account that is only for the server's own host."""
    with plugged.database() as database:
        make_shop(plugged, database)
        account(plugged, database, identified)
        with pytest.raises(SetupError) as caught:
            connect(settings_for(plugged, database))
        assert caught.value.hint
        assert repr(USER) in caught.value.message
        assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("plugin", ["parsec", "auth_gssapi_client", "authentication_webauthn_client"])
def test_plugins_that_no_server_here_has_are_named(plugin: str) -> None:
    """What PyMySQL says of a plugin that it has not becomes advice."""
    error = pymysql.err.OperationalError(2059, f"Authentication plugin '{plugin}' not configured")
    said = mapped(error, SourceSettings())
    assert isinstance(said, SetupError)
    assert plugin in said.message
    assert "ALTER USER" in said.hint


def test_the_password_is_shown_to_no_one_in_the_clear(mysql: Server) -> None:
    """A server that asks for mysql_clear_password gets it inside TLS only; see ``LOGIN_HANDLERS``."""
    with mysql.database() as database:
        make_shop(mysql, database)
        for mode in (CLEAR, ENCRYPTED):
            connection = connect(settings_for(mysql, database, tls=TlsSettings(mode=mode)))
            handler = connection._get_auth_plugin_handler(b"mysql_clear_password")  # type: ignore[attr-defined]
            if mode is CLEAR:
                with pytest.raises(pymysql.err.OperationalError, match="without TLS"):
                    handler.authenticate(None)
            else:
                assert handler is not None
            connection.close()
