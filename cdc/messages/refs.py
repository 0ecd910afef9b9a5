"""Objects as text in the state's tables: the references of a message, and the ``blocked_by`` of an outbox entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from cdc.model import KIND_NAMES, OBJECTS, Kind, ObjectRef, parse_object_id

HELD_DELETE: Final = "circuit_breaker:deletes"
"""``blocked_by`` of a DELETE that the circuit breaker holds."""

_BULK: Final = "bulk:"

LETTERS: Final[Mapping[Kind, str]] = {
    Kind.CUSTOMER: "c", Kind.GUEST: "g", Kind.PRODUCT: "p", Kind.ORDER: "o", Kind.ITEM: "i", Kind.CART: "q",
    Kind.CART_OBJECT: "Q", Kind.CART_ITEM: "I",
}  # fmt: skip
"""The kinds in lists of references, of which the state has millions."""

_KINDS: Final[Mapping[str, Kind]] = {letter: kind for kind, letter in LETTERS.items()}
_HASHED: Final = frozenset(kind for kind, facts in OBJECTS.items() if facts.has_hash_id)


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
    """The objects in ``o7= p12=``, with or without records; none for an empty text."""
    # most objects refer to nothing
    if not text:
        return ()
    return tuple([_object(part.partition("=")[0]) for part in text.split(" ")])


def dump_refs(refs: Iterable[ObjectRef]) -> str:
    """The text that ``parse_refs`` reads."""
    return " ".join([f"{LETTERS[ref.kind]}{ref.id}=" for ref in refs])


def parse_links(text: str) -> tuple[Link, ...]:
    """The links in ``o7=901 p12=``; none for an empty text."""
    if not text:
        return ()
    parts = [part.partition("=") for part in text.split(" ")]
    return tuple([Link(_object(key), unquote(record) if "%" in record else record) for key, _, record in parts])


def dump_links(links: Iterable[Link]) -> str:
    """The text that ``parse_links`` reads; "" for no links."""
    return " ".join([f"{LETTERS[link.ref.kind]}{link.ref.id}={_record(link.record_id)}" for link in links])


def _object(key: str) -> ObjectRef:
    kind = _KINDS[key[0]]
    return ObjectRef(kind, key[1:] if kind in _HASHED else int(key[1:]))


def _record(record_id: str) -> str:
    # Receivers choose their ids, and a space or "=" in an id would end it here.
    return record_id if record_id.isalnum() else quote(record_id, safe="")
