"""Remembers the results of pure conversions: prices, quantities and dates of a shop repeat. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Final, TypeVar

from cdc.model import Value

R = TypeVar("R")

KEPT: Final = 2048
"""Results kept per conversion; some 300 KB."""

LONGEST: Final = 40
"""Characters of the longest text whose result is kept: a damaged column may hold megabytes."""


def remembered(convert: Callable[[Value], R]) -> Callable[[Value], R]:
    """``convert``, which must be pure, with the results for the short texts that were met last.

    An error is not remembered. It is raised each time.
    """
    kept = lru_cache(maxsize=KEPT)(convert)

    @wraps(convert)
    def answer(value: Value) -> R:
        # Only texts: for a dictionary 1, 1.0 and true are the same key, and their texts differ.
        if value.__class__ is str and len(value) <= LONGEST:
            return kept(value)
        return convert(value)

    return answer
