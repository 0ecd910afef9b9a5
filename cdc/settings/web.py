"""The settings of health, metrics, status and the operator's page. A leaf of the import graph."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr, model_validator

from cdc.settings.section import Port, SettingsSection, read_secret, require_one_word

SHORTEST_TOKEN: Final = 16
"""Characters: a shorter token can be guessed over the network."""


class WebSettings(SettingsSection):
    """Health, metrics, status and the page."""

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 in a container")
    port: Port = Field(8080, description="port to listen on; 0 picks a free one")
    allow_hosts: tuple[str, ...] = Field(
        (),
        description="names by which a browser may reach the page, besides localhost, IP addresses and names without a"
        " dot",
    )
    show_values: bool = Field(False, description="show personal data on the page")
    admin_token: SecretStr = Field(
        SecretStr(""),
        description="who gives it on the page may retry dead letters and release held deletions; empty: nobody may",
    )
    admin_token_file: Path | None = Field(None, description="file that holds it, instead of admin_token")

    @model_validator(mode="after")
    def _complete(self) -> WebSettings:
        # The model is frozen; a secret from a file replaces the empty secret.
        token = read_secret(self.admin_token, self.admin_token_file, "admin_token")
        object.__setattr__(self, "admin_token", token)
        require_one_word(token, "admin_token")
        # Empty is allowed: then nobody may change anything.
        if 0 < len(token.get_secret_value()) < SHORTEST_TOKEN:
            raise ValueError(f"admin_token is shorter than {SHORTEST_TOKEN} characters and could be guessed")
        return self
