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
from cdc.settings.source import TlsMode


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
    if source.kind == "binlog" and not _is_local(source.host):
        if source.tls.mode is TlsMode.DISABLED:
            text = f"customers' data comes from {source.host} without encryption"
            yield PlainConnection("source.tls.mode", text, _DATABASE_FIX)
        # PREFERRED falls back to plain text without a word, also if an attacker removes the offer.
        elif source.tls.mode is TlsMode.PREFERRED:
            text = f"customers' data comes from {source.host} without encryption if that server, or another one in its"
            yield PlainConnection("source.tls.mode", f"{text} place, offers none", _DATABASE_FIX)
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


_DATABASE_FIX = "set source.tls.mode to verify_identity, or to verify_ca with source.tls.ca; at least to required"


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # a name: where it leads is not known here
