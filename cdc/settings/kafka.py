"""The settings of ``[kafka]``: brokers, topics, security. Both sides use them: ``relay`` writes, members read.

A leaf of the import graph.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from cdc.settings.kafka_values import KafkaValues
from cdc.settings.section import SettingsSection, read_secret

_BROKER = re.compile(r"^(\[[0-9a-fA-F:]+\]|[^\s:/,@]+):\d{1,5}$")
_PREFIX = re.compile(r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,179}$")  # Kafka's names have 249 characters at most

Seconds = Annotated[float, Field(gt=0)]


class KafkaTls(SettingsSection):
    """TLS to the brokers; used with protocol ssl and sasl_ssl."""

    ca: Path | None = Field(None, description="file with the CA certificates to trust; default the system's")
    cert: Path | None = Field(None, description="client certificate file")
    key: Path | None = Field(None, description="client key file")


class KafkaSettings(SettingsSection):
    """The change topics: what `relay` writes and `source.kind = "kafka"` reads."""

    brokers: tuple[str, ...] = Field(("127.0.0.1:9092",), description="host:port of some brokers of the cluster")
    prefix: str = Field("magento", description="what the names of our topics begin with: <prefix>.changes")
    format: Literal["relay", "debezium", "maxwell"] = Field(
        "relay", description="reading: who wrote the topics, magento-cdc relay or another"
    )
    topics: tuple[str, ...] = Field((), description="reading formats debezium and maxwell: the topics to read")
    tables: dict[str, str] = Field(
        default_factory=dict,
        description='reading: the table of a topic whose name does not end in it, e.g. orders = "sales_order"',
    )
    protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        "plaintext", description="how brokers are talked to"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="protocol sasl_*: how to log in"
    )
    user: str = Field("", description="protocol sasl_*: user")
    password: SecretStr = Field(SecretStr(""), description="its password")
    password_file: Path | None = Field(None, description="file that holds the password, instead of password")
    tls: KafkaTls = KafkaTls()
    on_bad_record: Literal["stop", "deadletter"] = Field(
        "stop", description="reading: a record that makes no sense stops the daemon, or is set aside and gone past"
    )
    values: KafkaValues = KafkaValues()
    account: str = Field(
        "",
        description="members: the HubSpot account's name in topics; members of one account share it; default sink.kind",
    )
    transactional_id: str = Field(
        "", description="relay: names the writer, the newest of a name stops the others; default <prefix>.relay"
    )
    max_transaction_mb: Annotated[int, Field(ge=1, le=1024)] = Field(
        16, description="relay: a source transaction of more MB of records is split over several of Kafka's"
    )
    max_record_mb: Annotated[int, Field(ge=1, le=512)] = Field(
        8, description="largest record in MB: relay gives its topic this max.message.bytes"
    )
    compression: Literal["none", "gzip"] = Field("none", description="relay: of the records it writes")
    replication: Annotated[int, Field(ge=1)] = Field(
        3, description="replicas of topics that are made, where there are so many brokers"
    )
    tombstone_days: Annotated[int, Field(ge=7)] = Field(
        7, description="relay: deletions stay in its topic so long; a member that was away longer starts afresh"
    )
    history_rows_per_s: Annotated[int, Field(ge=0)] = Field(
        0, description="relay: upper bound of rows read from the shop for history; 0: none"
    )
    transaction_timeout_s: Seconds = Field(
        60.0, description="relay: brokers undo a transaction that was left open so long"
    )
    request_timeout_s: Seconds = Field(30.0, description="a request to a broker, seconds")
    session_timeout_s: Seconds = Field(10.0, description="members: silent so long, another takes over sending, seconds")

    @field_validator("brokers")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        bad = [broker for broker in value if not _BROKER.match(broker)]
        if bad or not value:
            raise ValueError(f"write host:port, not {bad[0]!r}" if bad else "name at least one broker as host:port")
        return value

    @field_validator("prefix")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not _PREFIX.match(value):
            raise ValueError("a topic's name is letters, digits, '.', '_' and '-', and begins with no '.'")
        return value

    @model_validator(mode="after")
    def _complete(self) -> KafkaSettings:
        object.__setattr__(self, "password", read_secret(self.password, self.password_file, "password"))
        faults = []
        if self.protocol.startswith("sasl") and not (self.user and self.password.get_secret_value()):
            faults.append(f"protocol = {self.protocol!r} needs user and password (or password_file)")
        # A login that is set and not used would go unnoticed until the broker asks for it.
        if not self.protocol.startswith("sasl") and self.user:
            faults.append(f"user is set, and protocol = {self.protocol!r} logs nobody in; sasl_ssl does")
        if (self.tls.cert is None) != (self.tls.key is None):
            faults.append("tls.cert and tls.key go together")
        # The operator expects encryption here, and would not get it.
        if not self.protocol.endswith("ssl") and (self.tls.ca or self.tls.cert):
            faults.append(f"tls is set, and protocol = {self.protocol!r} has none; ssl and sasl_ssl have")
        if self.format != "relay" and not self.topics:
            faults.append(f"topics is empty; format = {self.format!r} needs the topics to read")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def changes_topic(self) -> str:
        """The topic that the relay writes."""
        return f"{self.prefix}.changes"

    @property
    def writer(self) -> str:
        """The relay's transactional id."""
        return self.transactional_id or f"{self.prefix}.relay"
