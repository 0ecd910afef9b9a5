"""The settings of ``[history.read_from]``: a replica from which whole tables are read. A leaf of the import graph."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, model_validator

from cdc.settings.section import Port, SettingsSection, read_secret
from cdc.settings.source import SourceSettings, TlsSettings


class ReadFromSettings(SettingsSection):
    """A replica of the shop's server that whole tables are read from, so that the shop's server is spared."""

    host: str = Field(
        "", description="a replica with GTIDs; the first load and repairs read whole tables from it. Empty: source.host"
    )
    port: Port = Field(3306, description="its port")
    user: str = Field("", description="its user; empty: user and password of [source]")
    password: SecretStr = Field(SecretStr(""), description="that user's password")
    password_file: Path | None = Field(None, description="file that holds the password, instead of password")
    tls: TlsSettings = TlsSettings()

    @model_validator(mode="after")
    def _complete(self) -> ReadFromSettings:
        object.__setattr__(self, "password", read_secret(self.password, self.password_file, "password"))
        # Without a host nothing of this section has an effect, and nothing would say so.
        if not self.host and self.model_fields_set - {"host"}:
            raise ValueError(f"host is empty; {sorted(self.model_fields_set - {'host'})[0]} needs the replica's host")
        if self.password.get_secret_value() and not self.user:
            raise ValueError("password is set and user is empty; without user, the login of [source] is used")
        return self

    def server(self, source: SourceSettings) -> SourceSettings:
        """The replica as a server to connect to. What is not set here is taken from ``source``: the login as a whole,
        and ``tls`` as a whole.
        """
        place: dict[str, object] = {"host": self.host, "port": self.port}
        if self.user:
            place |= {"user": self.user, "password": self.password, "password_file": self.password_file}
        # A stricter TLS of [source] must not be given up because nothing is said here.
        if "tls" in self.model_fields_set:
            place["tls"] = self.tls
        return source.model_copy(update=place)
