"""Carts through any order of shopping, passing time, downtime and kills: what was sent is a full render with the same
clock, and the clock is what the shop's history says.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.model import Action, Change, Op, Value
from cdc.settings.mapping import MappingSettings
from tests.kit.example_count import example_count
from tests.kit.played_scenes import Receiver
from tests.kit.recording import rendered
from tests.kit.replica_harness import ReplicaHarness
from tests.kit.rows import DictRows
from tests.unit.carts.shop import AFTER_MS, MINUTE_MS, quote
from tests.unit.mappers.shops import REFERENCES

EMAILS = (None, "ann@example.com", "bob@example.com", "Ann@Example.com")
CARTS = st.integers(1, 4)
STEPS = st.one_of(
    st.tuples(st.just("fills"), CARTS, st.sampled_from((*EMAILS, "ann@example.com")), st.sampled_from((None, None, 7))),
    st.tuples(st.just("types an address"), CARTS, st.sampled_from(EMAILS)),
    st.tuples(st.just("gets another address"), CARTS, st.sampled_from(EMAILS)),
    st.tuples(st.just("changes"), CARTS, st.integers(1, 5)),
    st.tuples(st.just("is recounted"), CARTS),
    st.tuples(st.just("is emptied"), CARTS),
    st.tuples(st.just("is ordered"), CARTS, st.sampled_from(EMAILS)),
    st.tuples(st.just("is ordered"), CARTS, st.sampled_from(EMAILS)),
    st.tuples(st.just("is switched"), CARTS, st.sampled_from((0, 1))),
    st.tuples(st.just("is cleaned away"), CARTS),
    st.tuples(st.just("order is deleted"), st.integers(1, 3)),
    st.tuples(st.just("registers or leaves"), st.sampled_from(EMAILS)),
    st.tuples(st.just("time passes"), st.sampled_from((1, 30, 61, 61, 1500))),
    st.tuples(st.just("is down"), st.sampled_from((1, 61, 1500))),
    st.tuples(st.just("is killed"), st.booleans()),
)


@dataclass
class Shop:
    """The shop's rows, and the transactions that the daemon has not read yet."""

    now_ms: int = 1_700_000_000_000
    tables: dict[str, dict[int, dict[str, Value]]] = field(default_factory=dict)
    unread: list[tuple[int, list[tuple[str, Op, dict[str, Value] | None, dict[str, Value] | None]]]] = field(
        default_factory=list
    )
    is_down: bool = False
    contents: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    """What counts in each open cart, told by this test's own words."""
    changed_ms: dict[int, int] = field(default_factory=dict)
    """When that changed last."""
    shown: set[int] = field(default_factory=set)
    """The carts that are objects in HubSpot: they were left, and nothing ended them since but an order."""
    ordered: set[int] = field(default_factory=set)
    """The carts with an order."""

    def rows(self, table: str) -> dict[int, dict[str, Value]]:
        """The table's rows by key."""
        return self.tables.setdefault(table, {})

    def write(self, *rows: tuple[str, int, dict[str, Value] | None]) -> None:
        """One transaction: each row by table and key, None to delete it."""
        self.now_ms += 1000
        changes = []
        for table, key, after in rows:
            before = self.rows(table).pop(key, None)
            if after is not None:
                self.rows(table)[key] = after
            op = Op.DELETE if after is None else Op.INSERT if before is None else Op.UPDATE
            if before != after:
                changes.append((table, op, before, after))
        if changes:
            self.unread.append((self.now_ms, changes))
            self._note()

    def _note(self) -> None:
        """Which carts are open after this transaction, and which of them it changed."""
        ordered = {number for row in self.rows("sales_order").values() if isinstance(number := row["quote_id"], int)}
        # Left is left, whether or not the daemon was there to see it.
        self.shown |= {number for number in self.contents if self.changed_ms[number] + AFTER_MS <= self.now_ms}
        # A cart whose order was deleted is open again, if at all, and begins anew.
        self.shown -= self.ordered - ordered
        self.ordered = ordered
        before, self.contents = self.contents, {}
        for number, cart in self.rows("quote").items():
            line, typed = self.rows("quote_item").get(number), self.rows("quote_address").get(number, {})
            email = str(cart["customer_email"] or typed.get("email") or "").lower()
            if cart["is_active"] and email and line is not None and number not in ordered:
                self.contents[number] = (email, line["qty"])
                if before.get(number) != self.contents[number]:
                    self.changed_ms[number] = self.now_ms
        self.shown &= self.contents.keys() | ordered


class Play:
    """The shop, the daemon's state, and a receiver that accepts everything."""

    def __init__(self, folder: Path, sent_as: str, *, by_email: bool) -> None:
        self._folder, self._by_email = folder, by_email
        self.settings = MappingSettings.model_validate(
            {"carts": {"enabled": True, "as": sent_as, "restore_url": "https://shop.example.com/?c={quote_id}"}}
        )
        self.shop = Shop()
        self.receiver = Receiver()
        self.deals: dict[str, Action] = {}
        self.harness = self._open()
        for table, rows in REFERENCES.items():
            for number, row in enumerate(rows, 1):
                self.shop.write((table, number, row))
        self.read()

    def _open(self) -> ReplicaHarness:
        made = ReplicaHarness(self._folder, self.settings, contacts_by_email=self._by_email)
        made.now_ms = self.shop.now_ms
        return made

    def read(self) -> None:
        """The daemon reads what it has not read, and then the timer looks."""
        if self.shop.is_down:
            return
        for at_ms, changes in self.shop.unread:
            self.harness.now_ms = at_ms - 1000
            self.harness.commit(*(self._change(*one) for one in changes))
        self.shop.unread.clear()
        self.harness.let_pass(self.shop.now_ms)
        self.shop.shown |= {
            number for number in self.shop.contents if self.shop.changed_ms[number] + AFTER_MS <= self.shop.now_ms
        }
        self._deliver()

    def _change(self, table: str, op: Op, before: Any, after: Any) -> Change:
        return self.harness.change(table, op, before, after)

    def _deliver(self) -> None:
        messages = self.harness.sent()
        self.receiver.take(messages)
        self.deals |= {one.external_id: one.action for one in messages}

    def kill(self, *, before_delivery: bool) -> None:
        """The daemon is killed: before what it rendered is sent, or between two transactions."""
        if self.shop.is_down:
            return
        if before_delivery:
            for at_ms, changes in self.shop.unread:
                self.harness.now_ms = at_ms - 1000
                self.harness.commit(*(self._change(*one) for one in changes))
            self.shop.unread.clear()
        self.harness.close()
        self.harness = self._open()

    def check(self) -> None:
        """What was sent is a full render of the shop's rows with the state's clock, and the clock is right."""
        rows = DictRows(self.harness.mapper)
        for table, held in self.shop.tables.items():
            for row in held.values():
                rows.put(table, **row)
        clocks = self.harness.cart_clocks()
        for clock in clocks:
            rows.put("cart_clock", **clock)
        assert self.receiver.differences(rendered(rows)) == []
        shop, carts = self.shop, self.settings.carts
        kept = shop.shown & shop.ordered if carts.as_objects else set()
        assert {clock["quote_id"] for clock in clocks} == shop.contents.keys() | kept
        for clock in clocks:
            number, changed_ms = clock["quote_id"], clock["changed_ms"]
            if number in kept:
                continue
            assert isinstance(number, int)
            assert isinstance(changed_ms, int)
            assert changed_ms == self.shop.changed_ms[number]
            due = changed_ms + AFTER_MS
            assert clock["abandoned_ms"] == (due if due <= self.shop.now_ms else 0)
            assert number not in shop.ordered
        sent = {name for name in self.receiver.objects if name.startswith("magento-cart")}
        deals = {f"magento-cart-{number}" for number in shop.shown - shop.ordered} if carts.as_deals else set()
        objects = {f"magento-cart_object-{number}" for number in shop.shown} if carts.as_objects else set()
        assert {name for name in sent if "item" not in name} == deals | objects, "one deal and one cart per purchase"
        lines = {f"magento-cart_item-{number}" for number in shop.shown & shop.rows("quote_item").keys()}
        assert {name for name in sent if "item" in name} == (lines if carts.as_objects else set())


@given(st.lists(STEPS, max_size=40), st.sampled_from(["deal", "cart", "both"]), st.booleans())
@settings(max_examples=example_count(60), deadline=None)
def test_what_is_sent_is_a_full_render_with_the_same_clock(
    steps: list[tuple[Any, ...]], sent_as: str, by_email: bool
) -> None:
    """After every step that the daemon has seen; a cart with an order has no deal beside the order's, and a cart that
    was left stays one cart.
    """
    with tempfile.TemporaryDirectory() as folder:
        play = Play(Path(folder), sent_as, by_email=by_email)
        try:
            for step in steps:
                _do(step, play)
                play.read()
                if not play.shop.is_down:
                    play.check()
            play.shop.is_down = False
            play.read()
            play.check()
        finally:
            play.harness.close()


def _do(step: tuple[Any, ...], play: Play) -> None:  # noqa: C901  # a case per kind of step
    shop = play.shop
    match step:
        case ("fills", number, email, customer) if number not in shop.rows("quote"):
            cart = quote(number, customer_email=email, customer_id=customer)
            line = {
                "item_id": number,
                "quote_id": number,
                "sku": "MUG",
                "name": "Mug",
                "qty": "1.0000",
                "price": "2.0000",
            }
            shop.write(("quote", number, cart), ("quote_item", number, line))
        case ("types an address", number, email) if number in shop.rows("quote"):
            row = {"address_id": number, "quote_id": number, "address_type": "shipping", "email": email}
            shop.write(("quote_address", number, row))
        case ("gets another address", number, email) if number in shop.rows("quote"):
            shop.write(("quote", number, {**shop.rows("quote")[number], "customer_email": email}))
        case ("changes", number, count) if number in shop.rows("quote_item"):
            shop.write(("quote_item", number, {**shop.rows("quote_item")[number], "qty": f"{count}.0000"}))
        case ("is recounted", number) if number in shop.rows("quote"):
            shop.write(("quote", number, {**shop.rows("quote")[number], "updated_at": f"2024-01-01 {number:02}:00:00"}))
        case ("is emptied", number) if number in shop.rows("quote_item"):
            shop.write(("quote_item", number, None))
        case ("is ordered", number, email) if number in shop.rows("quote"):
            placed = len(shop.rows("sales_order")) + 1
            while placed in shop.rows("sales_order"):
                placed += 1
            shop.write(("sales_order", placed, _order(placed, number, email or "eve@example.com")))
        case ("is switched", number, active) if number in shop.rows("quote"):
            shop.write(("quote", number, {**shop.rows("quote")[number], "is_active": active}))
        case ("is cleaned away", number) if number in shop.rows("quote"):
            shop.write(("quote", number, None))
            for table in ("quote_item", "quote_address"):  # InnoDB's cascade, below the log
                shop.rows(table).pop(number, None)
        case ("order is deleted", number) if number in shop.rows("sales_order"):
            shop.write(("sales_order", number, None))
        case ("registers or leaves", email):
            gone = 7 in shop.rows("customer_entity")
            shop.write(("customer_entity", 7, None if gone else _customer(email)))
        case ("time passes", minutes):
            shop.now_ms += minutes * MINUTE_MS
        case ("is down", minutes):
            shop.is_down = not shop.is_down
            shop.now_ms += minutes * MINUTE_MS
        case ("is killed", before_delivery):
            play.kill(before_delivery=before_delivery)


def _order(number: int, cart: int, email: str) -> dict[str, Value]:
    return {
        "entity_id": number, "increment_id": f"{number:09}", "store_id": 1, "state": "new", "status": "pending",
        "customer_is_guest": 1, "customer_group_id": 0, "customer_email": email, "quote_id": cart,
        "order_currency_code": "EUR", "grand_total": "5.0000", "created_at": "2023-11-15 00:00:00",
    }  # fmt: skip


def _customer(email: str | None) -> dict[str, Value]:
    return {"entity_id": 7, "website_id": 1, "email": email, "group_id": 1, "firstname": "Kim"}
