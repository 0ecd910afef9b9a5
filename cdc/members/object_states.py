"""Object states as bytes, for the receipts topic. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from cdc.members.handover import ObjectState
from cdc.model import Kind, ObjectRef


def pack_state(state: ObjectState) -> bytes:
    """The state without its object, which the record's key names. Hashes as hex."""
    return orjson.dumps(
        {
            "accepted": state.accepted.hex() if state.accepted is not None else None,
            "accepted_at": state.accepted_at,
            "deleted": state.is_deleted,
            "refs": [tuple(ref) for ref in state.refs],
            "rendered": state.rendered.hex() if state.rendered is not None else None,
            "ever": state.ever,
            "bare": [tuple(ref) for ref in state.bare],
            "letter": state.letter,
            "orphan": state.orphan,
            "position": state.position,
            "email": state.email.hex(),
            "email_at": state.email_at,
            "record_id": state.record_id,
        }
    )


def unpack_state(ref: ObjectRef, value: bytes) -> ObjectState:
    """Raises ValueError, KeyError or TypeError for bytes that ``pack_state`` did not make."""
    found: dict[str, Any] = orjson.loads(value)
    return ObjectState(
        ref,
        bytes.fromhex(found["accepted"]) if found["accepted"] is not None else None,
        int(found["accepted_at"]),
        bool(found["deleted"]),
        _refs(found["refs"]),
        bytes.fromhex(found["rendered"]) if found["rendered"] is not None else None,
        tuple(found["ever"]),
        _refs(found["bare"]),
        tuple(found["letter"]) if found["letter"] is not None else None,
        tuple(found["orphan"]) if found["orphan"] is not None else None,
        str(found["position"]),
        bytes.fromhex(found["email"]),
        int(found["email_at"]),
        str(found["record_id"]),
    )


def _refs(pairs: list[list[Any]]) -> tuple[ObjectRef, ...]:
    return tuple(ObjectRef(Kind(kind), identity) for kind, identity in pairs)
