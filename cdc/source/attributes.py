"""Checks before the start that the shop has the EAV attributes that the mapping names."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from cdc.model import CheckResult
from cdc.settings.source import SourceSettings
from cdc.source.server import Connection, quoted, rows

_SECTION: Final = {
    "catalog_product": "mapping.product.attributes",
    "customer": "mapping.customer.attributes",
    "customer_address": "mapping.customer.address_attributes",
}
_MAIN_TABLE: Final = {
    "catalog_product": ("catalog_product_entity", "mapping.product.properties"),
    "customer": ("customer_entity", "mapping.contact.properties"),
    "customer_address": ("customer_address_entity", "mapping.contact.billing_address"),
}

Wanted = Mapping[str, Sequence[str]]
"""``eav_entity_type.entity_type_code`` → attribute codes."""

NO_ATTRIBUTES: Final[Wanted] = MappingProxyType({})


def missing_attributes(connection: Connection, settings: SourceSettings, wanted: Wanted) -> Iterator[CheckResult]:
    """One finding per attribute that the shop does not have, or that is stored as a column and so has no rows of
    values.
    """
    for entity_type, codes in wanted.items():
        if not codes:
            continue
        held = _held(connection, settings, entity_type)
        for code in codes:
            backend = held.get(code)
            if backend is None:
                close = difflib.get_close_matches(code, held, n=1)
                fix = f"did you mean {close[0]!r}? " if close else ""
                text = f"the shop has no {entity_type} attribute {code!r}"
                yield CheckResult("attributes", False, text, f"{fix}correct {_SECTION[entity_type]}")
            elif backend == "static":
                table, section = _MAIN_TABLE[entity_type]
                text = f"{entity_type} attribute {code!r} is a column of {table}"
                yield CheckResult("attributes", False, text, f"map it in {section}")


def _held(connection: Connection, settings: SourceSettings, entity_type: str) -> dict[str, str]:
    """Attribute code → backend type."""
    prefix = settings.table_prefix
    statement = (
        f"SELECT a.attribute_code, a.backend_type FROM {quoted(settings.database)}.{quoted(prefix + 'eav_attribute')} a"
        f" JOIN {quoted(settings.database)}.{quoted(prefix + 'eav_entity_type')} t"
        " ON t.entity_type_id = a.entity_type_id WHERE t.entity_type_code = %s"
    )
    return {str(code): str(backend) for code, backend in rows(connection, statement, (entity_type,))}
