"""SQL statements that count a shop's objects on its server, to tell what a first load will send.

Pure: this module makes SQL text and arguments, ``cdc/snapshot/load_plan.py`` runs them. The statements follow the rules
of existence (``mappers/scope.py``, ``mappers/objects/``), with two exceptions: a filter by a product's visibility is
ignored, and stored contact forms are not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from cdc.model import ObjectType
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_rules import Choice, OrderRule


class Statement(NamedTuple):
    """A SELECT with one number as its result."""

    sql: str
    arguments: tuple[str, ...] = ()


class _Where(NamedTuple):
    """An SQL condition with its arguments."""

    sql: str = "1 = 1"
    arguments: tuple[str, ...] = ()

    def also(self, other: _Where) -> _Where:
        return _Where(f"{self.sql} AND {other.sql}", (*self.arguments, *other.arguments))


_LINES: Final = "i.parent_item_id IS NULL"
_REFERRED: Final = (  # a configurable's line names the variant, which is its child's product
    "i.product_id IS NOT NULL AND ((i.parent_item_id IS NULL AND i.product_type <> 'configurable')"
    " OR p.product_type = 'configurable')"
)


def statements(
    mapping: MappingSettings, prefix: str, *, contacts_by_email: bool, since_ms: float | None
) -> Mapping[ObjectType, Statement]:
    """One statement per object type. ``since_ms``: only orders placed since then and the objects they refer to; None:
    all.

    ``prefix``: of the shop's tables. ``contacts_by_email``: the receiver has one contact per address.
    """
    counts = _Counts(mapping, prefix, since_ms)
    return {
        ObjectType.CONTACT: counts.contacts_by_email() if contacts_by_email else counts.contacts(),
        ObjectType.PRODUCT: counts.products(),
        ObjectType.DEAL: counts.deals(),
        ObjectType.LINE_ITEM: counts.lines(),
    }


class _Counts:
    def __init__(self, mapping: MappingSettings, prefix: str, since_ms: float | None) -> None:
        self._mapping = mapping
        self._prefix = prefix
        self._is_all = since_ms is None
        self._orders = self._in_scope()
        if since_ms is not None:
            since = datetime.fromtimestamp(since_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
            self._orders = self._orders.also(_Where("o.created_at >= %s", (since,)))

    def _table(self, name: str) -> str:
        return f"`{self._prefix}{name}`"

    # ------------------------------------------------------------------------------------------- conditions

    def _in_scope(self) -> _Where:
        """Orders in scope, by the rules of ``order_in_scope``."""
        asked = self._mapping.filter
        where = self._store("o.store_id")
        if asked.customer_groups:
            found = f"SELECT g.customer_group_id FROM {self._table('customer_group')} g WHERE"
            where = where.also(_chosen("o.customer_group_id", found, "g.customer_group_code", asked.customer_groups))
        for rule in asked.test_orders:
            where = where.also(_not_fitting(rule))
        return where

    def _store(self, column: str) -> _Where:
        asked, where = self._mapping.filter, _Where()
        if asked.stores:
            found = f"SELECT s.store_id FROM {self._table('store')} s WHERE"
            where = where.also(_chosen(column, found, "s.code", asked.stores))
        if asked.websites:
            join = f"JOIN {self._table('store_website')} w ON w.website_id = s.website_id"
            found = f"SELECT s.store_id FROM {self._table('store')} s {join} WHERE"
            where = where.also(_chosen(column, found, "w.code", asked.websites))
        return where

    def _customers(self) -> _Where:
        asked, where = self._mapping.filter, _Where()
        if asked.websites:
            found = f"SELECT w.website_id FROM {self._table('store_website')} w WHERE"
            where = where.also(_chosen("c.website_id", found, "w.code", asked.websites))
        if asked.customer_groups:
            found = f"SELECT g.customer_group_id FROM {self._table('customer_group')} g WHERE"
            where = where.also(_chosen("c.group_id", found, "g.customer_group_code", asked.customer_groups))
        return where

    # ----------------------------------------------------------------------------------------------- counts

    def deals(self) -> Statement:
        return Statement(
            f"SELECT COUNT(*) FROM {self._table('sales_order')} o WHERE {self._orders.sql}", self._orders.arguments
        )

    def lines(self) -> Statement:
        return Statement(f"SELECT COUNT(*) {self._items(_LINES)}", self._orders.arguments)

    def _items(self, condition: str) -> str:
        items = self._table("sales_order_item")
        return (
            f"FROM {items} i LEFT JOIN {items} p ON p.item_id = i.parent_item_id"
            f" JOIN {self._table('sales_order')} o ON o.entity_id = i.order_id"
            f" WHERE {condition} AND {self._orders.sql}"
        )

    def products(self) -> Statement:
        """Products of the catalogue in scope, and products that a line refers to."""
        referred = f"SELECT i.product_id AS id {self._items(_REFERRED)}"
        if not self._is_all:
            return Statement(f"SELECT COUNT(*) FROM (SELECT DISTINCT id FROM ({referred}) r) n", self._orders.arguments)
        asked, where = self._mapping.filter, _Where()
        if asked.product_types:
            where = where.also(_listed("e.type_id", asked.product_types))
        if asked.websites:
            found = f"SELECT w.website_id FROM {self._table('store_website')} w WHERE"
            of_site = _chosen("x.website_id", found, "w.code", asked.websites)
            assigned = f"SELECT x.product_id FROM {self._table('catalog_product_website')} x WHERE {of_site.sql}"
            where = where.also(_Where(f"e.entity_id IN ({assigned})", of_site.arguments))
        own = f"SELECT e.entity_id AS id FROM {self._table('catalog_product_entity')} e WHERE {where.sql}"
        return Statement(
            f"SELECT COUNT(*) FROM ({own} UNION {referred}) n", (*where.arguments, *self._orders.arguments)
        )

    def _guests(self) -> str:
        """Addresses of guests' orders."""
        is_guests = "o.customer_id IS NULL"
        if self._mapping.deleted_customers != "guest":
            is_guests += " AND o.customer_is_guest = 1"
        return (
            f"SELECT {_address('o.customer_email')} AS id FROM {self._table('sales_order')} o"
            f" WHERE {is_guests} AND TRIM(o.customer_email) <> '' AND {self._orders.sql}"
        )

    def _subscribers(self) -> tuple[str, tuple[str, ...]]:
        if not self._mapping.subscribers or not self._is_all:
            return "", ()
        where = self._store("n.store_id")
        subscribers = self._table("newsletter_subscriber")
        return (
            f" UNION SELECT {_address('n.subscriber_email')} FROM {subscribers} n"
            f" WHERE COALESCE(n.customer_id, 0) = 0 AND TRIM(n.subscriber_email) <> '' AND {where.sql}",
            where.arguments,
        )

    def contacts(self) -> Statement:
        """Customers by id, and guests by address."""
        of_orders = (
            f"SELECT o.customer_id AS id FROM {self._table('sales_order')} o"
            f" WHERE o.customer_id IS NOT NULL AND {self._orders.sql}"
        )
        subscribers, asked = self._subscribers()
        guests = f"SELECT COUNT(*) FROM ({self._guests()}{subscribers}) g"
        if not self._is_all:
            customers = f"SELECT COUNT(*) FROM (SELECT DISTINCT id FROM ({of_orders}) r) n"
            return Statement(f"SELECT ({customers}) + (SELECT COUNT(DISTINCT id) FROM ({self._guests()}) g)",
                             self._orders.arguments * 2)  # fmt: skip
        own = self._customers()
        customers = f"SELECT c.entity_id AS id FROM {self._table('customer_entity')} c WHERE {own.sql}"
        guests = f"SELECT COUNT(DISTINCT id) FROM ({self._guests()}{subscribers}) g"
        arguments = (*own.arguments, *self._orders.arguments, *self._orders.arguments, *asked)
        return Statement(f"SELECT (SELECT COUNT(*) FROM ({customers} UNION {of_orders}) n) + ({guests})", arguments)

    def contacts_by_email(self) -> Statement:
        """Addresses: the customers and guests of one address are one contact."""
        customer, order = self._table("customer_entity"), self._table("sales_order")
        of_orders = (
            f"SELECT {_address('c.email')} FROM {order} o JOIN {customer} c ON c.entity_id = o.customer_id"
            f" WHERE {self._orders.sql}"
        )
        if not self._is_all:
            found = f"SELECT COUNT(*) FROM ({self._guests()} UNION {of_orders}) n"
            return Statement(found, self._orders.arguments * 2)
        own = self._customers()
        customers = f"SELECT {_address('c.email')} FROM {customer} c WHERE {own.sql}"
        subscribers, asked = self._subscribers()
        found = f"SELECT COUNT(*) FROM ({self._guests()} UNION {of_orders} UNION {customers}{subscribers}) n"
        return Statement(found, (*self._orders.arguments * 2, *own.arguments, *asked))


def _address(column: str) -> str:
    """The address as it is sent; as bytes, because the column's collation would take é for e."""
    return f"CAST(LOWER(TRIM({column})) AS BINARY)"


def _listed(column: str, choice: Choice) -> _Where:
    values = choice.only or choice.without
    marks = ", ".join(["%s"] * len(values))
    return _Where(f"{column} {'IN' if choice.only else 'NOT IN'} ({marks})", values)


def _chosen(column: str, found: str, code: str, choice: Choice) -> _Where:
    """Rows whose column has one of the chosen codes. ``found``: SELECT of the ids, up to WHERE."""
    values = choice.only or choice.without
    marks = ", ".join(["%s"] * len(values))
    ids = f"({found} TRIM({code}) IN ({marks}))"
    if choice.only:
        return _Where(f"{column} IN {ids}", values)
    return _Where(f"({column} IS NULL OR {column} NOT IN {ids})", values)  # a place that is gone has no code


def _not_fitting(rule: OrderRule) -> _Where:
    """Orders that a rule for test orders does not fit."""
    column = f"LOWER(COALESCE(CAST(o.`{rule.column}` AS CHAR), ''))"
    patterns = [
        *(_escaped(text) for text in rule.equals),
        *(f"{_escaped(text)}%" for text in rule.starts_with),
        *(f"%{_escaped(text)}" for text in rule.ends_with),
        *(f"%{_escaped(text)}%" for text in rule.contains),
    ]
    fits = " OR ".join([f"{column} LIKE %s ESCAPE '|'"] * len(patterns))
    return _Where(f"NOT ({fits})", tuple(patterns))


def _escaped(text: str) -> str:
    return text.lower().replace("|", "||").replace("%", "|%").replace("_", "|_")
