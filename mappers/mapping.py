"""Magento's tables as objects: the one ``Mapper`` (cdc/protocols.py). Adding an object or a table ends here.

Pure: everything comes from the settings and the rows handed in. To add a property: name its column in ``tables.py``,
set it in the object's ``render``, and add the column to what ``affected_objects.py`` compares if the table is a hot
one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from cdc.errors import RenderError
from cdc.model import BulkInvalidation, FetchByKey, Kind, ObjectRef, Rendered, Row, TableSpec, Value
from cdc.protocols import RowReader
from cdc.settings.mapping import MappingSettings
from mappers import affected, fetches, money
from mappers.guests import guest_id, possible_guest
from mappers.objects import customer, guest, line_item, order, product
from mappers.options import modes
from mappers.plan import ADDRESSES, Plan
from mappers.privacy import Privacy
from mappers.shop import shop
from mappers.sources import sources
from mappers.tables import VERSIONS
from mappers.versions import is_staging

RENDERER_VERSION: Final = 2
"""Raise it with every change of what is rendered from the same rows: all objects are then rendered again."""

_EVERYTHING: Final = (  # each object by one sweep: first those that have a row, then who stands on another's row
    BulkInvalidation(Kind.CUSTOMER, "customer_entity", "entity_id"),
    BulkInvalidation(Kind.CUSTOMER, "sales_order", "customer_id", unless=("customer_entity", "entity_id")),
    BulkInvalidation(Kind.GUEST, "sales_order", "guest_id"),
    BulkInvalidation(Kind.PRODUCT, "catalog_product_entity", "entity_id"),
    BulkInvalidation(Kind.PRODUCT, "sales_order_item", "product_id", unless=("catalog_product_entity", "entity_id")),
    BulkInvalidation(Kind.ORDER, "sales_order", "entity_id"),
    BulkInvalidation(Kind.ITEM, "sales_order_item", "item_id"),
)


class MagentoMapping:
    """Implements ``cdc.protocols.Mapper`` for Magento Open Source 2.3 to 2.4."""

    tables: tuple[TableSpec, ...]
    version: str

    def __init__(self, settings: MappingSettings) -> None:
        self.settings = settings
        self.plan = Plan(settings)
        self.tables = self.plan.tables
        self.attributes: Mapping[str, Sequence[str]] = self.plan.asked_attributes()
        """Entity type → codes of the attributes that the settings ask for: the shop must have them."""
        decides = settings.filter.on_orders or settings.filter.on_customers or settings.filter.on_products
        self._deciding = frozenset({"store", "store_website", "customer_group"}) if decides else frozenset()
        """Tables whose rows decide what a filter by code leaves in: a rename or move of these is rare."""
        self.sources: Final = sources(self.plan)
        """Every property that may be sent, with what it is made from."""
        self.privacy: Final = Privacy(settings.privacy, self.sources)
        self._product_values = frozenset(self.plan.product_values.values())
        self._customer_values = frozenset(self.plan.customer_values.values())
        self._address_values = frozenset(self.plan.address_values.values())
        subscriber = BulkInvalidation(
            Kind.GUEST, "newsletter_subscriber", "guest_id", unless=("sales_order", "guest_id")
        )
        subscribers = (subscriber,) if settings.subscribers else ()
        self._everything: Final = (*_EVERYTHING, *subscribers, *self.plan.forms.everything())
        dumped = settings.model_dump(mode="json", exclude={"privacy": {"key", "key_file"}, "product_key": True})
        asked = json.dumps([dumped, self.privacy.fingerprint()], sort_keys=True)
        self.version = f"{RENDERER_VERSION}-{hashlib.sha256(asked.encode()).hexdigest()[:16]}"

    def derive(self, table: str, row: Row) -> Mapping[str, Value]:
        """The derived columns; none where the columns they are made from are not in the row (they stay as held)."""
        if table == "sales_order":
            return {"guest_id": possible_guest(row)}
        if table == "sales_order_item" and "product_options" in row:
            price, ship = modes(row["product_options"])
            return {"price_mode": price, "ship_mode": ship}
        if table == "newsletter_subscriber" and "subscriber_email" in row:
            return {"guest_id": guest_id(row["subscriber_email"])}
        if self.plan.forms.is_one(table):
            return self.plan.forms.derive(table, row)
        return {}

    def keep(self, table: str, row: Row, rows: RowReader) -> bool:
        """Not kept: values of attributes that are known and not mapped, and shipping addresses that nothing needs."""
        if table in self._product_values:
            return shop(rows, self.plan).products.needs(row.get("attribute_id"))
        if table in self._customer_values:
            return shop(rows, self.plan).customers.needs(row.get("attribute_id"))
        if table in self._address_values:
            return shop(rows, self.plan).addresses.needs(row.get("attribute_id"))
        if table == VERSIONS.name:
            return is_staging(row)
        if self.plan.forms.is_one(table):
            return self.plan.forms.keep(table, row)
        if table != ADDRESSES or self.plan.shipping_kept:
            return True
        return row.get("address_type") != "shipping"

    def affected(
        self, table: str, before: Row | None, after: Row | None, rows: RowReader
    ) -> Iterator[ObjectRef | BulkInvalidation]:
        """The objects and sweeps that this row bears on."""
        return chain(
            affected.affected(table, before, after, rows, self.plan),
            self.plan.satellites.affected(table, before, after, rows),
            self.plan.lookups.affected(table, before, after),
            self.plan.forms.affected(table, before, after),
            self._everything if table in self._deciding else (),
        )

    def render(self, ref: ObjectRef, rows: RowReader) -> Rendered | None:
        """The object's complete state, or None when it does not exist. RenderError for an amount that is no number."""
        try:
            made = self._render(ref, rows)
            if made is None:
                return None
            whole = self.plan.satellites.added(made, ref, rows)
            kept = self.privacy.of(ref.object_type, whole.properties)
            return whole if kept is whole.properties else replace(whole, properties=kept)
        except money.NotANumberError as error:
            raise RenderError(
                f"{ref.kind}-{ref.id}: {error}", hint="correct it in the shop; the next change of it is sent again"
            ) from None

    def _render(self, ref: ObjectRef, rows: RowReader) -> Rendered | None:
        identity = ref.id
        if ref.kind is Kind.GUEST:
            return guest.render(str(identity), rows, self.plan)
        if not isinstance(identity, int):
            return None
        match ref.kind:
            case Kind.ORDER:
                return order.render(identity, rows, self.plan)
            case Kind.ITEM:
                return line_item.render(identity, rows, self.plan)
            case Kind.CUSTOMER:
                return customer.render(identity, rows, self.plan)
            case Kind.PRODUCT:
                return product.render(identity, rows, self.plan)

    def everything(self) -> tuple[BulkInvalidation, ...]:
        """BulkInvalidations that together name every object that may exist (and some that do not)."""
        return self._everything

    def fetches(self, ref: ObjectRef, rows: RowReader) -> tuple[FetchByKey, ...]:
        """The server rows that the object is made of, as far as they can be named now."""
        return (*fetches.fetches(ref, rows, self.plan), *self.plan.satellites.fetches(ref, rows))
