"""Reads secrets from their files again while the daemon runs: an operator rotates a key by replacing its file.

A leaf of the import graph. ``on_new`` is called with each new secret, so that logs hide it too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydantic import SecretStr

on_new: Final[list[Callable[[str], None]]] = []
"""Called with each new secret in a file, in the thread that read the file."""

_known: set[str] = set()


def fresh(held: SecretStr, path: Path | None) -> str:
    """The secret in the file now. If there is no file, or it is unreadable or empty, the secret that was read at the
    start.

    A file that is being replaced may be missing for a moment. That must not turn a good secret into a bad one.
    """
    text = ""
    if path is not None:
        with contextlib.suppress(OSError, ValueError):
            text = path.read_text(encoding="utf-8").strip()
    if not text or text == held.get_secret_value():
        return held.get_secret_value()
    if text not in _known:
        _known.add(text)
        for tell in on_new:
            tell(text)
    return text
