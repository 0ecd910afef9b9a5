"""Digests of messages: a message whose digest equals the earlier digest need not be sent again.

Also the effects that rendering an object again can have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum

import orjson


def message_digest(properties: Mapping[str, str], refs: bytes, email_name: str, email: bytes) -> bytes:
    """The content of a message as 16 bytes.

    Empty properties are left out: a message names an empty property only if it was sent with a value before, and
    members of one account may have sent different properties. ``email``: the mark of the address that the sink has or
    gets, b"" without one. It counts even when the address is left out of the message, so leaving it out is not a
    change.
    """
    held = {name: value for name, value in properties.items() if value and not (email and name == email_name)}
    body = orjson.dumps(held, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(body + b"\0" + refs + (b"\0" + email if email else b""), digest_size=16).digest()


class Effect(StrEnum):
    """What rendering an object now would change in HubSpot. FAILED: the object
    cannot be rendered, so HubSpot keeps it.
    """

    SAME = "same"
    CHANGED = "changed"
    DELETED = "deleted"
    FAILED = "failed"
