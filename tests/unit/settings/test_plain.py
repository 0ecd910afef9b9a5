"""Connections that others can read are named; those within the machine are not."""

from __future__ import annotations

import pytest

from cdc.settings.config import load
from cdc.settings.plain import plain_connections


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        pytest.param({}, [], id="defaults: the database is on this machine"),
        pytest.param({"source": {"host": "db.internal"}}, ["source.tls.mode"], id="preferred may be plain"),
        pytest.param({"source": {"host": "10.0.0.5", "tls": {"mode": "disabled"}}}, ["source.tls.mode"], id="disabled"),
        pytest.param({"source": {"host": "db.internal", "tls": {"mode": "required"}}}, [], id="required"),
        pytest.param({"source": {"host": "localhost", "tls": {"mode": "disabled"}}}, [], id="this machine"),
        pytest.param({"source": {"host": "::1"}}, [], id="this machine, IPv6"),
        pytest.param({"sink": {"base_url": "http://bridge.internal:8090"}}, ["sink.base_url"], id="http"),
        pytest.param({"sink": {"base_url": "http://127.0.0.1:8090"}}, [], id="the sandbox"),
        pytest.param({"sink": {"base_url": "http://bridge.internal", "kind": "jsonl"}}, [], id="not called at all"),
        pytest.param({"kafka": {"brokers": ["kafka-1.internal:9092"]}}, ["kafka.protocol"], id="Kafka"),
        pytest.param({"kafka": {"brokers": ["[::1]:9092"], "prefix": "x"}}, [], id="Kafka on this machine"),
        pytest.param(
            {"kafka": {"brokers": ["k:9092"], "protocol": "sasl_plaintext", "user": "u", "password": "p"}},
            ["kafka.protocol"],
            id="Kafka, with a login in the clear",
        ),
        pytest.param({"kafka": {"brokers": ["k:9092"], "protocol": "ssl"}}, [], id="Kafka inside TLS"),
    ],
)
def test_connections_that_others_can_read_are_named(sections: dict[str, dict[str, object]], named: list[str]) -> None:
    """By the setting that makes them so, with what mends it; nothing is said where nobody is in between."""
    found = list(plain_connections(load(None, sections)))

    assert [connection.setting for connection in found] == named
    assert all(connection.text and connection.fix for connection in found)
