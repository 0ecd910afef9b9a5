"""Reads from ``sales_order_item.product_options`` how a line is priced and how it ships.

Pure. The text is JSON since Magento 2.2 and PHP's serialisation before. The text may be very long and holds the
shopper's own texts, so only two small numbers of it are kept.
"""

from __future__ import annotations

import re
from typing import Final

import orjson

from cdc.model import Value

PRICED_BY_CHILDREN: Final = 0  # product_calculations: a dynamic bundle's money is its children's
SHIPS_APART: Final = 1  # shipment_type: the children carry the shipped quantity

_NAMES = ("product_calculations", "shipment_type")
_PHP = {name: re.compile(rf's:{len(name)}:"{name}";(?:i:(\d{{1,3}})|s:\d:"(\d{{1,3}})");', re.ASCII) for name in _NAMES}


def modes(options: Value) -> tuple[int | None, int | None]:
    """``product_calculations`` and ``shipment_type``; None where the text does not have them. Never raises."""
    if isinstance(options, bytes):
        options = options.decode("utf-8", "replace")
    if not isinstance(options, str) or not any(f'"{name}"' in options for name in _NAMES):
        return None, None
    if options.lstrip()[:1] == "{":
        return _from_json(options)
    price, ship = (_from_php(name, options) for name in _NAMES)
    return price, ship


def _from_json(text: str) -> tuple[int | None, int | None]:
    try:
        tree = orjson.loads(text)
    except ValueError:  # cut off by a column that was too short (text before 2.4.6)
        return None, None
    if not isinstance(tree, dict):
        return None, None
    price, ship = (_number(tree.get(name)) for name in _NAMES)
    return price, ship


def _from_php(name: str, text: str) -> int | None:
    match = _PHP[name].search(text)
    return int(match[1] or match[2]) if match else None


def _number(value: object) -> int | None:
    if isinstance(value, int):
        return int(value)
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 4 else None
