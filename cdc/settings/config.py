"""All settings as one tree, and reading them. Sections of more than a few settings have modules of their own.

A TOML file, the environment (``MAGENTO_CDC__SECTION__KEY``) and command-line flags feed one frozen tree; flags win
over the environment, the environment over the file. ``load`` reports all faults at once, each with its name and its
value (secrets hidden). A leaf of the import graph.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, cast

from pydantic import Field, ValidationError, model_validator

from cdc.errors import ConfigError
from cdc.settings.crm import CrmSettings
from cdc.settings.faults import fault_lines, nearest
from cdc.settings.history import HistorySettings
from cdc.settings.kafka import KafkaSettings
from cdc.settings.layers import laid_over
from cdc.settings.mapping import MappingSettings
from cdc.settings.names import DEFAULT_FILE, ENV_PREFIX
from cdc.settings.origins import Origins, in_file, leaves
from cdc.settings.section import Seconds, SettingsSection
from cdc.settings.sink import SinkSettings
from cdc.settings.source import SourceSettings
from cdc.settings.web import WebSettings


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


class Settings(SettingsSection):
    """The whole tree."""

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

    @model_validator(mode="after")
    def _knows_carts(self) -> Settings:
        # The bridge would never take them, and they would wait for ever.
        if self.mapping.carts.as_objects and self.sink.kind == "bridge":
            raise ValueError(
                f'mapping.carts.as = "{self.mapping.carts.sent_as}" needs the CRM API: the Ecommerce Bridge has no'
                ' carts. Set sink.kind = "crm", or leave mapping.carts.as at "deal"'
            )
        return self

    @model_validator(mode="after")
    def _holds_all_orders(self) -> Settings:
        # Without an import the state only ever holds the orders that changed: no sum over them would be right.
        asked = bool(self.mapping.contact_switches())
        if asked and self.source.kind == "binlog" and self.source.start != "import":
            raise ValueError(
                "mapping.customer_value and mapping.contact.lifecycle_stage need all orders of a customer, and without"
                ' source.start = "import" only orders that change are read; leave one of the two out'
            )
        return self


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
    overlay = _environment()
    origins = in_file(text, tree, name)
    origins |= {leaf: f"{ENV_PREFIX}{leaf.replace('.', '__').upper()}" for leaf in leaves(overlay) if leaf}
    origins |= {leaf: f"--set {leaf}" for leaf in leaves(flags or {}) if leaf}
    tree = laid_over(laid_over(tree, overlay), flags or {})
    # All faults are reported at once: an operator should not have to start the daemon once for each of them.
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


def _environment() -> dict[str, Any]:
    """Section → key → value, as the environment has them. ConfigError for a variable that is not valid JSON."""
    # The library takes longer to import than a short command runs, and most shells have no variable of ours.
    if not any(name.upper().startswith(ENV_PREFIX) for name in os.environ):
        return {}
    from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError

    source = EnvSettingsSource(
        cast(type[BaseSettings], Settings),  # only its fields are looked at
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        case_sensitive=False,
        env_parse_none_str="none",
    )
    try:
        found: dict[str, Any] = source()
    except SettingsError as error:
        raise ConfigError([f"environment: {error}"], source="settings") from None
    return found


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
