"""The settings of ``[sink]``: the receiver, and how much is sent to it at once. A leaf of the import graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import Field, SecretStr, field_validator, model_validator

from cdc.model import ObjectType
from cdc.settings.section import Seconds, SettingsSection, read_secret, require_one_word

FIRST_REQUESTS_PER_10S = 100
"""The calls that every account of HubSpot allows. The answers show whether an account allows more."""


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
