"""Makes a text of the receiver safe to show in logs, on /status and in /ready. Pure.

A receiver quotes the values that it refuses, and these may be personal data. An operator who needs them reads the dead
letter (``deadletter show``). Every text of a receiver goes through ``public_text`` before it goes anywhere else.
"""

from __future__ import annotations

import re
from typing import Final

from cdc.errors import SinkError

MAX_PUBLIC: Final = 300
"""How many characters of a text are shown."""

_NAME: Final = re.compile(r"[a-z][a-zA-Z]*(?:_[a-z0-9]+)*|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")
"""A property, a code or a scope, in the form in which HubSpot quotes them."""

_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|$)' + r"|(?<!\w)'([^']*)'(?!\w)|`([^`]*)`")
_BEFORE_WAS_NOT: Final = re.compile(r"(?:(?<=: )|(?<=^))[^:]+? (?=(?:was|is) not (?:a valid|one of|valid)\b)")
_NUMBERS: Final = re.compile(r"\+?\d[\d ()/-]{6,}\d")
_EMAIL: Final = re.compile(r"[^\s@\"'<>\[\](),:;=]+@[^\s@\"'<>\[\](),:;=]+")


def public_text(text: str) -> str:
    """The text, shortened, with values, addresses and long numbers blanked."""
    text = _EMAIL.sub("<email>", text)
    text = _QUOTED.sub(_quoted, text)
    text = _BEFORE_WAS_NOT.sub("<value> ", text)
    text = _NUMBERS.sub("<number>", text)
    return text if len(text) <= MAX_PUBLIC else f"{text[: MAX_PUBLIC - 1]}…"


def public_error(error: SinkError) -> str:
    """The public text of an error, followed by our advice, which is never shortened."""
    shown = public_text(error.message)
    return f"{shown}; {error.hint}" if error.hint else shown


def _quoted(found: re.Match[str]) -> str:
    inside = next((group for group in found.groups() if group is not None), "")
    return found[0] if _NAME.fullmatch(inside) else "<value>"
