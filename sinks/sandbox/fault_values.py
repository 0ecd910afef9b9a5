"""Values of a fault that a test sets, the same for both of HubSpot's APIs. Each raises ValueError for a wrong value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def whole(spec: Mapping[str, Any], name: str, default: int) -> int:
    """A whole number of 0 or more."""
    value = spec.get(name, default)
    # True is an int, too
    if type(value) is not int or value < 0:
        raise ValueError(f"{name} is a whole number")
    return value


def probability(spec: Mapping[str, Any]) -> float:
    """The part of the calls that the fault hits: over 0, up to 1."""
    value = spec.get("rate", 1.0)
    # a fault that never hits would be a test that checks nothing
    if type(value) not in (int, float) or not 0 < value <= 1:
        raise ValueError("rate is a probability over 0, up to 1")
    return float(value)
