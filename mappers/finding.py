"""Which objects a person means: by our id, an order's number, a SKU or an email address. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cdc.model import Kind, ObjectRef, parse_external_id
from cdc.protocols import RowReader
from mappers.guests import ID_DIGITS, guest_id

WORDS: Final[Mapping[str, tuple[Kind, ...]]] = {
    "contact": (Kind.CUSTOMER, Kind.GUEST),
    "customer": (Kind.CUSTOMER,),
    "guest": (Kind.GUEST,),
    "product": (Kind.PRODUCT,),
    "deal": (Kind.ORDER,),
    "order": (Kind.ORDER,),
    "line_item": (Kind.ITEM,),
    "item": (Kind.ITEM,),
}
"""What may be typed for an object, and the kinds it stands for."""

NAMES: Final[Mapping[Kind, tuple[str, str, str]]] = {
    Kind.CUSTOMER: ("customer_entity", "email", "entity_id"),
    Kind.PRODUCT: ("catalog_product_entity", "sku", "entity_id"),
    Kind.ORDER: ("sales_order", "increment_id", "entity_id"),
    Kind.ITEM: ("sales_order_item", "sku", "item_id"),
}
"""Table, the column with the name that people know an object by, and the column with its id."""


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
        if kind is Kind.GUEST:
            known = text if re.fullmatch(rf"[0-9a-f]{{{ID_DIGITS}}}", text) else guest_id(text) if "@" in text else None
            if known:
                found[ObjectRef(kind, known)] = None
            continue
        table, column, id_column = NAMES[kind]
        for name in dict.fromkeys((text, text.lower())):
            for row in rows.find(table, column, name):
                identity = row[id_column]
                if isinstance(identity, int):
                    found[ObjectRef(kind, identity)] = None
    for kind in kinds:
        if kind is not Kind.GUEST and text.isdecimal() and text.isascii() and len(text) < 19:
            found[ObjectRef(kind, int(text))] = None
    return list(found)
