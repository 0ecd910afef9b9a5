"""A store of some size: its first load into the replica, its first rendering, then live orders on top of it.

100,000 orders with 300,000 lines, 50,000 customers, 20,000 products with 40 attributes each, rows as SELECTs give them;
in a process of its own, so that its memory is told. Rates are a second of
processor time, as on a core of its own. ``python -m tests.benchmarks.store 1000000`` takes more orders.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from cdc.clock import SystemClock
from cdc.collector import tune_collector
from cdc.engine.engine import Engine
from cdc.messages.outbox import Entry
from cdc.messages.receipts import Settlement, settle
from cdc.messages.selection import Limits, note_on_wire, ready
from cdc.model import RANK, Cells, Outcome, Position, TableSpec, Urgency, Value
from cdc.replica.cascades import core_foreign_keys
from cdc.replica.load_state import Phase
from cdc.settings.config import ApplySettings
from cdc.settings.mapping import MappingSettings
from cdc.snapshot.loader import load_order
from mappers.mapping import MagentoMapping
from sinks.jsonl import OPTIONAL_REFERENCES
from tests.benchmarks.apply import NOW, Log, order_log
from tests.benchmarks.quiet import no_log
from tests.benchmarks.row import Row

ONLY_BY_NAME = True
ORDERS = 100_000
LIVE_ORDERS = 10_000
CHUNK = 2000
LARGEST = 16
PRODUCT_ATTRIBUTES = 40
_SENT_MS = 1_790_000_000_000
_START = Position("binlog.000001", 4)
_MAPPED = {"name": "varchar", "url_key": "varchar", "image": "varchar", "price": "decimal", "description": "text",
           "short_description": "text", "status": "int"}  # fmt: skip
_TEXT = "<p>Thrown by hand, glazed twice and fired at 1,260 °C; holds a third of a litre.</p>" * 3

Made = Iterator[dict[str, Value]]


def rows() -> Iterable[Row]:
    """Size, rates and memory; the sizes of a million orders come from these by ten."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.store", str(ORDERS)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-1000:])
    found: dict[str, Any] = json.loads(done.stdout)
    million = 1_000_000 / found["orders"]
    counted = f"{found['orders']:,} orders, {found['rows_kept']:,} rows kept of {found['rows']:,}"
    yield Row("store: first load, rows a second", found["load"], "rows/s", "", counted)
    yield Row("store: first rendering", found["render"], "objects/s", "", f"{found['objects']:,} objects, with commits")
    yield Row("store: live orders → outbox, decoded before", found["live"], "changes/s", "≥ 10,000 with decoding",
              f"{LIVE_ORDERS:,} orders placed, paid and shipped on top")  # fmt: skip
    yield Row("store: state on disk, all delivered", found["delivered_mb"], "MB", "< 1,500 MB for 1M orders",
              f"1M: {found['delivered_mb'] * million:,.0f} MB, customers and products too")  # fmt: skip
    for name, megabytes, entries in found["largest"]:
        yield Row(f"store:   of it {name}", megabytes, "MB", "", f"{entries:,} entries")
    yield Row("store: state on disk, nothing delivered yet", found["queued_mb"], "MB", "", "every object in the outbox")
    yield Row(
        "store: most memory of the process", found["rss_mb"], "MB RSS", "< 150 MB", "load, rendering, live orders"
    )


def _websites() -> Made:
    yield {"website_id": 1, "code": "base"}


def _stores() -> Made:
    yield {"store_id": 1, "code": "default", "website_id": 1}


def _groups() -> Made:
    yield {"customer_group_id": 1, "customer_group_code": "General"}


def _types() -> Made:
    yield {"entity_type_id": 4, "entity_type_code": "catalog_product"}


def _attributes() -> Made:
    codes = [*_MAPPED.items(), *((f"module_{n}", "varchar") for n in range(PRODUCT_ATTRIBUTES - len(_MAPPED)))]
    for number, (code, backend) in enumerate(codes, 1):
        yield {"attribute_id": number, "entity_type_id": 4, "attribute_code": code, "backend_type": backend}


def _customers(count: int) -> Made:
    for n in range(1, count + 1):
        yield {
            "entity_id": n, "email": f"shopper{n}@example.com", "website_id": 1, "group_id": 1, "firstname": "Ada",
            "lastname": f"Lovelace-{n}", "default_billing": n, "created_at": NOW,
        }  # fmt: skip


def _addresses(count: int) -> Made:
    for n in range(1, count + 1):
        yield {"entity_id": n, "parent_id": n, **_PLACE}


_PLACE: dict[str, Value] = {
    "street": "12 High Street\nFloor 2", "city": "Sampleton", "region": "Region", "postcode": "00000",
    "country_id": "DE", "telephone": "+00 555 0100",
}  # fmt: skip


def _products(count: int) -> Made:
    for n in range(1, count + 1):
        yield {"entity_id": n, "sku": f"SKU-{n:06d}", "type_id": "simple", "created_at": NOW}


def _values(backend: str, count: int) -> Callable[[], Made]:
    held: dict[str, Value] = {"varchar": "A mug, hand thrown", "decimal": "24.900000", "text": _TEXT, "int": 1}

    def made() -> Made:
        attributes = [row["attribute_id"] for row in _attributes() if row["backend_type"] == backend]
        number = 0
        for n in range(1, count + 1):
            for attribute in attributes:
                number += 1
                yield {"value_id": number, "entity_id": n, "attribute_id": attribute, "store_id": 0,
                       "value": held[backend]}  # fmt: skip

    return made


def _tables(orders: int) -> dict[str, Callable[[], Made]]:
    customers, products = orders // 2, orders // 5
    return {
        "store_website": _websites, "store": _stores, "customer_group": _groups, "eav_entity_type": _types,
        "eav_attribute": _attributes, "customer_entity": lambda: _customers(customers),
        "customer_address_entity": lambda: _addresses(customers),
        "catalog_product_entity": lambda: _products(products),
        **{f"catalog_product_entity_{one}": _values(one, products) for one in ("varchar", "decimal", "text", "int")},
        **{table: partial(_of_orders, orders, table) for table in _ORDER_TABLES},
    }  # fmt: skip


_ORDER_TABLES = ("sales_order", "sales_order_item", "sales_order_payment", "sales_order_address", "sales_invoice",
                 "sales_shipment_track")  # fmt: skip


def _of_orders(orders: int, table: str) -> Made:
    customers, products = orders // 2, orders // 5
    for n in range(1, orders + 1):
        buyer = n % customers + 1
        if table == "sales_order":
            yield {
                "entity_id": n, "increment_id": f"{n:09d}", "store_id": 1, "state": "complete", "status": "complete",
                "customer_id": buyer, "customer_is_guest": 0, "customer_group_id": 1, "created_at": NOW,
                "customer_email": f"shopper{buyer}@example.com", "customer_firstname": "Ada",
                "customer_lastname": f"Lovelace-{buyer}", "shipping_method": "flatrate_flatrate",
                "order_currency_code": "EUR", "grand_total": "59.9000", "tax_amount": "5.0000",
                "discount_amount": "0.0000", "shipping_amount": "5.0000",
            }  # fmt: skip
        elif table == "sales_order_item":
            for at in range(3):
                yield {
                    "item_id": 3 * n + at, "order_id": n, "product_id": (3 * n + at) % products + 1,
                    "product_type": "simple", "sku": f"SKU-{n:06d}", "name": "A mug, hand thrown",
                    "qty_ordered": "1.0000", "qty_shipped": "1.0000", "qty_canceled": "0.0000",
                    "qty_refunded": "0.0000", "is_virtual": 0, "price": "18.3000", "row_total": "18.3000",
                    "tax_amount": "1.6700", "discount_amount": "0.0000",
                    "product_options": '{"info_buyRequest":{"qty":"1"}}',
                }  # fmt: skip
        elif table == "sales_order_payment":
            yield {"entity_id": n, "parent_id": n, "method": "checkmo"}
        elif table == "sales_order_address":
            for at, kind in enumerate(("shipping", "billing")):
                yield {"entity_id": 2 * n + at, "parent_id": n, "address_type": kind, **_PLACE}
        elif table == "sales_invoice":
            yield {"entity_id": n, "order_id": n, "state": 2, "created_at": NOW}
        else:
            yield {"entity_id": n, "order_id": n, "track_number": f"00340{n:08d}"}


def _cells(spec: TableSpec, made: Made) -> Iterator[Cells]:
    for row in made:
        yield tuple(row.get(column) for column in spec.columns)


def begun(folder: Path) -> Engine:
    """A fresh state that begins its first load, which renders every object at its end."""
    engine = Engine(folder, MagentoMapping(MappingSettings()), core_foreign_keys(), SystemClock())
    with engine.store.transaction():
        engine.moves.begin(_START, Phase.LOADING_REFERENCES)
    return engine


def filled(engine: Engine, orders: int) -> int:
    """Load and render a shop of this size; how many rows were read. Every message waits in the outbox then."""
    count = _load(engine, orders)
    _render(engine)
    return count


def _load(engine: Engine, orders: int) -> int:
    made = _tables(orders)
    count = 0
    for spec in load_order(engine.tables, core_foreign_keys()):
        source = _cells(spec, made[spec.name]()) if spec.name in made else iter(())
        done = False
        while not done:
            chunk = list(islice(source, CHUNK))
            done = len(chunk) < CHUNK
            count += len(chunk)
            with engine.store.transaction():
                engine.ingest.load_chunk(spec.name, chunk, _START, None, done=done)
        if spec.name == "eav_attribute":
            with engine.store.transaction():
                engine.ingest.references_read()
    with engine.store.transaction():
        engine.ingest.load_done(_START)
    return count


def _render(engine: Engine) -> None:
    working = True
    while working:
        with engine.store.transaction():
            working = engine.work()


def _accepted(entry: Entry) -> Settlement:
    """As HubSpot's CRM answers: with the id of its record, of eleven digits."""
    return Settlement(entry, Outcome.ACCEPTED, record_id=str(10**10 + entry.seq))


def _deliver(engine: Engine) -> None:
    limits = Limits(1000, 1 << 30, optional=OPTIONAL_REFERENCES)
    for rank in sorted({*RANK.values()}):
        for urgency in Urgency:
            while True:
                with engine.store.transaction():
                    entries = ready(engine.store, rank, 1 << 60, urgency, limits).entries
                    note_on_wire(engine.store, entries, _SENT_MS)
                    settle(engine.store, [_accepted(entry) for entry in entries], _SENT_MS)
                if not entries:
                    break
    left = engine.store.db.execute("SELECT count(*) FROM outbox").fetchone()[0]
    if left:
        raise RuntimeError(f"{left:,} messages were not sent: the state's size would be that of a full outbox")


def _live(engine: Engine, orders: int) -> float:
    log = Log(engine.tables)
    source = order_log(log, orders + 1, LIVE_ORDERS, customers=orders // 2, products=orders // 5)
    changes, seconds = 0, 0.0
    while group := list(islice(source, ApplySettings().max_rows // 6)):
        changes += sum(len(transaction.changes) for transaction in group)
        began = time.process_time()
        with engine.store.transaction():
            engine.apply_group(group)
        seconds += time.process_time() - began
    return changes / seconds


def _used_mb(engine: Engine) -> float:
    [(pages, free, size)] = engine.store.db.execute(
        "SELECT page_count, freelist_count, page_size FROM pragma_page_count(), pragma_freelist_count(),"
        " pragma_page_size()"
    ).fetchall()
    return float((pages - free) * size / 1e6)


def _largest(engine: Engine) -> list[tuple[str, float, int]]:
    """The largest tables and indexes: name, MB, entries; empty if SQLite was built without ``dbstat``."""
    try:
        found = engine.store.db.execute(
            "SELECT name, sum(pgsize), sum(ncell) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT ?", (LARGEST,)
        ).fetchall()
    except sqlite3.OperationalError:
        return []
    return [(str(name), size / 1e6, entries) for name, size, entries in found]


def measure(orders: int) -> dict[str, Any]:
    """Load, render, deliver, then live orders."""
    tune_collector()
    with tempfile.TemporaryDirectory() as folder:
        engine = begun(Path(folder))
        began = time.process_time()
        count = _load(engine, orders)
        loaded = time.process_time()
        _render(engine)
        rendered = time.process_time()
        tables = [spec.name for spec in engine.tables]
        kept = sum(engine.store.db.execute(f'SELECT count(*) FROM "r_{table}"').fetchone()[0] for table in tables)
        objects = engine.renderer.rendered
        queued = _used_mb(engine)
        _deliver(engine)
        delivered, largest = _used_mb(engine), _largest(engine)
        live = _live(engine, orders)
        engine.close()
    return {
        "orders": orders, "rows": count, "rows_kept": kept, "objects": objects, "load": count / (loaded - began),
        "render": objects / (rendered - loaded), "live": live, "queued_mb": queued, "delivered_mb": delivered,
        "largest": largest, "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }  # fmt: skip


if __name__ == "__main__":
    no_log()
    print(json.dumps(measure(int(sys.argv[1]))))
