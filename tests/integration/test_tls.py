"""TLS to real servers of both kinds: each mode takes what it should, and says in a sentence what it refuses."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cdc.errors import SetupError
from cdc.settings.source import SourceSettings, TlsMode, TlsSettings
from cdc.source.preflight import findings
from cdc.source.server import connect
from tests.integration.test_live_source import GRANTS, NOTE, PASSWORD, USER, end_of_log, make_shop, settings_for, write
from tests.kit.certs import Authority
from tests.kit.daemon import command
from tests.kit.follow import Follower
from tests.kit.servers import MariaDB, MySQL, Server

RELOAD = {"mariadb": "FLUSH SSL", "mysql": "ALTER INSTANCE RELOAD TLS"}
NO_TLS: dict[str, dict[str, str | bool]] = {"mariadb": {"ssl": False}, "mysql": {"tls_version": ""}}
ENCRYPTING = [TlsMode.REQUIRED, TlsMode.VERIFY_CA, TlsMode.VERIFY_IDENTITY]


@dataclass
class Secured:
    """A server with a certificate for its address, a shop in it, and the files."""

    server: Server
    folder: Path
    trusted: Authority
    other: Authority
    database: str

    def settings(
        self, mode: TlsMode, ca: Path | None = None, client: tuple[Path, Path] | None = None
    ) -> SourceSettings:
        cert, key = client or (None, None)
        tls = TlsSettings(mode=mode, ca=ca, cert=cert, key=key)
        return settings_for(self.server, self.database, tls=tls)

    def present(self, name: str, address: str = "") -> None:
        """The server shows a certificate for this name from now on."""
        for made, used in zip(self.trusted.sign(name, address=address), ("server.crt", "server.key"), strict=True):
            (self.folder / used).write_bytes(made.read_bytes())
        self.server.run(RELOAD[self.server.flavor])


@pytest.fixture(scope="module", params=["mariadb", "mysql"])
def secured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """One server of each kind with a certificate for 127.0.0.1."""
    request.getfixturevalue(request.param)  # skips where there is none
    folder = tmp_path_factory.mktemp("certificates")
    trusted, other = Authority(folder, "trusted"), Authority(folder, "other")
    cert, key = trusted.sign("server", address="127.0.0.1")
    options = {"ssl_ca": str(trusted.ca), "ssl_cert": str(cert), "ssl_key": str(key)}
    with (MariaDB if request.param == "mariadb" else MySQL)(options) as server:
        database = server.create_database()
        make_shop(server, database)
        yield Secured(server, folder, trusted, other, database)


def refused(settings: SourceSettings) -> SetupError:
    """Connecting ends with exit code 2, one sentence and a hint, and nothing secret."""
    with pytest.raises(SetupError) as caught:
        connect(settings).close()
    assert caught.value.exit_code == 2
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    assert PASSWORD not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("mode", list(TlsMode))
def test_each_mode_reads_the_log(secured: Secured, mode: TlsMode) -> None:
    """With the right CA and name every mode logs in and dumps; all but ``disabled`` encrypt, and preflight says so."""
    settings = secured.settings(mode, secured.trusted.ca)
    connection = connect(settings)
    link = connection._sock  # type: ignore[attr-defined]
    assert isinstance(link, ssl.SSLSocket) == (mode is not TlsMode.DISABLED)
    connection.close()
    said = next(finding.text for finding in findings(settings, [NOTE]) if finding.name == "tls")
    assert ("TLSv1." in said, "verified" in said) == ((False, False) if mode is TlsMode.DISABLED else (True, True))
    with Follower(settings, [NOTE], end_of_log(settings)) as log:
        number = list(TlsMode).index(mode)
        write(secured.server, secured.database, number)
        log.wait_for_ids([number])


def test_an_unknown_authority_is_refused_where_it_is_looked_at(secured: Secured) -> None:
    """verify_ca and verify_identity want a CA that signed the certificate; ``required`` does not ask."""
    for mode in (TlsMode.VERIFY_CA, TlsMode.VERIFY_IDENTITY):
        for ca in (secured.other.ca, None):
            error = refused(secured.settings(mode, ca))
            assert "no TLS" in error.message
            assert "source.tls" in error.hint
    connect(secured.settings(TlsMode.REQUIRED, secured.other.ca)).close()


def test_another_hosts_name_is_refused_by_verify_identity_only(secured: Secured) -> None:
    """A certificate of the right CA for another host: verify_ca takes it."""
    secured.present("elsewhere.example.com")
    try:
        connect(secured.settings(TlsMode.VERIFY_CA, secured.trusted.ca)).close()
        assert "127.0.0.1" in refused(secured.settings(TlsMode.VERIFY_IDENTITY, secured.trusted.ca)).message
    finally:
        secured.present("server", "127.0.0.1")


@pytest.mark.parametrize("mode", ENCRYPTING)
def test_a_client_certificate_is_shown_when_asked_for(secured: Secured, mode: TlsMode) -> None:
    """An account with REQUIRE X509: without a certificate the refusal names it as a cause; with one the dump works."""
    server = secured.server
    server.create_user(USER, PASSWORD, [*GRANTS, "SELECT ON *.*"], options="REQUIRE X509")
    try:
        assert "client certificate" in refused(secured.settings(mode, secured.trusted.ca)).message
        client = secured.trusted.sign("client")
        settings = secured.settings(mode, secured.trusted.ca, client)
        with Follower(settings, [NOTE], end_of_log(settings)) as log:
            number = 100 + ENCRYPTING.index(mode)
            write(server, secured.database, number)
            log.wait_for_ids([number])
    finally:
        server.create_user(USER, PASSWORD, [*GRANTS, "SELECT ON *.*"])


def test_an_account_that_requires_tls_says_so_to_a_plain_connection(secured: Secured) -> None:
    """REQUIRE SSL with mode ``disabled``: the server only says no; we name the cause."""
    secured.server.create_user(USER, PASSWORD, [*GRANTS, "SELECT ON *.*"], options="REQUIRE SSL")
    try:
        assert "requires TLS" in refused(secured.settings(TlsMode.DISABLED)).message
    finally:
        secured.server.create_user(USER, PASSWORD, [*GRANTS, "SELECT ON *.*"])


def test_key_files_that_do_not_fit_are_a_fault_of_the_settings(secured: Secured) -> None:
    """A key of another certificate, one with a passphrase, one that is none: said at once, never asked for."""
    cert, key = secured.trusted.sign("client")
    _, of_other = secured.trusted.sign("second")
    locked = secured.trusted.sign("locked", passphrase=b"a phrase")
    assert key.exists()
    for client in ((cert, of_other), locked, (cert, secured.folder / "nothing.key"), (cert, secured.trusted.ca)):
        assert "cannot be read" in refused(secured.settings(TlsMode.REQUIRED, None, client)).message


def test_the_command_ends_with_2_and_no_traceback(secured: Secured, tmp_path: Path) -> None:
    """What an operator sees of a wrong CA: exit code 2, a sentence, a hint."""
    (tmp_path / "magento-cdc.toml").write_text(
        f'[source]\nport = {secured.server.port}\nuser = "{USER}"\npassword = "{PASSWORD}"\n'
        f'database = "{secured.database}"\n[source.tls]\nmode = "verify_ca"\nca = "{secured.other.ca}"\n'
        '[sink]\nkind = "jsonl"\n[web]\nport = 0\n',
        encoding="utf-8",
    )
    done = command("run", cwd=tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert "source.tls" in said
    assert "Traceback" not in said
    assert PASSWORD not in said


@pytest.mark.parametrize("flavor", ["mariadb", "mysql"])
def test_a_server_without_tls(request: pytest.FixtureRequest, flavor: str) -> None:
    """``preferred`` goes on in the clear, and preflight says so; what asks for TLS is refused."""
    request.getfixturevalue(flavor)
    with (MariaDB if flavor == "mariadb" else MySQL)(NO_TLS[flavor]) as server, server.database() as database:
        make_shop(server, database)
        plain = settings_for(server, database, tls=TlsSettings(mode=TlsMode.PREFERRED))
        found = {finding.name: finding for finding in findings(plain, [NOTE])}
        assert found["tls"].text == "the connection is not encrypted"
        for mode in ENCRYPTING:
            assert "TLS" in refused(settings_for(server, database, tls=TlsSettings(mode=mode))).message
