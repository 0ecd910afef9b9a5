"""The test kit's shop does to a database what Magento does: books that balance, rows in Magento's order."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.kit import schema
from tests.kit.servers import MySQL, Server
from tests.kit.shop import Line, Shop
from tests.kit.shop_day import Day, play, random_ops

SOAK_SERVERS = ("mysql",)

_EVENT = re.compile(r"^(Write|Update|Delete)_rows")
_MAPPED = re.compile(r"table_id: (\d+) \((\w+)\.(\w+)\)")


@dataclass
class Played:
    """A shop after its day, and the log's position before it."""

    server: Server
    database: str
    shop: Shop
    day: Day
    began: tuple[str, int]


@pytest.fixture(scope="module")
def played(server: Server) -> Iterator[Played]:
    with server.database() as database:
        connection = server.connect(database=database)
        schema.load(connection)
        shop = Shop(connection)
        shop.install()
        began = server.log_position()
        yield Played(server, database, shop, play(shop), began)
        connection.close()


def _row_events(server: Server, began: tuple[str, int], database: str) -> list[list[tuple[str, str]]]:
    """The transactions since ``began``, each as its row events: (Write, Update or Delete; table)."""
    tables: dict[str, str] = {}
    found: list[list[tuple[str, str]]] = [[]]
    for _, _, kind, _, _, info in server.run(f"SHOW BINLOG EVENTS IN '{began[0]}' FROM {began[1]}"):
        if mapped := _MAPPED.search(info):
            tables[mapped[1]] = mapped[3] if mapped[2] == database else ""
        elif event := _EVENT.match(kind):
            number = re.search(r"table_id: (\d+)", info)
            if number and tables.get(number[1]):
                found[-1].append((event[1], tables[number[1]]))
        elif kind == "Xid":
            found.append([])
    return found


def _assert_books_balance(shop: Shop) -> None:
    for order in shop.db.find("sales_order"):
        items = shop.items(order["entity_id"])
        for side in ("", "base_"):
            top = sum(item[f"{side}row_total"] for item in items if item["parent_item_id"] is None)
            parts = (f"{side}shipping_amount", f"{side}tax_amount", f"{side}discount_amount")
            assert top == order[f"{side}subtotal"]
            assert top + sum(order[name] for name in parts) == order[f"{side}grand_total"]
        invoices = shop.db.find("sales_invoice", order_id=order["entity_id"])
        memos = shop.db.find("sales_creditmemo", order_id=order["entity_id"])
        assert sum(row["grand_total"] for row in invoices) == (order["total_paid"] or 0)
        assert sum(row["grand_total"] for row in memos) == (order["total_refunded"] or 0)
        assert (order["total_refunded"] or 0) <= (order["total_paid"] or 0) <= order["grand_total"]
        for item in items:
            taken = item["qty_canceled"] + max(item["qty_invoiced"], item["qty_shipped"])
            assert taken <= item["qty_ordered"]
            assert item["row_invoiced"] <= item["row_total"]


def test_every_order_of_the_day_balances(played: Played) -> None:
    """Rows, shipping, tax and discount add up to the grand total in both currencies; invoices to what was paid."""
    _assert_books_balance(played.shop)


def test_the_day_ends_in_the_states_its_story_tells(played: Played) -> None:
    """Each scripted order ends where Magento would leave it."""
    orders = {row["entity_id"]: row for row in played.shop.db.find("sales_order")}
    states = {name: orders[number]["state"] for name, number in played.day.orders.items() if number in orders}

    assert states == {
        "guest": "complete", "guest again": "processing", "bundle": "processing", "dollars": "complete",
        "virtual": "complete", "outlet": "holded", "never paid": "canceled", "changed mind": "canceled",
        "changed": "new", "leaver's": "new", "sent back": "closed",
    }  # fmt: skip
    assert played.day.orders["test"] not in orders
    assert orders[played.day.orders["changed"]]["increment_id"].endswith("-1")
    assert orders[played.day.orders["dollars"]]["total_refunded"] == 5


def test_no_more_is_paid_back_than_was_paid(played: Played) -> None:
    """After an adjustment that was paid back on top, the refund of the rest keeps it back, as Magento asks for."""
    shop, order = played.shop, played.day.orders["dollars"]
    shop.refund(order)

    row = shop.order(order)
    assert row["total_refunded"] == row["total_paid"]
    assert row["base_total_refunded"] == row["base_total_paid"]


def test_a_deleted_customer_leaves_an_order_without_one(played: Played) -> None:
    """ON DELETE SET NULL: the order stays, with customer_id NULL and customer_is_guest 0."""
    order = played.shop.order(played.day.orders["leaver's"])

    assert (order["customer_id"], order["customer_is_guest"]) == (None, 0)
    assert not played.shop.db.find("customer_entity", entity_id=played.day.customers["leaver"])
    assert not played.shop.db.find("customer_address_entity", parent_id=played.day.customers["leaver"])


def test_the_log_holds_every_kind_of_event_of_the_day(played: Played) -> None:
    """Inserts, updates and deletes of all mapped tables that the day touches are in the log, and so is its noise."""
    counts = Counter(event for events in _row_events(played.server, played.began, played.database) for event in events)
    expected = {
        "Write": ("customer_entity", "customer_address_entity", "newsletter_subscriber", "customer_entity_int",
                  "catalog_product_entity", "catalog_product_entity_varchar", "catalog_product_entity_text",
                  "catalog_product_entity_decimal", "catalog_product_entity_int", "catalog_product_website",
                  "catalog_product_super_link", "catalog_product_relation", "sales_order", "sales_order_item",
                  "sales_order_address", "sales_order_payment", "sales_order_status_history", "sales_invoice",
                  "sales_invoice_item", "sales_shipment", "sales_shipment_item", "sales_shipment_track",
                  "sales_creditmemo", "sales_creditmemo_item", "quote", "quote_item", "cron_schedule", "customer_log",
                  "customer_visitor", "session", "sales_order_grid", "catalog_product_price_cl", "sequence_order_1",
                  "inventory_reservation", "url_rewrite", "report_event"),
        "Update": ("customer_entity", "newsletter_subscriber", "catalog_product_entity",
                   "catalog_product_entity_varchar", "catalog_product_entity_decimal", "catalog_product_entity_int",
                   "eav_attribute_option_value", "sales_order", "sales_order_item",
                   "sales_order_address", "sales_order_payment", "quote"),
        "Delete": ("customer_entity", "newsletter_subscriber", "catalog_product_entity", "sales_order",
                   "catalog_product_entity_varchar", "catalog_product_entity_text", "cron_schedule"),
    }  # fmt: skip
    missing = [(kind, table) for kind, tables in expected.items() for table in tables if not counts[kind, table]]

    assert not missing


def test_an_order_is_written_in_magentos_row_order(server: Server) -> None:
    """One transaction: order, status, rows, payment, shipping and billing address, the address ids, tax, grid."""
    with server.database() as database:
        connection = server.connect(database=database)
        schema.load(connection, changelogs=False)
        shop = Shop(connection)
        shop.install()
        mug = shop.create_product("MUG", "Mug", "10")
        set_ = shop.create_product("SET", "Set", type_id="configurable", variants=[mug])
        began = server.log_position()
        shop.place_order(shop.person(), [Line(set_)])
        connection.close()
        transactions = _row_events(server, began, database)

    [order] = [events for events in transactions if ("Write", "sales_order") in events]
    assert order == [
        ("Write", "sales_order"),
        ("Write", "sales_order_status_change_history"),
        ("Write", "sales_order_item"),
        ("Write", "sales_order_item"),
        ("Write", "sales_order_payment"),
        ("Write", "sales_order_address"),
        ("Write", "sales_order_address"),
        ("Update", "sales_order"),
        ("Write", "sales_order_tax"),
        ("Write", "sales_order_tax_item"),
        ("Write", "sales_order_grid"),
    ]
    after = [events for events in transactions[transactions.index(order) + 1 :] if events]
    assert after == [[("Update", "quote")], [("Update", "sales_order")], [("Update", "sales_order")]]


def test_cascades_show_in_the_log_only_where_the_server_runs_them_in_sql(server: Server) -> None:
    """MariaDB deletes an order's rows silently; MySQL since 9.6 logs the children, before the parent."""
    with server.database() as database:
        connection = server.connect(database=database)
        schema.load(connection, changelogs=False)
        shop = Shop(connection)
        shop.install()
        order = shop.place_order(shop.person(), [Line(shop.create_product("MUG", "Mug", "10"))])
        began = server.log_position()
        shop.delete_order(order)
        connection.close()
        deleted = [table for events in _row_events(server, began, database) for _, table in events]

    assert ("sales_order_item" in deleted) == isinstance(server, MySQL)
    assert deleted[-2:] == ["sales_order", "sales_order_grid"]


def test_random_traffic_keeps_the_books(server: Server) -> None:
    """Whatever the random shop does, with a table prefix too, its orders balance."""
    with server.database() as database:
        connection = server.connect(database=database)
        schema.load(connection, "m2_")
        shop = Shop(connection, "m2_", seed=7)
        shop.install()
        for number in range(4):
            shop.create_product(f"P-{number}", f"Product {number}", f"{number}.99")
        done = Counter(name for _, name in zip(range(200), random_ops(shop, random.Random(7)), strict=False))
        successor = Shop(server.connect(database=database), "m2_", seed=8)  # as after a lost connection
        done.update(name for _, name in zip(range(50), random_ops(successor, random.Random(8)), strict=False))
        successor.db.connection.close()

        assert {"order", "pay", "ship", "refund", "register", "price"} <= set(done)
        _assert_books_balance(shop)
        connection.close()
