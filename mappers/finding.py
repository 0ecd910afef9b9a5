"""Which objects a person means: by our id, an order's number, a SKU or an email address. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cdc.model import OBJECT_TYPE, OBJECTS, Kind, ObjectRef, parse_external_id
from cdc.protocols import RowReader
from mappers.guests import ID_DIGITS, guest_id
from mappers.objects.registry import DESCRIPTORS


def _words() -> dict[str, tuple[Kind, ...]]:
    found: dict[str, tuple[Kind, ...]] = {}
    for kind, object_type in OBJECT_TYPE.items():
        for word in dict.fromkeys((object_type.value.lower(), kind.value)):
            found[word] = (*found.get(word, ()), kind)
    return found


WORDS: Final[Mapping[str, tuple[Kind, ...]]] = _words()
"""What may be typed for an object (``contact``, ``guest``, ``deal``, ``order``), and the kinds that it stands for."""


def find_objects(word: str, text: str, rows: RowReader, namespace: str) -> list[ObjectRef]:
    """The objects that ``text`` may name, those found by name first; whether they exist is not asked.

    ``word`` is one of ``WORDS``. One text may name several: a SKU that is another product's id, an email of a customer
    who also bought as a guest. ``rows.find`` reads through a whole table where the column has no index.
    """
    text = text.strip()
    kinds = WORDS[word]
    found: dict[ObjectRef, None] = {}
    try:
        ref = parse_external_id(text, namespace)
    except ValueError:
        pass
    else:
        return [ref] if ref.kind in kinds else []
    for kind in kinds:
        if OBJECTS[kind].has_hash_id:  # a hash of the email address, which no row tells
            known = text if re.fullmatch(rf"[0-9a-f]{{{ID_DIGITS}}}", text) else guest_id(text) if "@" in text else None
            if known:
                found[ObjectRef(kind, known)] = None
        names = DESCRIPTORS[kind].name
        if names is None:
            continue
        table, column, id_column = names
        for name in dict.fromkeys((text, text.lower())):
            for row in rows.find(table, column, name):
                identity = row[id_column]
                if isinstance(identity, int):
                    found[ObjectRef(kind, identity)] = None
    for kind in kinds:
        if not OBJECTS[kind].has_hash_id and text.isdecimal() and text.isascii() and len(text) < 19:
            found[ObjectRef(kind, int(text))] = None
    return list(found)
