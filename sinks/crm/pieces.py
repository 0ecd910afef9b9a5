"""Inputs of batch calls in pieces that keep both limits of a call: a number of inputs, and bytes of the body.

The bytes are measured, not estimated: a letter takes up to four bytes, quotes and line breaks are escaped, and links
and property names of the account come on top of what the outbox knows. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeVar

import orjson

MAX_INPUTS: Final = 100
"""Inputs of a batch call that HubSpot takes."""

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
    """The items, in order, in pieces of at most ``most``, each of whose ``body_of`` takes at most ``max_bytes``.

    ``form``: an item as the body holds it. An item whose body is larger even alone is a piece of its own: only the
    receiver can tell whether it takes that.
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
