"""Secrets that come from files are read again while the daemon runs: whoever rotates a key replaces its file.

A leaf of the import graph. ``on_new`` is told of each secret that was not known before, so that logs hide it too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydantic import SecretStr

on_new: Final[list[Callable[[str], None]]] = []
"""Called with each secret that a file newly holds, in the thread that read the file."""

_told: set[str] = set()


def fresh(held: SecretStr, path: Path | None) -> str:
    """What the file holds now; what was read at the start if there is no file, or it is unreadable or empty just now.

    A file that is being replaced may be missing for a moment, and that must not make a good secret a bad one.
    """
    text = ""
    if path is not None:
        with contextlib.suppress(OSError, ValueError):
            text = path.read_text(encoding="utf-8").strip()
    if not text or text == held.get_secret_value():
        return held.get_secret_value()
    if text not in _told:
        _told.add(text)
        for tell in on_new:
            tell(text)
    return text
