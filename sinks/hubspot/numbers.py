"""Reads numbers of an answer with care. Every number in an answer of HubSpot is read here.

An answer may come from any machine between us and HubSpot: with endless digits, numbers beyond SQLite's, texts of any
length. A value outside the bounds counts as no number. Pure.
"""

from __future__ import annotations

import re
from typing import Any, Final

MAX_INTEGER: Final = 2**63 - 1
"""SQLite's largest integer."""

MAX_LIMIT: Final = 10_000_000
"""Far above any quota of HubSpot, per ten seconds or per day."""

MAX_TEXT: Final = 1000
"""Characters kept of an answer's text: ids and error types are far shorter."""

_DIGITS: Final = re.compile(r"[0-9]{1,19}", re.ASCII)


def whole(value: Any, most: int = MAX_INTEGER) -> int | None:
    """A whole number from 0 to ``most``, given as an integer or as ASCII digits; None for any other value."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    return value if isinstance(value, int) and 0 <= value <= most else None


def text_of(value: Any) -> str:
    """A text, or a whole number as text, cut to ``MAX_TEXT`` characters; "" for any other value."""
    if isinstance(value, str):
        return value[:MAX_TEXT]
    number = whole(value)
    return "" if number is None else str(number)
