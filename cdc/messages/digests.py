"""What an object is to be in the receiver, as 16 bytes: equal digests are messages that need not be sent again.

And what rendering an object anew would change there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum

import orjson


def message_digest(properties: Mapping[str, str], refs: bytes, email_name: str, email: bytes) -> bytes:
    """What the object is to be, as 16 bytes. Emptied properties are left out: which ones a message has to name hangs on
    what was sent before, and that members of one account need not have seen alike. ``email``: mark of the address that
    the sink has or gets, whether it is sent now or not, so that leaving one out is no change; b"" without one.
    """
    held = {name: value for name, value in properties.items() if value and not (email and name == email_name)}
    body = orjson.dumps(held, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(body + b"\0" + refs + (b"\0" + email if email else b""), digest_size=16).digest()


class Effect(StrEnum):
    """What rendering an object now would change in HubSpot. FAILED: it cannot be rendered, so HubSpot keeps it."""

    SAME = "same"
    CHANGED = "changed"
    DELETED = "deleted"
    FAILED = "failed"
