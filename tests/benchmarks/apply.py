"""Changes to outbox: apply, render, compare and commit of order rows, with the real mapping, on one core.

The rows are a small shop's orders (three lines, two addresses, a payment; then paid and shipped); decoding is measured
by its own benchmark.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from cdc.clock import SystemClock
from cdc.engine.engine import Engine
from cdc.model import Change, Op, Position, TableSpec, Transaction, Value
from cdc.replica.cascades import core_foreign_keys
from cdc.replica.load_state import Phase
from cdc.settings.config import ApplySettings
from cdc.settings.mapping import MappingSettings
from mappers.mapping import MagentoMapping
from tests.benchmarks.row import Row

ORDERS = 4000
PRODUCTS = 200
CUSTOMERS = 500
TRANSACTION_BYTES = 5000
NOW = "2026-01-01 00:00:00"


class Log:
    """Makes transactions of the mapped tables' rows."""

    def __init__(self, specs: Iterable[TableSpec]) -> None:
        self._columns = {spec.name: spec.columns for spec in specs}
        self._offset = 1000

    def cells(self, table: str, **values: Value) -> tuple[Value, ...]:
        """One image; columns not named are NULL."""
        return tuple(values.get(column) for column in self._columns[table])

    def insert(self, table: str, **values: Value) -> Change:
        """A row comes."""
        return Change(table, Op.INSERT, None, self.cells(table, **values))

    def transaction(self, *changes: Change) -> Transaction:
        """The next transaction of the log."""
        self._offset += TRANSACTION_BYTES
        end = Position("binlog.000001", self._offset)
        return Transaction(changes, end, 1_700_000_000_000 + self._offset, TRANSACTION_BYTES)


def _seeds(log: Log) -> Iterator[Transaction]:
    yield log.transaction(
        log.insert("store_website", website_id=1, code="base"),
        log.insert("store", store_id=1, code="default", website_id=1),
        log.insert("customer_group", customer_group_id=1, customer_group_code="General"),
    )
    for n in range(1, PRODUCTS + 1):
        yield log.transaction(
            log.insert("catalog_product_entity", entity_id=n, sku=f"sku-{n}", type_id="simple", created_at=NOW)
        )
    for n in range(1, CUSTOMERS + 1):
        yield log.transaction(
            log.insert("customer_entity", entity_id=n, email=f"c{n}@example.com", website_id=1, group_id=1)
        )


def order_log(log: Log, first: int, count: int, *, customers: int, products: int) -> Iterator[Transaction]:
    """Orders from this id on: each placed in one transaction, paid and shipped in another."""
    for n in range(first, first + count):
        order: dict[str, Value] = {
            "entity_id": n, "increment_id": f"{n:09d}", "store_id": 1, "state": "new", "status": "pending",
            "customer_id": n % customers + 1, "customer_is_guest": 0, "customer_group_id": 1,
            "customer_email": f"c{n % customers + 1}@example.com", "shipping_method": "flatrate_flatrate",
            "order_currency_code": "EUR", "grand_total": "59.9000", "tax_amount": "5.0000",
            "discount_amount": "0.0000", "shipping_amount": "5.0000", "created_at": NOW,
        }  # fmt: skip
        lines = [_line(n, at, products) for at in range(3)]
        yield log.transaction(
            log.insert("sales_order", **order),
            *(log.insert("sales_order_item", **line) for line in lines),
            log.insert("sales_order_payment", entity_id=n, parent_id=n, method="checkmo"),
            *(
                log.insert("sales_order_address", entity_id=2 * n + at, parent_id=n, address_type=kind, street="x")
                for at, kind in enumerate(("shipping", "billing"))
            ),
        )
        paid = order | {"state": "complete", "status": "complete"}
        yield log.transaction(
            Change("sales_order", Op.UPDATE, log.cells("sales_order", **order), log.cells("sales_order", **paid)),
            log.insert("sales_invoice", entity_id=n, order_id=n, state=2, created_at=NOW),
            *(
                Change(
                    "sales_order_item",
                    Op.UPDATE,
                    log.cells("sales_order_item", **line),
                    log.cells("sales_order_item", **line | {"qty_shipped": "1.0000"}),
                )
                for line in lines
            ),
        )


def _line(order: int, at: int, products: int) -> dict[str, Value]:
    item = 3 * order + at
    return {
        "item_id": item, "order_id": order, "product_id": item % products + 1, "product_type": "simple", "sku": "s",
        "name": "A product", "qty_ordered": "1.0000", "qty_shipped": "0.0000", "qty_canceled": "0.0000",
        "qty_refunded": "0.0000", "price": "18.3000", "row_total": "18.3000", "tax_amount": "1.6700",
        "discount_amount": "0.0000", "product_options": '{"info_buyRequest":{"qty":"1"}}',
    }  # fmt: skip


def rows() -> Iterable[Row]:
    """Row changes a second from decoded changes to committed outbox rows."""
    limit = ApplySettings().max_rows
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(Path(folder), MagentoMapping(MappingSettings()), core_foreign_keys(), SystemClock())
        log = Log(engine.tables)
        with engine.store.transaction():
            engine.moves.begin(Position("binlog.000001", 4), Phase.COMPLETE)
            engine.apply_group(_seeds(log))
        work = list(order_log(log, 1, ORDERS, customers=CUSTOMERS, products=PRODUCTS))
        changes = sum(len(transaction.changes) for transaction in work)
        size = limit * len(work) // changes
        started = time.perf_counter()
        for at in range(0, len(work), size):
            with engine.store.transaction():
                engine.apply_group(work[at : at + size])
        seconds = time.perf_counter() - started
        sent = engine.renderer.enqueued
        engine.close()
    yield Row(
        "decoded order rows → outbox (apply, render, compare, commit)",
        changes / seconds,
        "changes/s",
        "≥ 10,000 with decoding",
        f"{changes:,} changes, {sent:,} messages, one core",
    )
