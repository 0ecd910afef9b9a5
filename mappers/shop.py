"""Look-ups in the reference tables for renderers: stores, websites, groups, and attributes.

``RowReader.reference`` keeps the results until a row of any reference table changes.
"""

from __future__ import annotations

from cdc.model import Value
from cdc.protocols import RowReader
from mappers.attributes import ADMIN, Attributes
from mappers.eav import EavEntity
from mappers.plan import Plan
from mappers.text import clean
from mappers.versions import FIRST_VERSION, live_version


class Shop:
    """The reference tables in the form for renderers. Answers are remembered, so make a new object when a
    row changes.
    """

    def __init__(self, rows: RowReader, plan: Plan) -> None:
        self._rows = rows
        self._codes: dict[tuple[str, Value], str] = {}
        self.view, self.warning = _view(rows, plan.settings.store_view)
        self.version = live_version(rows) if plan.row_ids else FIRST_VERSION
        self.attributes: dict[EavEntity, Attributes] = {
            entity: Attributes(rows, entity.entity_type, plan.codes[entity], plan.value_tables[entity], self.view)
            for entity in plan.entities
        }

    def store_code(self, store_id: Value) -> str:
        """``store.code``; "" for a store that does not exist."""
        return self._code("store", store_id, "code")

    def website_code(self, website_id: Value) -> str:
        """``store_website.code``; "" for a website that does not exist."""
        return self._code("store_website", website_id, "code")

    def website_code_of(self, store_id: Value) -> str:
        """The code of the website that a store view belongs to."""
        store = self._rows.get("store", store_id) if store_id is not None else None
        return self.website_code(store.get("website_id")) if store else ""

    def group_code(self, group_id: Value) -> str:
        """``customer_group.customer_group_code``; "" for a group that does not exist."""
        return self._code("customer_group", group_id, "customer_group_code")

    def _code(self, table: str, key: Value, column: str) -> str:
        # An order may name no store.
        if key is None:
            return ""
        code = self._codes.get((table, key))
        # Remembered: a shop has few stores and many orders.
        if code is None:
            row = self._rows.get(table, key)
            code = self._codes[table, key] = clean(row.get(column)) if row else ""
        return code


def shop(rows: RowReader, plan: Plan) -> Shop:
    """The remembered ``Shop`` of these rows."""
    return rows.reference("shop", lambda reader: Shop(reader, plan))


def _view(rows: RowReader, store_view: str) -> tuple[Value, str]:
    """The id of the chosen store view, and a warning if there is no such view."""
    # The default scope is what Magento shows where no view says otherwise.
    if not store_view:
        return ADMIN, ""
    found = rows.find("store", "code", store_view)
    # A view that is misspelt must not empty all products.
    if found:
        return found[0]["store_id"], ""
    return ADMIN, f"there is no store view {store_view!r} (mapping.store_view); default values are used"
