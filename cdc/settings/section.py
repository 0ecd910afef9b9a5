"""The base of every table of the settings file: it is frozen, and unknown keys are faults. Also reads secrets.

A leaf of the import graph.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Seconds = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]


class SettingsSection(BaseModel):
    """One table of the settings file; unknown keys are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=False)


def read_secret(value: SecretStr, path: Path | None, name: str) -> SecretStr:
    """The secret, or the text of its file. Raises ValueError if both are set or the file is unreadable."""
    if path is None:
        return value
    if value.get_secret_value():
        raise ValueError(f"{name} and {name}_file are both set; keep one")
    try:
        return SecretStr(path.read_text(encoding="utf-8").strip())
    except (OSError, ValueError) as error:  # ValueError: no text inside, or no name that a file may have
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ValueError(f"{name}_file {_shown(path)}cannot be read: {reason}") from None


def _shown(path: Path) -> str:
    """The path if its folder exists; else "", as the text may be the secret itself in the wrong setting."""
    return f"{str(path)!r} " if path.is_absolute() and path.parent != Path("/") and path.parent.is_dir() else ""


def require_one_word(value: SecretStr, name: str) -> None:
    """Raises ValueError, without the value, for a secret that is not allowed in an HTTP header or a URL."""
    text = value.get_secret_value()
    if "\n" in text or "\r" in text:
        raise ValueError(f"{name} holds a line break; it was copied with more than the secret itself")
    if any(letter.isspace() or not letter.isprintable() for letter in text):
        raise ValueError(f"{name} holds a blank or an unprintable character; copy the secret alone")
