"""What is wrong with a server is said in one sentence each, with what mends it, and with the right class."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from cdc.errors import CdcError, SetupError, SourceDisconnectedError
from cdc.model import DeleteRule, ForeignKey, TableSpec
from cdc.settings.source import SourceSettings, TlsMode, TlsSettings
from cdc.source import preflight
from cdc.source.foreign_keys import foreign_keys
from cdc.source.preflight import findings, require
from cdc.source.schemas import ServerSchemas
from cdc.source.server import connect
from tests.integration.test_live_source import GRANTS, PASSWORD, USER, settings_for
from tests.kit.servers import MariaDB, Option, Server

CUSTOMER = TableSpec("customer_entity", key=("entity_id",), columns=("entity_id", "email"))
ORDER = TableSpec(
    "sales_order", key=("entity_id",), columns=("entity_id", "state", "note"), optional=frozenset({"note"})
)
EXTRA = TableSpec("extra", key=("id",), columns=("id",), required=False)
TABLES = (CUSTOMER, ORDER, EXTRA)

SHOP = (
    "CREATE TABLE customer_entity (entity_id INT UNSIGNED PRIMARY KEY, email VARCHAR(255))",
    "CREATE TABLE sales_order (entity_id INT UNSIGNED PRIMARY KEY, state VARCHAR(32) DEFAULT 'new')",
)


@pytest.fixture
def shop(server: Server, database: str) -> SourceSettings:
    server.run(*SHOP, database=database)
    server.create_user(USER, PASSWORD, [*GRANTS, f"SELECT ON `{database}`.*"])
    return settings_for(server, database)


@pytest.fixture
def globally(server: Server) -> Iterator[object]:
    """``globally(name, value)`` sets a server variable until the test ends."""
    before: dict[str, object] = {}

    def change(name: str, value: object) -> None:
        before.setdefault(name, server.run(f"SELECT @@GLOBAL.{name}")[0][0])
        server.run(f"SET GLOBAL {name} = {value!r}")

    yield change
    for name, value in before.items():
        server.run(f"SET GLOBAL {name} = {value!r}")


def the_fault(settings: SourceSettings, tables: tuple[TableSpec, ...] = TABLES) -> SetupError:
    """``require`` fails on exactly one thing; what it says."""
    with pytest.raises(SetupError) as caught:
        require(settings, tables)
    assert "\n" not in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert caught.value.exit_code == 2
    return caught.value


def test_a_good_server_has_no_faults(server: Server, shop: SourceSettings) -> None:
    """A server that is set up as the manual says passes, and every finding says what it looked at."""
    found = findings(shop, TABLES)
    assert [finding for finding in found if not finding.ok] == []
    assert all(finding.text for finding in found)
    require(shop, TABLES)


@pytest.mark.parametrize(
    "step", ["read_identity", "log_files", "replication_findings", "_format", "_server_id", "_tables",
             "_denied_or_missing", "_replication_slave"],
)  # fmt: skip
def test_a_connection_that_is_lost_on_the_way_is_no_fault_of_the_setup(
    shop: SourceSettings, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Wherever the connection goes, ``require`` says that the server was lost, so that the start is tried again."""
    look = getattr(preflight, step)

    def lost(connection: Any, *arguments: Any) -> Any:
        connection._sock.shutdown(socket.SHUT_RDWR)
        return look(connection, *arguments)

    monkeypatch.setattr(preflight, step, lost)

    with pytest.raises(SourceDisconnectedError):
        require(shop, TABLES)
    assert [finding.name for finding in findings(shop, TABLES) if not finding.ok] == ["server"]


def test_a_wrong_password_names_the_user_and_the_setting(shop: SourceSettings) -> None:
    """A wrong password: user, host and the setting to mend; never the password."""
    error = the_fault(shop.model_copy(update={"password": SecretStr("an invented one")}))
    assert "wrong password" in error.message
    assert repr(USER) in error.message
    assert "source.password" in error.hint
    assert "invented" not in str(error)


@pytest.mark.parametrize("left_out", ["REPLICATION SLAVE", "REPLICATION CLIENT", "SELECT"])
def test_a_missing_grant_comes_with_its_grant_statement(
    server: Server, shop: SourceSettings, database: str, left_out: str
) -> None:
    """A missing grant: which one, and the statement that gives it, which then works."""
    grants = [*GRANTS, f"SELECT ON `{database}`.*"]
    server.create_user(USER, PASSWORD, [grant for grant in grants if not grant.startswith(left_out)])
    error = the_fault(shop)
    assert repr(USER) in error.message
    assert error.hint.startswith("GRANT ")
    server.run(error.hint)
    require(shop, TABLES)


def test_statement_format_is_refused(server: Server, shop: SourceSettings, globally) -> None:  # type: ignore[no-untyped-def]
    """binlog_format = STATEMENT holds no rows: refused with the statement that mends it."""
    globally("binlog_format", "STATEMENT")
    error = the_fault(shop)
    assert "binlog_format is STATEMENT" in error.message
    assert "SET GLOBAL binlog_format = 'ROW'" in error.hint


@pytest.mark.parametrize("image", ["MINIMAL", "NOBLOB"])
def test_partial_row_images_are_taken(server: Server, shop: SourceSettings, globally, image: str) -> None:  # type: ignore[no-untyped-def]
    """A log with parts of rows is no fault; what that costs is said."""
    globally("binlog_row_image", image)
    require(shop, TABLES)
    (said,) = [finding for finding in findings(shop, TABLES) if finding.name == "binlog_row_image"]
    assert (said.ok, said.warning) == (True, False)
    assert f"{image}: missing parts of rows come from the schema" in said.text


def test_a_short_retention_is_a_warning(server: Server, shop: SourceSettings, globally) -> None:  # type: ignore[no-untyped-def]
    """What works but should be looked at is a warning with advice, no fault."""
    globally("binlog_expire_logs_seconds", 3600)
    warned = {finding.name: finding for finding in findings(shop, TABLES) if finding.warning}
    assert set(warned) == {"retention"}
    assert all(finding.ok and finding.fix for finding in warned.values())


def test_a_missing_table_says_where_it_was_looked_for(server: Server, shop: SourceSettings) -> None:
    """A missing table: its name, the database, and the nearest name there is."""
    wanted = TableSpec("sales_orders", key=("entity_id",), columns=("entity_id",))
    error = the_fault(shop, (CUSTOMER, wanted))
    assert "'sales_orders'" in error.message
    assert repr(shop.database) in error.message
    assert "'sales_order'" in error.hint


def test_sales_tables_on_another_server_are_one_line(server: Server, shop: SourceSettings) -> None:
    """A shop whose tables of sales lie elsewhere is told so, and what can be done about it."""
    server.run("DROP TABLE sales_order", database=shop.database)
    item = TableSpec("sales_order_item", key=("item_id",), columns=("item_id",))

    fault = the_fault(shop, (*TABLES, item))

    assert "no table of sales is in database" in str(fault)
    assert "sales_order, sales_order_item" in str(fault)
    assert "one replica collect both" in fault.hint


def test_a_missing_column_comes_with_the_nearest_name(server: Server, shop: SourceSettings) -> None:
    """A missing column: table, column, and the nearest name there is; optional ones may be missing."""
    wanted = TableSpec("customer_entity", key=("entity_id",), columns=("entity_id", "e_mail"))
    error = the_fault(shop, (wanted, ORDER))
    assert "'e_mail'" in error.message
    assert "'email'" in error.hint


def test_a_forgotten_prefix_is_one_line(server: Server, shop: SourceSettings) -> None:
    """When none of the tables is there under the prefix, one line says so and names the prefix seen."""
    many = tuple(TableSpec(f"t{number}", key=("id",), columns=("id",)) for number in range(5))
    server.run(*(f"CREATE TABLE mg_{spec.name} (id INT PRIMARY KEY)" for spec in many), database=shop.database)
    assert "source.table_prefix to 'mg_'" in the_fault(shop, many).hint
    require(shop.model_copy(update={"table_prefix": "mg_"}), many)


def test_the_servers_own_id_is_refused(server: Server, shop: SourceSettings) -> None:
    """A replica with its server's server_id gets nothing: refused."""
    error = the_fault(shop.model_copy(update={"server_id": server.server_id}))
    assert "source.server_id" in error.message


def test_a_missing_database_is_named(server: Server, shop: SourceSettings) -> None:
    """A database that does not exist, or that the user may not see, is named."""
    error = the_fault(shop.model_copy(update={"database": "no_such_shop"}))
    assert "'no_such_shop'" in error.message


def test_an_unreachable_server_may_come_back(shop: SourceSettings) -> None:
    """Nobody listens: not a wrong set-up but a disconnection, so that the daemon waits; ``check`` shows one line."""
    away = shop.model_copy(update={"port": 1})
    with pytest.raises(SourceDisconnectedError):
        require(away, TABLES)
    assert [finding.ok for finding in findings(away, TABLES)] == [False]


def test_a_server_without_a_log_says_so(mariadb: Server) -> None:
    """log_bin off: one sentence that says what to put into the configuration."""
    with MariaDB({"log_bin": False}) as server, server.database() as database:
        server.run(*SHOP, database=database)
        server.create_user(USER, PASSWORD, [*GRANTS, f"SELECT ON `{database}`.*"])
        assert "log_bin" in the_fault(settings_for(server, database)).hint


def test_a_database_left_out_of_the_log_is_a_fault(mariadb: Server) -> None:
    """binlog_ignore_db silently hides the shop: found before the start."""
    with MariaDB({"binlog_ignore_db": "hidden"}) as server:
        server.run("CREATE DATABASE hidden", "USE hidden", *SHOP)
        server.create_user(USER, PASSWORD, [*GRANTS, "SELECT ON hidden.*"])
        assert "binlog_ignore_db" in the_fault(settings_for(server, "hidden")).message


def test_required_tls_is_refused_by_a_server_without_it(mariadb: Server) -> None:
    """tls.mode = required never falls back to plain text."""
    with mariadb.database() as database:
        settings = settings_for(mariadb, database, tls=TlsSettings(mode=TlsMode.REQUIRED))
        mariadb.create_user(USER, PASSWORD, [*GRANTS, f"SELECT ON `{database}`.*"])
        with pytest.raises(SetupError, match="TLS"):
            connect(settings)


def test_tls_modes_on_a_server_that_has_it(mysql: Server) -> None:
    """required encrypts; verify_ca trusts the given CA only; verify_identity wants the host's name as well."""
    ca = mysql.datadir / "ca.pem"
    with mysql.database() as database:
        mysql.create_user(USER, PASSWORD, [*GRANTS, f"SELECT ON `{database}`.*"])
        for mode, file in ((TlsMode.REQUIRED, None), (TlsMode.VERIFY_CA, ca)):
            connection = connect(settings_for(mysql, database, tls=TlsSettings(mode=mode, ca=file)))
            assert isinstance(connection._sock, ssl.SSLSocket)  # type: ignore[attr-defined]
            connection.close()
        for mode, file in ((TlsMode.VERIFY_CA, None), (TlsMode.VERIFY_IDENTITY, ca)):
            with pytest.raises(SetupError, match="TLS"):
                connect(settings_for(mysql, database, tls=TlsSettings(mode=mode, ca=file)))
        plain = connect(settings_for(mysql, database, tls=TlsSettings(mode=TlsMode.DISABLED)))
        assert not isinstance(plain._sock, ssl.SSLSocket)  # type: ignore[attr-defined]
        plain.close()


def test_an_unreadable_ca_is_a_fault_of_the_settings(shop: SourceSettings) -> None:
    """A CA file that is not there is said as such, before any connection."""
    with pytest.raises(CdcError, match="certificates cannot be read"):
        connect(shop.model_copy(update={"tls": TlsSettings(mode=TlsMode.VERIFY_CA, ca="/nowhere/ca.pem")}))


def test_foreign_keys_need_no_more_than_select(server: Server, shop: SourceSettings) -> None:
    """CASCADE and SET NULL keys come without prefix, also for a user with SELECT alone; others are left out."""
    server.run(
        "CREATE TABLE mg_parent (id INT PRIMARY KEY)",
        """CREATE TABLE mg_child (id INT PRIMARY KEY, a INT, b INT, c INT,
           CONSTRAINT one FOREIGN KEY (a) REFERENCES mg_parent (id) ON DELETE CASCADE,
           CONSTRAINT two FOREIGN KEY (b) REFERENCES mg_parent (id) ON DELETE SET NULL ON UPDATE CASCADE,
           CONSTRAINT three FOREIGN KEY (c) REFERENCES mg_parent (id) ON UPDATE CASCADE)""",
        database=shop.database,
    )
    connection = connect(shop)
    try:
        keys = foreign_keys(connection, shop.database, "mg_")
    finally:
        connection.close()
    assert set(keys) == {
        ForeignKey("child", "a", "parent", "id", DeleteRule.CASCADE),
        ForeignKey("child", "b", "parent", "id", DeleteRule.SET_NULL),
    }


def test_schemas_survive_a_cut_connection_and_forget_on_demand(server: Server, shop: SourceSettings) -> None:
    """Columns are asked for once, again after ``forget``, and over a new connection when the old one broke."""
    opened = []
    schemas = ServerSchemas(lambda: opened.append(connect(shop)) or opened[-1])  # type: ignore[func-returns-value]
    held = schemas.columns(shop.database, "customer_entity")
    assert held is not None
    assert [(column.name, column.data_type, column.is_key) for column in held] == [
        ("entity_id", "int", True),
        ("email", "varchar", False),
    ]
    assert held[1].charset == "utf8mb4"
    server.run("ALTER TABLE customer_entity ADD phone VARCHAR(20)", database=shop.database)
    assert schemas.columns(shop.database, "customer_entity") is held
    server.run(f"KILL {opened[0].thread_id()}")  # type: ignore[no-untyped-call]
    schemas.forget(shop.database, "customer_entity")
    renewed = schemas.columns(shop.database, "customer_entity")
    assert renewed is not None
    assert [column.name for column in renewed] == ["entity_id", "email", "phone"]
    assert len(opened) == 2
    assert schemas.columns(shop.database, "nothing") is None
    schemas.close()


def test_a_replica_that_does_not_write_what_it_replicates_is_refused(server: Server, database: str) -> None:
    """Its log has none of the changes, whatever was configured, running or not, and whoever may look."""
    own = type(server)({"log_replica_updates" if server.flavor == "mysql" else "log_slave_updates": "OFF"})
    with own as replica:
        shop = a_shop(replica)
        require(shop, TABLES)
        replica.run(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1"
            if server.flavor == "mysql"
            else "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 1"
        )
        if server.flavor == "mariadb":  # without this grant only running threads are seen
            replica.run(f"GRANT SLAVE MONITOR ON *.* TO '{USER}'@'%'")
        error = the_fault(shop)
    assert "is a replica" in error.message
    assert "= ON into the server's configuration" in error.hint


def test_a_replica_that_leaves_the_shop_out_is_refused(server: Server) -> None:
    """A filter of databases is a fault; one of tables is a warning, as it may be about others."""
    name = "log_replica_updates" if server.flavor == "mysql" else "log_slave_updates"
    options: dict[str, Option] = {name: "ON", "replicate_do_db": "other", "replicate_ignore_table": "other.x"}
    with type(server)(options) as replica:
        shop = a_shop(replica)
        replica.run(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1"
            if server.flavor == "mysql"
            else "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 1"
        )
        if server.flavor == "mariadb":
            replica.run(f"GRANT SLAVE MONITOR ON *.* TO '{USER}'@'%'")
        assert "leaves out database 'shop'" in the_fault(shop).message
        warned = [one.text for one in findings(shop, TABLES) if one.name == "replication filter" and one.warning]
    assert ["replicate_ignore_table" in text for text in warned] == [True]


def test_a_read_only_copy_is_a_warning(server: Server, shop: SourceSettings, globally) -> None:  # type: ignore[no-untyped-def]
    """A server that nobody writes to, and that replicates from no other, tells of no change."""
    globally("read_only", 1)
    warned = {finding.name: finding for finding in findings(shop, TABLES) if finding.warning}
    assert set(warned) == {"read only"}
    assert "nothing changes in it" in warned["read only"].text


def a_shop(server: Server) -> SourceSettings:
    """A shop on a server of its own."""
    server.run("CREATE DATABASE shop")
    server.run(*SHOP, database="shop")
    server.create_user(USER, PASSWORD, [*GRANTS, "SELECT ON shop.*"])
    return settings_for(server, "shop")
