"""Finds connections to other machines that a third party on the network can read or change. A leaf of the
import graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from cdc.settings.config import Settings
from cdc.settings.kafka import KafkaSettings
from cdc.settings.source import SourceSettings, TlsMode


class PlainConnection(NamedTuple):
    """One such connection: the setting that causes it, the effect, and the fix."""

    setting: str
    text: str
    fix: str


def plain_connections(settings: Settings) -> Iterator[PlainConnection]:
    """The plain connections that these settings make. Connections within this machine are safe, and never
    among them.
    """
    source, sink, kafka = settings.source, settings.sink, settings.kafka
    if source.kind == "binlog":
        yield from _of_server("source.tls.mode", source)
        if settings.history.read_from.host:
            yield from _of_server("history.read_from.tls.mode", settings.history.read_from.server(source))
    address = urlsplit(sink.base_url)
    if sink.kind != "jsonl" and address.scheme == "http" and not _is_local(address.hostname or ""):
        text = f"the key and customers' data go to {address.hostname} without encryption"
        yield PlainConnection("sink.base_url", text, "write https://")
    # A relay uses these settings too, whatever its source is.
    is_used = source.kind == "kafka" or kafka != KafkaSettings()
    far = [broker for broker in kafka.brokers if not _is_local(broker.rpartition(":")[0].strip("[]"))]
    if is_used and far and kafka.protocol.endswith("plaintext"):
        text = f"customers' data passes between here and {far[0]} without encryption"
        yield PlainConnection("kafka.protocol", text, "set kafka.protocol to ssl or sasl_ssl")


def _of_server(setting: str, server: SourceSettings) -> Iterator[PlainConnection]:
    """The connection to a database server. ``setting``: where its TLS is set."""
    if _is_local(server.host):
        return
    fix = f"set {setting} to verify_identity, or to verify_ca with the server's CA beside it; at least to required"
    text = f"customers' data comes from {server.host} without encryption"
    if server.tls.mode is TlsMode.DISABLED:
        yield PlainConnection(setting, text, fix)
    # PREFERRED falls back to plain text without a word, also if an attacker removes the offer.
    elif server.tls.mode is TlsMode.PREFERRED:
        yield PlainConnection(setting, f"{text} if that server, or another one in its place, offers none", fix)


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # a name: where it leads is not known here
