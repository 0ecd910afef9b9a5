"""Objects as text in the state's tables: the references of a message, and the ``blocked_by`` of an outbox entry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import orjson

from cdc.model import KIND_NAMES, KINDS, Kind, ObjectRef, parse_object_id

HELD_DELETE: Final = "circuit_breaker:deletes"
"""``blocked_by`` of a DELETE that the circuit breaker holds."""

_BULK: Final = "bulk:"


class Link(NamedTuple):
    """An object that an accepted message referred to, and the record to which the link was made ("": not known)."""

    ref: ObjectRef
    record_id: str = ""


def bulk_key(kind: Kind) -> str:
    """``blocked_by`` of a DELETE that waits for bulk invalidations of this kind."""
    return f"{_BULK}{kind.value}"


def parse_bulk_key(text: str) -> Kind | None:
    """The kind that a ``bulk_key`` names; None for other texts."""
    return Kind(text.removeprefix(_BULK)) if text.startswith(_BULK) else None


def key_of(ref: ObjectRef) -> str:
    """The object as ``blocked_by`` names it: ``customer:7``."""
    return f"{KIND_NAMES[ref.kind]}:{ref.id}"


def parse_key(text: str) -> ObjectRef | None:
    """The object that a ``blocked_by`` names; None for the circuit breaker and for bulk invalidations."""
    kind, _, object_id = text.partition(":")
    if text == HELD_DELETE or text.startswith(_BULK):
        return None
    return ObjectRef(Kind(kind), parse_object_id(Kind(kind), object_id))


def parse_refs(text: str) -> tuple[ObjectRef, ...]:
    """The objects in ``[["customer", 7]]``, with or without records; none for an empty text."""
    # most objects refer to nothing
    if len(text) <= len("[]"):
        return ()
    return tuple([ObjectRef(KINDS[kind], object_id) for kind, object_id, *_ in orjson.loads(text)])


def dump_refs(refs: Iterable[ObjectRef]) -> str:
    """The text that ``parse_refs`` reads."""
    return orjson.dumps([(KIND_NAMES[ref.kind], ref.id) for ref in refs]).decode()


def parse_links(text: str) -> tuple[Link, ...]:
    """The links in ``[["customer", 7, "901"]]``; none for an empty text."""
    if len(text) <= len("[]"):
        return ()
    return tuple([Link(ObjectRef(KINDS[kind], key), *record) for kind, key, *record in orjson.loads(text)])


def dump_links(links: Iterable[Link]) -> str:
    """The text that ``parse_links`` reads; "" for no links."""
    cells = [(KIND_NAMES[link.ref.kind], link.ref.id, *([link.record_id] if link.record_id else [])) for link in links]
    return orjson.dumps(cells).decode() if cells else ""
