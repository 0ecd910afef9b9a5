"""Which servers are whole replicas of the shop's server, as far as their own words tell; and the settings for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.binlog.gtid import contains_gtids
from cdc.errors import ConfigError
from cdc.settings.config import load
from cdc.settings.plain import plain_connections
from cdc.settings.source import TlsMode
from cdc.snapshot.replica_reader import fault_of
from cdc.source.server import ServerIdentity

MARIADB = ServerIdentity("mariadb", (10, 11), "10.11-MariaDB", "7", True, True)
MYSQL = ServerIdentity("mysql", (8, 4), "8.4", "3e11fa47-71ca-11e1-9e33-c80aa9429562", True, True)


@pytest.mark.parametrize(
    ("channels", "primary", "fault"),
    [
        ([], MYSQL, "is no replica"),
        ([{"Replicate_Do_DB": ""}], MYSQL, ""),
        ([{"Replicate_Do_DB": ""}, {"Replicate_Wild_Ignore_Table": "shop.log%"}], MYSQL, "replicates only a part"),
        ([{"Replicate_Rewrite_DB": "(shop,other)"}], MYSQL, "Replicate_Rewrite_DB"),
        ([{"Master_Server_Id": "7"}], MARIADB, ""),
        ([{"Master_Server_Id": "8"}, {"Master_Server_Id": "7"}], MARIADB, ""),
        ([{"Master_Server_Id": "8"}], MARIADB, "is no direct replica of server_id 7"),
        ([{"Master_Server_Id": None}], MARIADB, "is no direct replica of server_id 7"),
    ],
)
def test_a_whole_replica_is_told_from_others(
    channels: list[dict[str, object]], primary: ServerIdentity, fault: str
) -> None:
    """A server without replication, with a filter, or with another primary is named as such."""
    found = fault_of(channels, primary)
    assert bool(found) is bool(fault)
    assert fault in found


@pytest.mark.parametrize(
    ("whole", "part", "is_within"),
    [
        ("", "", True),
        ("0-1-5", "", True),
        ("", "0-1-5", False),
        ("0-1-5", "0-1-5", True),
        ("0-1-5", "0-2-6", False),
        ("0-1-5", "0-1-5,1-1-1", False),
        ("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9", "3e11fa47-71ca-11e1-9e33-c80aa9429562:3-9", True),
        ("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9", "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-10", False),
        ("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9", "0-1-5", False),
    ],
)
def test_sets_are_compared_within_one_notation(whole: str, part: str, is_within: bool) -> None:
    """A set of the other make of server is never within a set."""
    assert contains_gtids(whole, part) is is_within


def test_what_is_not_said_of_the_replica_is_taken_from_the_source(tmp_path: Path) -> None:
    """The login as a whole and TLS as a whole: a strict TLS of [source] is not given up in silence."""
    secret = tmp_path / "secret"
    secret.write_text("invented-of-the-replica")
    source = {"user": "shop", "password": "invented", "tls": {"mode": "required"}, "host": "db.example.com"}
    plain = load(None, {"source": source, "history": {"read_from": {"host": "replica.example.com"}}})
    own = load(None, {"source": source, "history": {"read_from": {
        "host": "replica.example.com", "port": 3307, "user": "reader", "password_file": str(secret),
        "tls": {"mode": "disabled"},
    }}})  # fmt: skip

    taken = plain.history.read_from.server(plain.source)
    assert (taken.host, taken.port, taken.user, taken.tls.mode) == (
        "replica.example.com", 3306, "shop", TlsMode.REQUIRED
    )  # fmt: skip
    assert taken.password.get_secret_value() == "invented"

    given = own.history.read_from.server(own.source)
    assert (given.port, given.user, given.tls.mode) == (3307, "reader", TlsMode.DISABLED)
    assert given.password.get_secret_value() == "invented-of-the-replica"
    assert [setting for setting, *_ in plain_connections(own)] == ["history.read_from.tls.mode"]


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ({"port": 3307}, "host is empty; port needs the replica's host"),
        ({"host": "replica.example.com", "password": "invented"}, "password is set and user is empty"),
    ],
)
def test_settings_without_effect_are_refused(section: dict[str, object], fault: str) -> None:
    """Half of a setting would be passed over without a word."""
    with pytest.raises(ConfigError, match=fault):
        load(None, {"history": {"read_from": section}})
