"""Reads natural keys of the shop's objects from the server, with their ids: email addresses, SKUs, order numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from cdc.settings.source import SourceSettings
from cdc.source.server import Connection, quoted, rows

CHUNK: Final = 10_000
"""Rows per SELECT, in primary-key order."""


def customers(connection: Connection, settings: SourceSettings) -> Iterator[tuple[int, str]]:
    """Id and address of each customer."""
    yield from _chunks(connection, settings, "customer_entity", "entity_id", "email")


def products(connection: Connection, settings: SourceSettings) -> Iterator[tuple[int, str]]:
    """Id and SKU of each product. In Adobe Commerce a product may come once per scheduled version."""
    yield from _chunks(connection, settings, "catalog_product_entity", "entity_id", "sku")


def orders(connection: Connection, settings: SourceSettings) -> Iterator[tuple[int, str]]:
    """Id and number of each order."""
    yield from _chunks(connection, settings, "sales_order", "entity_id", "increment_id")


def guests(connection: Connection, settings: SourceSettings) -> Iterator[tuple[int, str]]:
    """Order id and address of each order without a customer."""
    yield from _chunks(connection, settings, "sales_order", "entity_id", "customer_email", "AND customer_id IS NULL")


def _chunks(
    connection: Connection, settings: SourceSettings, table: str, key: str, column: str, where: str = ""
) -> Iterator[tuple[int, Any]]:
    """Pairs of key and text in key order. Rows without a text are left out."""
    table_name = f"{quoted(settings.database)}.{quoted(settings.table_prefix + table)}"
    last = -1
    while True:
        # where an id has several rows, each says the same text, so the rest of a cut id need not be read
        found = rows(
            connection,
            f"SELECT {key}, {column} FROM {table_name} WHERE {key} > %s {where} ORDER BY {key} LIMIT {CHUNK}",
            (last,),
        )
        yield from ((int(number), str(text)) for number, text in found if text)
        if len(found) < CHUNK:
            return
        last = int(found[-1][0])
