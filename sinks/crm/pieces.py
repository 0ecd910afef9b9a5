"""Cuts the inputs of batch calls into pieces within both limits of a call: the number of inputs, and the bytes of the
body.

The bytes are measured, not estimated: a character takes up to four bytes, quotes and line breaks are escaped, and the
account's links and property names add to what the outbox knows. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeVar

import orjson

MAX_INPUTS: Final = 100
"""The most inputs of a batch call that HubSpot accepts."""

NO_REST: Final[Mapping[str, Any]] = MappingProxyType({})

T = TypeVar("T")


def body_of(inputs: Sequence[Any], rest: Mapping[str, Any] = NO_REST) -> dict[str, Any]:
    """A batch call's body: its inputs, and the members beside them."""
    return {"inputs": list(inputs), **rest}


def pieces(
    items: Sequence[T],
    form: Callable[[T], Any],
    max_bytes: int,
    *,
    most: int = MAX_INPUTS,
    rest: Mapping[str, Any] = NO_REST,
) -> Iterator[Sequence[T]]:
    """The items, in order, in pieces of at most ``most``, whose ``body_of`` takes at most ``max_bytes`` each.

    ``form``: an item in the body's form. An item that is too large even alone is a piece of its own: only the receiver
    can tell whether it accepts that.
    """
    empty = len(orjson.dumps(body_of((), rest)))
    start, size = 0, empty
    for at, item in enumerate(items):
        own = len(orjson.dumps(form(item)))
        # Two inputs are parted by a comma.
        if at > start and (at - start >= most or size + 1 + own > max_bytes):
            yield items[start:at]
            start, size = at, empty
        size += own + (at > start)
    if start < len(items):
        yield items[start:]
