"""Every setting: name, type, default, unit and meaning in one place.

A TOML file, the environment (``MAGENTO_CDC__SECTION__KEY``) and command-line flags feed one frozen tree; flags win
over the environment, the environment over the file. ``load`` reports all faults at once, each with its name and its
value (secrets hidden). A leaf of the import graph.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsError

from cdc.errors import ConfigError
from cdc.model import ObjectType, parse_start
from cdc.settings.crm import CrmSettings
from cdc.settings.faults import fault_lines, nearest
from cdc.settings.history import HistorySettings
from cdc.settings.kafka import KafkaSettings
from cdc.settings.layers import laid_over
from cdc.settings.mapping import MappingSettings
from cdc.settings.origins import Origins, in_file, leaves
from cdc.settings.section import SettingsSection, read_secret, require_one_word
from cdc.settings.web import Port, WebSettings

ENV_PREFIX = "MAGENTO_CDC__"
DEFAULT_FILE = "magento-cdc.toml"
FIRST_REQUESTS_PER_10S = 100
"""What every account of HubSpot allows; its answers tell whether this one allows more."""

Seconds = Annotated[float, Field(gt=0)]


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


class SinkSettings(SettingsSection):
    """Where messages go."""

    kind: Literal["crm", "bridge", "jsonl"] = Field(
        "crm",
        description="crm: HubSpot's CRM; bridge: HubSpot's Ecommerce Bridge, removed in 2023; jsonl: lines of JSON",
    )
    api_version: Literal[1, 2] = Field(1, description="bridge: version of its API")
    base_url: str = Field("https://api.hubapi.com", description="scheme, host and port of the API")
    proxy: SecretStr = Field(
        SecretStr(""),
        examples=["http://proxy.internal:3128"],
        description="HTTP proxy that leads to the API, http://[user:password@]host:port; direct: none. Empty: what"
        " HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment say",
    )
    proxy_file: Path | None = Field(None, description="file that holds it, instead of proxy")
    api_key: SecretStr = Field(SecretStr(""), description="bridge: hapikey")
    api_key_file: Path | None = Field(None, description="file that holds it, instead of api_key")
    access_token: SecretStr = Field(
        SecretStr(""), description="crm: service key or private app's token; bridge: bearer token, wins over api_key"
    )
    access_token_file: Path | None = Field(None, description="file that holds it, instead of access_token")
    store_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] = Field(
        "default", description="bridge v2: the store that all messages go into; v1 knows only default"
    )
    store_label: str = Field("Magento", description="bridge v2: what HubSpot shows as the store's name")
    store_admin_uri: str = Field("", description="bridge v2: address of the shop's administration, for a link")
    on_email_change: Literal["leave_out", "send"] = Field(
        "leave_out",
        description="bridge: what follows when a customer changes the email, which the bridge never changes in HubSpot."
        " leave_out: everything else is sent; send: the new email too, which may make a second contact",
    )
    gzip: bool = Field(False, description="bridge: compress what is sent; not every service takes it")
    path: str = Field("-", description="jsonl: file to append to, - for stdout")
    paths: dict[ObjectType, str] = Field(
        default_factory=dict,
        description="bridge v1: another spelling of a type's path segment, e.g. LINE_ITEM = LINEITEM",
    )
    max_batch: Annotated[int, Field(ge=1)] = Field(200, description="messages a request; capped by the sink's limit")
    max_batch_kb: Annotated[int, Field(ge=16)] = Field(1024, description="body of a request at most, KiB as encoded")
    max_delay_ms: Annotated[int, Field(ge=0)] = Field(
        200, description="how long a message may wait for others to share its request, milliseconds"
    )
    max_requests_per_10s: Annotated[int, Field(ge=1)] | None = Field(
        None,
        examples=[100],
        description="requests per 10 s at most; HubSpot's answers may lower it. Default 100 at first, then as many as"
        " the answers allow (bridge: 100)",
    )
    time_zone: str = Field(
        "",
        examples=["Europe/Berlin"],
        description="the HubSpot account's time zone, as an IANA name: a used-up daily limit ends at midnight there."
        " Empty: the zone is not known, and one request is tried once an hour",
    )
    timeout_s: Seconds = Field(30.0, description="one request, from connect to the last byte, seconds")
    judge_poll_s: Seconds = Field(15.0, description="bridge: how often sync-errors are asked for, seconds")
    judge_timeout_s: Seconds = Field(
        3600.0,
        description="bridge: how long a message that was refused for a missing parent waits for that parent, seconds",
    )
    unknown_resend_s: Seconds = Field(
        120.0,
        description="a request that got no answer may still arrive late. So the object is sent once more this long"
        " after it is next accepted, seconds",
    )

    @property
    def requests_per_10s(self) -> int:
        """The upper bound, or what to begin with where none is set."""
        return self.max_requests_per_10s or FIRST_REQUESTS_PER_10S

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        if "@" in value:
            raise ValueError("must not hold a user or password; use api_key or access_token")
        if "?" in value or "#" in value or not urlsplit(value).hostname:
            raise ValueError("is scheme, host and port, with a path at most; a key goes into api_key or access_token")
        return value.rstrip("/")

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        if value and value not in available_timezones():
            raise ValueError("is not in the IANA's list of time zones; write e.g. Europe/Berlin")
        return value

    @field_validator("paths")
    @classmethod
    def _plain_segments(cls, value: dict[ObjectType, str]) -> dict[ObjectType, str]:
        bad = [text for text in value.values() if not text.replace("_", "").replace("-", "").isalnum()]
        if bad:
            raise ValueError(f"a path segment is letters, digits, - and _: {bad[0]!r}")
        return value

    @model_validator(mode="after")
    def _complete(self) -> SinkSettings:
        if self.kind == "bridge" and self.api_version == 1 and self.store_id != "default":
            raise ValueError(f'store_id = "{self.store_id}" needs api_version = 2; version 1 knows only "default"')
        object.__setattr__(self, "proxy", read_secret(self.proxy, self.proxy_file, "proxy"))
        object.__setattr__(self, "api_key", read_secret(self.api_key, self.api_key_file, "api_key"))
        object.__setattr__(self, "access_token", read_secret(self.access_token, self.access_token_file, "access_token"))
        for name, secret in (("api_key", self.api_key), ("access_token", self.access_token), ("proxy", self.proxy)):
            require_one_word(secret, name)
        return self


class StateSettings(SettingsSection):
    """The local state: replica, ledger, outbox, dead letters, position."""

    dir: Path = Field(Path("./state"), description="folder of the state file; needs a disk that keeps fsynced data")


class LogSettings(SettingsSection):
    """Structured logs."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="lines below this level are not written"
    )
    format: Literal["auto", "json", "console"] = Field(
        "auto", description="json: for machines; console: for eyes; auto: console on a terminal, else json"
    )


class ApplySettings(SettingsSection):
    """How transactions are grouped into local commits."""

    max_delay_ms: Annotated[int, Field(ge=0)] = Field(100, description="how long a group may stay open, milliseconds")
    max_rows: Annotated[int, Field(ge=1)] = Field(2000, description="row changes a group")


class DeliverySettings(SettingsSection):
    """The circuit breaker on sending, and shares of the quota."""

    history_share: float = Field(0.1, gt=0, le=1, description="part of the quota for history while live work is ready")
    max_deletes_per_hour: Annotated[int, Field(ge=0)] | None = Field(
        None, examples=[500], description="DELETEs over this are held; default the greater of 500 and 1 % of the ledger"
    )
    max_deletes_share: float = Field(
        0.2, gt=0, le=1, description="DELETEs within an hour are held too from this part of what HubSpot holds, if > 20"
    )
    delete_grace_s: float = Field(
        60.0, ge=0, le=3600, description="DELETEs wait so long; what comes back meanwhile is only compared, seconds"
    )
    max_dead_letters_per_hour: Annotated[int, Field(ge=1)] = Field(1000, description="over this, sending stops")
    max_change_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.2,
        description="a changed [mapping] that would delete or change more than this part of what HubSpot holds waits"
        " for `magento-cdc mapping accept`; 1: it never waits",
    )


class VerifySettings(SettingsSection):
    """The look whether the receiver holds what the shop says."""

    every_h: Annotated[float, Field(ge=0)] = Field(
        0.0,
        description="how often the daemon reads a sample of its records back and compares them, hours; 0: never. Each"
        " sample goes on where the one before ended",
    )


class ShutdownSettings(SettingsSection):
    """How the daemon ends."""

    grace_s: Seconds = Field(25.0, description="SIGTERM to exit, seconds; keep it under the pod's grace period")


class Settings(BaseSettings):
    """The whole tree."""

    model_config = ConfigDict(frozen=True, extra="forbid")  # type: ignore[assignment]  # BaseSettings wants its own dict

    source: SourceSettings = SourceSettings()
    sink: SinkSettings = SinkSettings()
    crm: CrmSettings = CrmSettings()
    kafka: KafkaSettings = KafkaSettings()
    state: StateSettings = StateSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()
    mapping: MappingSettings = MappingSettings()
    history: HistorySettings = HistorySettings()
    apply: ApplySettings = ApplySettings()
    delivery: DeliverySettings = DeliverySettings()
    verify: VerifySettings = VerifySettings()
    shutdown: ShutdownSettings = ShutdownSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags and file come merged as init arguments by ``load``; nothing else is read behind its back."""
        return (init_settings,)


class Loaded(NamedTuple):
    """Settings, and where each was written (``origin_of`` in origins.py). ``file``: the file read; None: none was."""

    settings: Settings
    origins: Origins
    file: Path | None


def load(file: Path | None, flags: Mapping[str, Mapping[str, Any]] | None = None) -> Settings:
    """Read the settings. ``flags``: section → key → value, as given on the command line.

    Without ``file`` the default one is read if it exists. Raises ConfigError with every fault.
    """
    return load_with_origins(file, flags).settings


def load_with_origins(file: Path | None, flags: Mapping[str, Mapping[str, Any]] | None = None) -> Loaded:
    """As ``load``, and where each setting was written."""
    path = file or Path(DEFAULT_FILE)
    is_there = bool(file) or path.exists()
    name = str(path) if is_there else "settings"
    text = _read(path) if is_there else ""
    try:
        tree: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"is not valid TOML: {error}"], source=name) from None
    environment = EnvSettingsSource(
        Settings, env_prefix=ENV_PREFIX, env_nested_delimiter="__", case_sensitive=False, env_parse_none_str="none"
    )
    try:
        overlay: dict[str, Any] = environment()
    except SettingsError as error:
        raise ConfigError([f"environment: {error}"], source="settings") from None
    origins = in_file(text, tree, name)
    origins |= {leaf: f"{ENV_PREFIX}{leaf.replace('.', '__').upper()}" for leaf in leaves(overlay) if leaf}
    origins |= {leaf: f"--set {leaf}" for leaf in leaves(flags or {}) if leaf}
    tree = laid_over(laid_over(tree, overlay), flags or {})
    faults = _unknown_environment()
    try:
        settings = Settings(**tree)
    except ValidationError as error:
        faults.extend(fault_lines(error, Settings, origins))
    if faults:
        raise ConfigError(faults, source="settings")
    return Loaded(settings, origins, path if is_there else None)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        hint = f"name a settings file with --config, or run in a folder that holds {DEFAULT_FILE}"
        raise ConfigError([f"cannot be read: {error.strerror}; {hint}"], source=str(path)) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"is not valid TOML: {error}"], source=str(path)) from None


def _unknown_environment() -> list[str]:
    """Variables with our prefix that name no section (pydantic-settings would ignore them silently)."""
    known = {name.upper() for name in Settings.model_fields}
    faults = []
    for variable in sorted(os.environ):
        # A misspelt section would be ignored, and the default used without a word.
        if variable.upper().startswith(ENV_PREFIX):
            section = variable[len(ENV_PREFIX) :].split("__")[0].upper()
            if section not in known:
                faults.append(f"{variable}: there is no such section{nearest(section, known)}")
    return faults
