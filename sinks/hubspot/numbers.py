"""Numbers that an answer holds, read without trust. Every number of an answer of HubSpot's comes through here.

An answer may come from anybody between us and HubSpot: digits without end, numbers beyond SQLite's, texts of any
length. What has no place within the bounds is no number at all. Pure.
"""

from __future__ import annotations

import re
from typing import Any, Final

MAX_INTEGER: Final = 2**63 - 1
"""SQLite's largest integer."""

MAX_LIMIT: Final = 10_000_000
"""Far over any quota of HubSpot's, per ten seconds or per day."""

MAX_TEXT: Final = 1000
"""Characters of a text that is kept from an answer: ids and error types are far shorter."""

_DIGITS: Final = re.compile(r"[0-9]{1,19}", re.ASCII)


def whole(value: Any, most: int = MAX_INTEGER) -> int | None:
    """A whole number from 0 to ``most``, given as an integer or as ASCII digits; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    return value if isinstance(value, int) and 0 <= value <= most else None


def text_of(value: Any) -> str:
    """A text or a whole number as text, cut to ``MAX_TEXT`` characters; "" for anything else."""
    if isinstance(value, str):
        return value[:MAX_TEXT]
    number = whole(value)
    return "" if number is None else str(number)
