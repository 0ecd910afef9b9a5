"""Numbers and sums of a contact's orders, as they are sent: drawn histories, a first load, and what an order costs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.model import Kind, ObjectRef, Op, Position, Value
from cdc.replica.load_state import Phase
from mappers.guests import guest_id
from tests.kit.example_count import example_count
from tests.kit.replica_harness import ReplicaHarness, replica_harness
from tests.unit.mappers.shops import REFERENCES, customer, item, order

Row = dict[str, Value]
WORTH: Final[dict[str, Any]] = {"enabled": True}
BOB: Final = ObjectRef(Kind.CUSTOMER, 7)
NAMES: Final = ("orders_count", "orders_revenue", "last_order_number")
EMAILS: Final = ("ann@example.com", "bob@example.com", "eve@example.com")
SETTINGS: Final[Sequence[dict[str, Any]]] = (
    {},
    {"deleted_customers": "guest"},
    {"filter": {"websites": {"only": ["base"]}}},
    {"filter": {"customer_groups": {"without": ["Wholesale"]}, "test_orders": [{"column": "status", "equals": "x"}]}},
)


class History:
    """A shop in which orders are placed, paid, refunded, canceled, edited, deleted, and change hands.

    The rows of the shop are held here too, and counted one by one with rules of their own.
    """

    def __init__(self, harness: ReplicaHarness, chance: random.Random, asked: dict[str, Any]) -> None:
        self.harness = harness
        self.chance = chance
        self.asked = asked
        self.orders: dict[int, Row] = {}
        self.customers: dict[int, Row] = {}
        self.held: dict[str, dict[str, str]] = {}
        """External id → the properties that were sent so far, merged as HubSpot does it."""
        self._next = 0
        for table, rows in REFERENCES.items():
            for row in rows:
                harness.insert(table, **row)

    def step(self) -> str:
        """One event. Returns its name."""
        events = (
            self.place, self.place, self.place, self.pay, self.refund, self.cancel, self.edit, self.delete,
            self.take_over, self.correct, self.register, self.change_email, self.remove_account,
        )  # fmt: skip
        event = self.chance.choice(events)
        event()
        for message in self.harness.sent():
            if message.action == "DELETE":
                self.held.pop(message.external_id, None)
            else:
                self.held[message.external_id] = self.held.get(message.external_id, {}) | dict(message.properties)
        return event.__name__

    # ------------------------------------------------------------------------------------------------- events

    def place(self, **columns: Value) -> None:
        """An account or a guest orders."""
        self._next += 1
        account = self.chance.choice([*self.customers, None, None])
        email = self.customers[account]["email"] if account else self.chance.choice(EMAILS)
        row = order(
            self._next, store_id=self.chance.choice((1, 1, 3)), customer_id=account,
            customer_is_guest=int(account is None), customer_email=email, base_currency_code="EUR",
            base_grand_total=f"{self.chance.randrange(1, 9999) / 100:.4f}",
            status=self.chance.choice(("pending", "pending", "x")), customer_group_id=self.chance.choice((0, 1, 2)),
            created_at=f"2026-03-{self.chance.randrange(1, 28):02} 10:00:00",
        )  # fmt: skip
        row |= columns
        self.orders[self._next] = {}
        self._save(row)

    def pay(self) -> None:
        """Nothing that is counted changes."""
        self._change(state="processing")

    def refund(self) -> None:
        """A part of an order's money, or all of it."""
        self._change(base_total_refunded=self.chance.choice(("1.0000", "0.5000", "50.0000")), state="closed")

    def cancel(self) -> None:
        """All of an order, or the rest of it."""
        if self.chance.random() < 0.5:
            self._change(state="canceled")
        else:
            self._change(base_total_canceled="0.7000", state="complete")

    def edit(self) -> None:
        """The old order is canceled, and a new one takes its place."""
        self._change(state="canceled")
        self.place()

    def delete(self) -> None:
        """An order's row goes."""
        if self.orders:
            number = self.chance.choice([*self.orders])
            self.harness.delete("sales_order", self.orders.pop(number))

    def take_over(self) -> None:
        """A guest's order becomes an account's, or the other way round."""
        account = self.chance.choice([*self.customers, None])
        self._change(customer_id=account, customer_is_guest=int(account is None))

    def correct(self) -> None:
        """A module writes an order's time or address."""
        self._change(
            created_at=f"2026-03-{self.chance.randrange(1, 28):02} 11:00:00", customer_email=self.chance.choice(EMAILS)
        )

    def register(self) -> None:
        """An account is made, maybe with an address that another website's account has."""
        number = max(self.customers, default=100) + 1
        row = customer(number, email=self.chance.choice(EMAILS), website_id=self.chance.choice((1, 2)), group_id=1)
        self.customers[number] = row
        self.harness.insert("customer_entity", **row)

    def change_email(self) -> None:
        """An account changes its address."""
        if self.customers:
            number = self.chance.choice([*self.customers])
            row = self.customers[number]
            self.customers[number] = self.harness.update("customer_entity", row, email=self.chance.choice(EMAILS))

    def remove_account(self) -> None:
        """The account goes, and its orders lose it below the log."""
        if self.customers:
            number = self.chance.choice([*self.customers])
            self.harness.delete("customer_entity", self.customers.pop(number))
            for row in self.orders.values():
                row["customer_id"] = None if row["customer_id"] == number else row["customer_id"]

    def _change(self, **columns: Value) -> None:
        if self.orders:
            number = self.chance.choice([*self.orders])
            self._save({**self.orders[number], **columns})

    def _save(self, row: Row) -> None:
        number = int(str(row["entity_id"]))
        held = self.orders[number]
        if held:
            self.harness.update("sales_order", held, **row)
        else:
            self.harness.insert("sales_order", **row)
        self.orders[number] = row

    # ----------------------------------------------------------------------------------------- counted one by one

    def expected(self, *, by_email: bool) -> dict[str, tuple[str, ...]]:
        """External id of every contact that orders name → ``NAMES``."""
        mine: dict[str, list[Row]] = {}
        for row in self.orders.values():
            contact = self._contact(row, by_email=by_email)
            if contact and self._is_followed(row):
                mine.setdefault(contact, []).append(row)
        return {contact: self._counted(rows) for contact, rows in mine.items()}

    def _contact(self, row: Row, *, by_email: bool) -> str:
        account = row["customer_id"]
        if not by_email:
            if account:
                return f"magento-customer-{int(str(account))}"
            return f"magento-guest-{guest_id(str(row['customer_email']))}" if self._is_guest(row) else ""
        if not account and not self._is_guest(row):
            return ""
        email = str(self.customers[int(str(account))]["email"] if account else row["customer_email"])
        same = [number for number, held in self.customers.items() if held["email"] == email and self._exists(number)]
        return f"magento-customer-{min(same)}" if same else f"magento-guest-{guest_id(email)}"

    def _is_guest(self, row: Row) -> bool:
        return row["customer_is_guest"] == 1 or self.asked.get("deleted_customers") == "guest"

    def _exists(self, number: int) -> bool:
        """An account of a website that is left out exists only if an order that is followed names it."""
        if "websites" not in self.asked.get("filter", {}) or self.customers[number]["website_id"] == 1:
            return True
        return any(row["customer_id"] == number and self._is_followed(row) for row in self.orders.values())

    def _is_followed(self, row: Row) -> bool:
        rules = self.asked.get("filter", {})
        if "websites" in rules:
            return row["store_id"] == 1
        return not rules or (row["customer_group_id"] != 2 and row["status"] != "x")

    def _counted(self, rows: list[Row]) -> tuple[str, ...]:
        counted = [row for row in rows if row["state"] != "canceled"]
        net = sum(
            (
                Decimal(str(row["base_grand_total"])) - Decimal(str(row.get("base_total_refunded") or 0))
                - Decimal(str(row.get("base_total_canceled") or 0))
                for row in counted
            ),
            Decimal(0),
        )  # fmt: skip
        last = max(counted, key=lambda row: (str(row["created_at"]), int(str(row["entity_id"]))), default=None)
        text = f"{net.normalize():f}"
        whole, _, fraction = text.partition(".")
        return str(len(counted)), f"{whole}.{fraction.ljust(2, '0')}", str(last["increment_id"]) if last else ""


@given(st.booleans(), st.sampled_from(SETTINGS), st.integers(0, 2**32))
@settings(max_examples=example_count(40), deadline=None)
def test_a_drawn_history_ends_in_what_counting_its_orders_gives(
    by_email: bool, asked: dict[str, Any], seed: int
) -> None:
    """After every event, what HubSpot holds of each contact with orders is what its orders give, counted one by one."""
    with replica_harness(contacts_by_email=by_email, customer_value=WORTH, **asked) as harness:
        history = History(harness, random.Random(seed), asked)
        for number in range(30):
            event = history.step()
            for contact, wanted in history.expected(by_email=by_email).items():
                held = history.held.get(contact, {})
                found = tuple(held.get(name, "") for name in NAMES)
                assert found == wanted, (number, event, contact)


def test_a_first_load_counts_nothing_before_it_is_through() -> None:
    """A sum over the orders read so far would be wrong: contacts go without one, and get it at the end of the load."""
    with replica_harness(customer_value=WORTH) as harness:
        engine = harness.engine
        columns = {spec.name: spec.columns for spec in engine.tables}
        with engine.store.transaction():
            engine.load.begin(Phase.LOADING)
        harness.insert("customer_entity", **customer())
        orders = [order(number, customer_id=7, base_grand_total="5.0000") for number in (1, 2, 3)]
        with engine.store.transaction():
            cells = [tuple(row.get(column) for column in columns["sales_order"]) for row in orders]
            engine.ingest.load_chunk("sales_order", cells, Position("binlog.000001", 4), None, done=True)

            assert engine.rows.totals("sales_order", "customer_id", 7) is None
            made = harness.mapper.render(BOB, engine.rows)
            assert made is not None
            assert "orders_count" not in made.properties
            engine.ingest.load_done(Position("binlog.000001", 4))
        harness.apply([])

        [bob] = [message for message in harness.sent() if message.external_id == "magento-customer-7"]
        assert (bob.properties["orders_count"], bob.properties["orders_revenue"]) == ("3", "15.00")


@pytest.mark.parametrize("by_email", [False, True])
def test_an_order_costs_the_same_with_ten_thousand_before_it(by_email: bool) -> None:
    """Statements run and instructions of SQLite's machine, for an order with a line from the log to the outbox."""
    costs = {}
    for size in (10, 10_000):
        with replica_harness(contacts_by_email=by_email, customer_value=WORTH) as harness:
            harness.insert("customer_entity", **customer(email="bob@example.com"))
            _fill(harness, size)
            harness.sent()
            costs[size] = _cost(harness, size + 1)
    few, many = costs[10], costs[10_000]

    # A customer's rows met lately need no statement, and ten thousand orders leave none of them in memory.
    assert 20 < few[0] <= many[0] <= few[0] + 3
    assert many[1] == pytest.approx(few[1], rel=0.04)


def _order(number: int) -> Row:
    placed = f"2026-03-01 {number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}"
    return order(
        number, customer_id=7, customer_is_guest=0, customer_email="bob@example.com", base_currency_code="EUR",
        base_grand_total="5.0000", created_at=placed,
    )  # fmt: skip


def _fill(harness: ReplicaHarness, size: int) -> None:
    """So many orders of one customer."""
    harness.commit(*(harness.change("sales_order", Op.INSERT, None, _order(number)) for number in range(1, size + 1)))


def _cost(harness: ReplicaHarness, number: int) -> tuple[int, int]:
    """Statements, and instructions of SQLite's machine, for one more order with a line."""
    statements: list[str] = []
    instructions = 0

    def count() -> int:
        nonlocal instructions
        instructions += 1
        return 0

    db = harness.engine.store.db
    db.set_trace_callback(statements.append)
    db.set_progress_handler(count, 1)
    harness.commit(
        harness.change("sales_order", Op.INSERT, None, _order(number)),
        harness.change("sales_order_item", Op.INSERT, None, item(number, order_id=number)),
    )
    db.set_progress_handler(None, 0)
    db.set_trace_callback(None)
    assert any(message.external_id == "magento-customer-7" for message in harness.sent())
    return len(statements), instructions
