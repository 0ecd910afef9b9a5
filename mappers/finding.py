"""Finds the objects that a person means: by our id, an order's number, a SKU or an email address. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from cdc.model import OBJECT_TYPE, OBJECTS, Kind, ObjectRef, parse_external_id
from mappers.guests import ID_DIGITS, guest_id
from mappers.objects.registry import DESCRIPTORS


def _words() -> dict[str, tuple[Kind, ...]]:
    found: dict[str, tuple[Kind, ...]] = {}
    for kind, object_type in OBJECT_TYPE.items():
        for word in dict.fromkeys((object_type.value.lower(), kind.value)):
            found[word] = (*found.get(word, ()), kind)
    return found


WORDS: Final[Mapping[str, tuple[Kind, ...]]] = _words()
"""The words for an object (``contact``, ``guest``, ``deal``, ``order``), and the kinds that each word means."""


class NamedRows(Protocol):
    """The part of the replica that looks up names."""

    def find_any_case(self, table: str, column: str, value: str) -> Sequence[Mapping[str, Any]]:
        """The rows with this value; if there are none, the rows with it in another case."""
        ...


def split_names(words: Sequence[str]) -> list[tuple[str, str]]:
    """(word for the kind or "", name) of each object in the words: ``order 42`` is two words, ``order-42`` is one.

    ValueError for a word for a kind without a name behind it.
    """
    found = []
    rest = iter(words)
    for word in rest:
        if word.lower() not in WORDS:
            found.append(("", word))
            continue
        name = next(rest, None)
        if name is None:
            raise ValueError(f"{word}: which one? write e.g. {word} 42")
        found.append((word.lower(), name))
    return found


def find_objects(word: str, text: str, rows: NamedRows, namespace: str) -> list[ObjectRef]:
    """The objects that ``text`` may name, those found by name first. Whether they exist is not checked.

    ``word`` is one of ``WORDS``, or "". With "" the text is our id, ``#`` and an order's number, an email address, a
    SKU or an order's number. One text may name several objects: a SKU that is another product's id, or the email of a
    customer who also bought as a guest.
    """
    text = text.strip()
    ref = _by_our_id(text, namespace)
    if ref is not None:
        return [ref] if not word or ref.kind in WORDS[word] else []
    if text.startswith("#"):  # as HubSpot and Magento's own pages show an order
        return find_objects(word or "order", text[1:], rows, namespace)
    if not word:
        kinds = WORDS["contact"] if "@" in text else (*WORDS["order"], *WORDS["product"])
        return list(dict.fromkeys(ref for kind in kinds for ref in _by_name(kind, text, rows)))
    found = dict.fromkeys(ref for kind in WORDS[word] for ref in _by_name(kind, text, rows))
    for kind in WORDS[word]:
        # Nineteen digits might not fit into the state's integers.
        if not OBJECTS[kind].has_hash_id and text.isdecimal() and text.isascii() and len(text) < 19:
            found[ObjectRef(kind, int(text))] = None
    return list(found)


def _by_our_id(text: str, namespace: str) -> ObjectRef | None:
    try:
        return parse_external_id(text, namespace)
    except ValueError:
        return None


def _by_name(kind: Kind, text: str, rows: NamedRows) -> Iterator[ObjectRef]:
    if OBJECTS[kind].has_hash_id:  # a hash of the email address, which no row tells
        known = text if re.fullmatch(rf"[0-9a-f]{{{ID_DIGITS}}}", text) else guest_id(text) if "@" in text else None
        if known:
            yield ObjectRef(kind, known)
    names = DESCRIPTORS[kind].name
    if names is None:
        return
    table, column, id_column = names
    for row in rows.find_any_case(table, column, text):
        identity = row[id_column]
        if isinstance(identity, int):
            yield ObjectRef(kind, identity)
