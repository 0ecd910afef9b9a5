"""Object states as bytes, for the receipts topic. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from cdc.kafka.foreign import BadRecordError
from cdc.members.handover import ObjectState
from cdc.members.records import number_of, read_key, text_of
from cdc.messages.refs import Link
from cdc.model import ObjectRef


def pack_state(state: ObjectState) -> bytes:
    """The state without its object, which the record's key names. Hashes as hex."""
    return orjson.dumps(
        {
            "accepted": state.accepted.hex() if state.accepted is not None else None,
            "accepted_at": state.accepted_at,
            "deleted": state.is_deleted,
            "links": [(*link.ref, link.record_id) for link in state.links],
            "rendered": state.rendered.hex() if state.rendered is not None else None,
            "ever": state.ever,
            "missing": [tuple(ref) for ref in state.missing],
            "letter": state.letter,
            "waiting": state.waiting,
            "position": state.position,
            "email": state.email.hex(),
            "email_at": state.email_at,
            "record_id": state.record_id,
            "address": state.address.hex(),
        }
    )


def unpack_state(ref: ObjectRef, value: bytes | None) -> ObjectState:
    """The state from its bytes. Raises BadRecordError for bytes that
    ``pack_state`` did not make; nothing of them is used.
    """
    try:
        found = orjson.loads(value or b"")
        return ObjectState(
            ref,
            _hash(found["accepted"]),
            number_of(found["accepted_at"]),
            bool(found["deleted"]),
            tuple(Link(_ref(kind, key), text_of(record)) for kind, key, record in found["links"]),
            _hash(found["rendered"]),
            tuple(map(text_of, found["ever"])),
            _refs(found["missing"]),
            _fields(found["letter"], (text_of, number_of, number_of, text_of, text_of, text_of)),
            _fields(found["waiting"], (number_of, number_of, text_of, text_of)),
            text_of(found["position"]),
            bytes.fromhex(found["email"]),
            number_of(found["email_at"]),
            text_of(found["record_id"]),
            bytes.fromhex(found["address"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadRecordError(f"it tells no state of an object ({type(error).__name__})") from error


def _hash(text: str | None) -> bytes | None:
    return bytes.fromhex(text) if text is not None else None


def _fields(values: Any, kinds: Sequence[Callable[[Any], Any]]) -> tuple[Any, ...] | None:
    return None if values is None else tuple(kind(value) for kind, value in zip(kinds, values, strict=True))


def _refs(pairs: list[list[Any]]) -> tuple[ObjectRef, ...]:
    return tuple(_ref(kind, identity) for kind, identity in pairs)


def _ref(kind: Any, identity: Any) -> ObjectRef:
    return read_key(f"{kind}/{identity}".encode())
