"""Which settings a running daemon can change, and which changes of a file need a restart. Pure; a leaf of the import
graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from cdc.settings.config import Settings
from cdc.settings.documentation import fields, value_of

CHANGEABLE: Final = frozenset(
    {
        "log.level",
        "log.format",
        "delivery.history_share",
        "delivery.max_deletes_per_hour",
        "delivery.max_deletes_share",
        "delivery.delete_grace_s",
        "delivery.max_dead_letters_per_hour",
        "sink.max_requests_per_10s",
        "sink.max_batch",
        "sink.max_batch_kb",
        "sink.max_delay_ms",
        "sink.judge_poll_s",
        "sink.judge_timeout_s",
        "sink.unknown_resend_s",
        "sink.time_zone",
        "shutdown.grace_s",
    }
)
"""Settings that are looked up at each use. All other settings are used once, at the start."""

_FOLLOWED: Final = frozenset(
    {
        "source.password",
        "history.read_from.password",
        "sink.access_token",
        "sink.api_key",
        "web.admin_token",
        "kafka.password",
    }
)
"""Secrets that are read again from their files when they are used or refused (secret_files.py)."""


class Reload(NamedTuple):
    """``settings``: the settings from now on. The names that ``changed``, and those that ``need_restart``."""

    settings: Settings
    changed: Sequence[str]
    need_restart: Sequence[str]


def merge(held: Settings, asked: Settings) -> Reload:
    """Take the changes that are possible while the daemon runs, and name the rest."""
    differing = [name for name, _ in fields() if value_of(held, name) != value_of(asked, name)]
    changed = [name for name in differing if name in CHANGEABLE]
    rest = [name for name in differing if name not in CHANGEABLE and not _is_followed(name, held, asked)]
    settings = held
    for name in changed:
        section, key = name.split(".")
        part = getattr(settings, section).model_copy(update={key: value_of(asked, name)})
        settings = settings.model_copy(update={section: part})
    return Reload(settings, changed, rest)


def _is_followed(name: str, held: Settings, asked: Settings) -> bool:
    """Whether the secret's new value comes from the same file as the old one."""
    path = value_of(asked, f"{name}_file") if name in _FOLLOWED else None
    return path is not None and path == value_of(held, f"{name}_file")
