"""The records of the receipts topic: object states by key, and who leads. Pure.

Key ``<kind>/<id>``; value a JSON object, hashes in hex. ``detail`` is HubSpot's text about a refused message. It may
quote the message's values; the topic of changes holds these values anyway.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import orjson

from cdc.kafka.foreign import BadRecordError, parse_json
from cdc.model import Kind, ObjectRef, parse_object_id
from cdc.settings.config import Settings

LEADER: Final = b"leader"
MOST: Final = 1 << 63
"""SQLite's integers are below this number."""


def receipts_topic(settings: Settings) -> str:
    """The topic by which members of this HubSpot account share what was accepted."""
    return f"{settings.kafka.prefix}.receipts.{settings.kafka.account or settings.sink.kind}"


class Leader(NamedTuple):
    """The leader: the member's id, how many members led before
    (``generation``), and the mapping by which it renders.
    """

    member: str
    generation: int
    mapping: str


def leader_value(leader: Leader) -> bytes:
    """The value of the record with the key ``LEADER``."""
    return orjson.dumps(leader._asdict())


def read_leader(value: bytes) -> Leader:
    """The leader from the record's value. Raises BadRecordError."""
    found = parse_json(value, "value")
    try:
        leader = Leader(text_of(found["member"]), number_of(found["generation"]), text_of(found["mapping"]))
        number_of(leader.generation + 1)  # the next leader's
        return leader
    except (KeyError, TypeError, ValueError) as error:
        raise BadRecordError("it names no leader") from error


def object_key(ref: ObjectRef) -> bytes:
    """The key of an object's state."""
    return f"{ref.kind.value}/{ref.id}".encode()


def number_of(value: object) -> int:
    """A number that fits into the state. Raises ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < MOST:
        raise ValueError("a number was expected")
    return value


def text_of(value: object) -> str:
    """The value, which must be text. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("text was expected")
    return value


def read_key(key: bytes | None) -> ObjectRef:
    """The object from a record's key. Raises BadRecordError."""
    kind, _, identity = (key or b"").decode("utf-8", "replace").partition("/")
    try:
        ref = ObjectRef(Kind(kind), parse_object_id(Kind(kind), identity[:40]))
        if isinstance(ref.id, int):
            number_of(ref.id)
        return ref
    except ValueError as error:
        raise BadRecordError("its key names no object") from error
