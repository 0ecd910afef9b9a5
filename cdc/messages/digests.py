"""Digests of messages: a message whose digest equals the earlier digest need not be sent again.

Also the effects that rendering an object again can have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import orjson

_OF_VALUES: Final = 10
"""Bytes of a digest that are about the properties. A change that goes unnoticed has a chance of 1 in 10^24."""

_OF_REFS: Final = 6
"""Bytes that are about the references."""


def message_digest(
    properties: Mapping[str, str], refs: str, email_name: str, email: bytes, body: bytes | None = None
) -> bytes:
    """The content of a message: 10 bytes for its properties, 6 for its references.

    Empty properties are left out: a message names an empty property only if it was sent with a value before, and
    members of one account may have sent different properties. ``email``: the mark of the address that the sink has or
    gets, b"" without one. It counts even when the address is left out of the message, so leaving it out is not a
    change. ``body``: the properties as ``body_of`` gives them, if they are at hand.
    """
    # Nearly every message names no empty property, and then its body is what counts.
    if body is None or email or "" in properties.values():
        body = body_of({n: value for n, value in properties.items() if value and not (email and n == email_name)})
    values = hashlib.blake2b(body + (b"\0" + email if email else b""), digest_size=_OF_VALUES).digest()
    return values + hashlib.blake2b(refs.encode(), digest_size=_OF_REFS).digest()


def body_of(properties: Mapping[str, str]) -> bytes:
    """The properties as JSON, by name."""
    return orjson.dumps(properties, option=orjson.OPT_SORT_KEYS)


def same_values(one: bytes, two: bytes | None) -> bool:
    """Whether two digests are of messages with the same properties, whatever they refer to."""
    return two is not None and len(one) > _OF_VALUES and one[:_OF_VALUES] == two[:_OF_VALUES]


class Effect(StrEnum):
    """What rendering an object now would change in HubSpot. FAILED: the object
    cannot be rendered, so HubSpot keeps it.
    """

    SAME = "same"
    CHANGED = "changed"
    DELETED = "deleted"
    FAILED = "failed"
