"""The settings of ``[source]``: the server, files or topics from which changes come. A leaf of the import graph."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from cdc.model import parse_start
from cdc.settings.section import Port, Seconds, SettingsSection, read_secret


class TlsMode(StrEnum):
    """How far TLS to the server is asked for (MySQL's --ssl-mode)."""

    DISABLED = "disabled"
    PREFERRED = "preferred"
    REQUIRED = "required"
    VERIFY_CA = "verify_ca"
    VERIFY_IDENTITY = "verify_identity"


class TlsSettings(SettingsSection):
    """TLS to the database server."""

    mode: TlsMode = Field(TlsMode.PREFERRED, description="how far TLS is asked for, as MySQL's --ssl-mode")
    ca: Path | None = Field(None, description="file with the CA certificates to trust")
    cert: Path | None = Field(None, description="client certificate file")
    key: Path | None = Field(None, description="client key file")


class SourceSettings(SettingsSection):
    """Where changes come from."""

    kind: Literal["binlog", "files", "kafka"] = Field(
        "binlog", description="binlog: a live server; files: binlog files; kafka: topics, see [kafka]"
    )
    host: str = Field("127.0.0.1", description="database server")
    port: Port = Field(3306, description="its port")
    user: str = Field(
        "magento_cdc", description="database user; needs REPLICATION SLAVE, REPLICATION CLIENT and SELECT"
    )
    password: SecretStr = Field(SecretStr(""), description="its password")
    password_file: Path | None = Field(None, description="file that holds the password, instead of password")
    database: str = Field("magento", min_length=1, description="the store's database")
    table_prefix: str = Field("", description="db.table_prefix of app/etc/env.php")
    server_id: int = Field(
        4211, ge=1, le=4294967295, description="our id as a replica; must be unique among the server's replicas"
    )
    start: str = Field(
        "import", description="where to begin without state: import, latest, earliest, file:offset or gtid:..."
    )
    on_lost_position: Literal["stop", "repair"] = Field(
        "stop",
        description="when the log no longer holds our position. stop: exit 3; repair: go on where it is now, read all"
        " tables again (kind kafka: the relay's topic) and send what differs",
    )
    on_statement: Literal["stop", "repair"] = Field(
        "stop",
        description="when the log holds a statement that changes mapped rows instead of the rows (binlog_format other"
        " than ROW), or commits an XA transaction prepared before reading began. stop: exit 1; repair: read the tables"
        " again",
    )
    decode_in: Literal["thread", "process"] = Field(
        "thread",
        description="where the log is decoded. thread: in the daemon's process; process: in a process of its own, which"
        " takes some 60 MB more and a second core, and lets a large backlog of the log go faster",
    )
    tls: TlsSettings = TlsSettings()
    files: tuple[str, ...] = Field((), description="kind files: binlog files or globs, read in order")
    heartbeat_s: Seconds = Field(10.0, description="an idle server must send a sign of life this often, seconds")
    connect_timeout_s: Seconds = Field(10.0, description="time to connect and log in, seconds")
    retention_warning_h: Annotated[float, Field(ge=0)] = Field(
        24.0, description="warn when the server purges the log file that is still needed within so many hours"
    )
    unlogged_check_s: Seconds = Field(
        60.0, description="how often a few rows of the shop are compared with the rows from its log, seconds"
    )
    queue_mb: Annotated[int, Field(ge=1)] = Field(32, description="decoded transactions that may wait, MB of memory")
    max_transaction_mb: Annotated[int, Field(ge=1)] = Field(
        16, description="a transaction whose changes take more MB of memory waits in a file in state.dir"
    )

    @field_validator("start")
    @classmethod
    def _start_is_a_position(cls, value: str) -> str:
        parse_start(value)
        return value

    @model_validator(mode="after")
    def _complete(self) -> SourceSettings:
        object.__setattr__(self, "password", read_secret(self.password, self.password_file, "password"))
        if self.kind == "files" and not self.files:
            raise ValueError('files is empty; kind = "files" needs binlog files or globs')
        return self
