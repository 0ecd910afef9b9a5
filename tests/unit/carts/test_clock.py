"""The time of a cart: right after kills, replays, downtime and steps of the clock, and asked of the server before it
counts.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cdc.cart_timer import CartTimer, ShopTime
from cdc.engine.state_thread import StateThread, TransactionQueue
from cdc.errors import SourceDisconnectedError
from cdc.model import Kind, ObjectRef, Position, Transaction, Value
from cdc.replica.load_state import Phase
from cdc.settings.config import ApplySettings
from cdc.settings.mapping import MappingSettings
from tests.kit.replica_harness import ReplicaHarness
from tests.kit.toy import FixedClock
from tests.unit.carts.shop import AFTER_MS, CartShop, cart_shop, line, quote

DAY_MS = 86_400_000


def clock_row(shop: CartShop) -> tuple[int, int, int]:
    """changed_ms, abandoned_ms, is_shown of cart 17."""
    rows = shop.engine.store.db.execute("SELECT changed_ms, abandoned_ms, is_shown FROM cart_clock WHERE quote_id = 17")
    found: tuple[int, int, int] = rows.fetchone()
    return found


def test_a_day_of_downtime_changes_nothing_but_the_moment_of_sending() -> None:
    """The cart is abandoned since an hour after its last change, whenever that is noticed."""
    with cart_shop() as shop:
        shop.fill()
        changed_ms = shop.now_ms
        shop.wait(24 * 60)
        assert clock_row(shop) == (changed_ms, changed_ms + AFTER_MS, 1)


def test_an_order_in_the_part_of_the_log_not_read_yet_wins() -> None:
    """After downtime the log is applied first; only then the timer looks."""
    with cart_shop() as shop:
        shop.fill()
        shop.harness.now_ms += DAY_MS
        shop.order()
        shop.look()
        assert "cart-17" not in shop.said()


def test_two_members_agree_on_which_carts_were_left() -> None:
    """One looked while the cart was left, the other one only after the shopper was back: both know it as pending."""
    facts = []
    for looks in (True, False):
        with cart_shop(sent_as="both") as shop:
            shop.fill()
            shop.harness.now_ms += AFTER_MS + 60_000
            if looks:
                shop.look()
            shop.harness.update("quote_item", line(), qty="3.0000")
            facts.append((clock_row(shop), {one.external_id: dict(one.properties) for one in shop.sent()}))
    (seen, sent), (unseen, sent_late) = facts
    assert seen == unseen == (seen[0], 0, 1)
    assert sent["magento-cart_object-17"] == sent_late["magento-cart_object-17"]


@pytest.mark.parametrize("looks", [True, False])
def test_an_order_completes_a_cart_that_was_left_whoever_looked(looks: bool) -> None:
    """HubSpot's cart is the history of the purchase, and another member may have sent it already."""
    with cart_shop(sent_as="cart") as shop:
        shop.fill()
        shop.harness.now_ms += AFTER_MS + 60_000
        if looks:
            shop.look()
        shop.order()
        [status] = [one.properties["status"] for one in shop.sent() if one.external_id == "magento-cart_object-17"][-1:]
        assert status == "completed"


def test_a_kill_loses_no_fact_and_repeats_none(tmp_path: Path) -> None:
    """What was written before it is there after it: the same deal, no second message."""
    settings = MappingSettings.model_validate({"carts": {"enabled": True}})
    first = CartShop(ReplicaHarness(tmp_path, settings, contacts_by_email=True))
    first.fill()
    first.wait(61)
    assert "cart-17" in first.said()
    held = clock_row(first)
    first.harness.close()
    harness = ReplicaHarness(tmp_path, settings, contacts_by_email=True)
    again = CartShop.__new__(CartShop)
    again.harness, again.engine = harness, harness.engine
    again.look()
    assert (clock_row(again), again.sent()) == (held, [])
    harness.close()


def test_a_replay_of_the_log_moves_no_clock() -> None:
    """The same transactions once more: rows and facts are as they were."""
    with cart_shop() as shop:
        shop.fill()
        shop.wait(61)
        shop.sent()
        before = clock_row(shop)
        changes = [shop.harness.change("quote_item", 2, line(), line())]  # type: ignore[arg-type]  # an UPDATE
        shop.harness.apply([Transaction(changes, Position("binlog.000001", 2000), shop.now_ms, 0)])
        assert clock_row(shop) == before
        assert shop.sent() == []


def test_a_cart_met_by_the_load_is_as_old_as_the_shop_says() -> None:
    """There is no commit time of a row that was read: its updated_at counts."""
    with cart_shop() as shop:
        with shop.engine.store.transaction():
            shop.engine.applier.load("quote", [tuple(quote().get(c) for c in shop.harness._columns["quote"])], 10**9)
            shop.engine.applier.load(
                "quote_item", [tuple(line().get(c) for c in shop.harness._columns["quote_item"])], 10**9
            )
            shop.engine.rendering.invalidate_everything(0)
        shop.harness.apply(())
        assert clock_row(shop)[0] == 1_699_999_800_000  # 2023-11-14 22:10:00
        shop.wait(61)
        urgencies = dict(shop.engine.store.db.execute("SELECT kind, urgency FROM outbox"))
        assert urgencies == {"cart": 1, "guest": 1}  # as history: an old cart greets nobody as news


def test_another_mapping_starts_no_clock_anew(tmp_path: Path) -> None:
    """What counts in a cart is written in another currency; the shop has not touched the cart."""
    made: list[tuple[int, int, int]] = []
    for currency in ("order", "base"):
        settings = MappingSettings.model_validate({"carts": {"enabled": True}, "currency": currency})
        shop = CartShop.__new__(CartShop)
        shop.harness = ReplicaHarness(tmp_path, settings, contacts_by_email=True)
        shop.engine = shop.harness.engine
        with shop.engine.store.transaction():
            for table, row in (("quote", quote()), ("quote_item", line())):
                columns = shop.engine.rows.tables[table].spec.columns
                shop.engine.applier.load(table, [tuple(map(row.get, columns))], 1 << 60)
            shop.engine.rendering.invalidate_everything(0)
        shop.harness.apply(())
        # The second time, before the timer looks: it would leave the cart pending until then.
        made.append(clock_row(shop))
        shop.wait(61)
        held = clock_row(shop)
        shop.harness.close()
    assert held[1]
    assert made[1] == held


def test_a_live_change_under_another_mapping_starts_no_clock_anew(tmp_path: Path) -> None:
    """The buyer's name is no content: the first change after the settings changed must not look like another cart."""
    row: dict[str, Value] = {}
    clocks = []
    for word in ("a", "b"):
        carts = {"enabled": True, "restore_url": f"https://shop.example.com/{word}?c={{quote_id}}"}
        shop = CartShop.__new__(CartShop)
        shop.harness = ReplicaHarness(
            tmp_path, MappingSettings.model_validate({"carts": carts}), contacts_by_email=True
        )
        shop.engine = shop.harness.engine
        row = shop.harness.update("quote", row, customer_firstname=word) if row else shop.fill()
        shop.sent()
        clocks.append(clock_row(shop))
        shop.harness.close()
    assert clocks[0] == clocks[1]


def test_a_change_that_only_a_resync_finds_is_as_old_as_the_shops_last_save() -> None:
    """The log lost it: the cart changed half an hour before it was taken for abandoned."""
    with cart_shop() as shop:
        shop.fill()
        shop.wait(61)
        shop.sent()
        assert clock_row(shop)[1]
        saved = quote(updated_at="2023-11-14 22:43:00")
        with shop.engine.store.transaction():
            for table, row in (("quote", saved), ("quote_item", line(qty="3.0000"))):
                columns = shop.engine.rows.tables[table].spec.columns
                shop.engine.applier.load(table, [tuple(map(row.get, columns))], 1 << 60)
            shop.engine.rendering.invalidate_everything(0)
        shop.harness.apply(())

        assert clock_row(shop) == (1_700_001_780_000, 0, 1)
        assert shop.said()["cart-17"] == "checkout_pending"


def test_without_a_first_load_the_rows_of_a_cart_are_fetched_before_it_is_sent() -> None:
    """With ``start = "latest"`` the replica never holds everything, and an order may be missing from it."""
    with cart_shop() as shop:
        shop.fill()
        shop.engine.load.phase, shop.engine.load.is_complete = Phase.FETCHING, False
        shop.wait(61)
        asked = shop.engine.store.db.execute("SELECT kind, needs_fetch FROM render_queue ORDER BY kind")
        assert [*asked] == [("cart", 1), ("guest", 1)]


def test_carts_wait_until_the_load_is_through() -> None:
    """Before that an order may be missing from the replica."""
    with cart_shop() as shop:
        shop.fill()
        shop.harness.now_ms += DAY_MS
        shop.engine.store.meta.applied_lsn = 1 << 50  # a replay: the log was applied further than it is read again
        shop.engine.positions.reread()
        shop.look()
        assert shop.sent() == []


# ------------------------------------------------------------------------------------------------------ the timer


def test_the_time_is_the_shops_own() -> None:
    """A step of this machine's clock makes no cart older; before anything was read there is nothing better."""

    class Clock(FixedClock):
        passed = 0.0

        def monotonic(self) -> float:
            return self.passed

    clock = Clock(5_000_000)
    time = ShopTime(clock, is_live=True)
    assert time.now_ms() == 5_000_000
    time.note(1_000_000)
    clock.passed = 30.0
    clock.ms += DAY_MS
    assert time.now_ms() == 1_030_000
    clock.ms = 0
    assert time.now_ms() == 1_030_000


def test_a_topic_that_stands_still_stops_the_time() -> None:
    """The relay may be down, and orders may have come since: only later commits show that the time went on."""
    clock = FixedClock(5_000_000)
    time = ShopTime(clock, is_live=False)
    assert time.now_ms() == 0
    time.note(2_000_000)
    time.note(1_000_000)
    clock.ms += DAY_MS
    assert time.now_ms() == 2_000_000


class Watcher:
    """Nobody."""

    def on_commit(self, seconds: float, *, has_news: bool) -> None:
        """Nothing."""

    def on_failure(self, error: BaseException) -> None:
        """Nothing."""
        raise error


@dataclass
class Server:
    """The shop's server, as the timer asks it. ``clock_ms`` 0: it is a replica, or does not say what it is."""

    asked: list[str] = field(default_factory=list)
    clock_ms: int = 0
    is_away: bool = False

    def end(self) -> Position:
        """The end of its log."""
        self.asked.append("end")
        if self.is_away:
            raise SourceDisconnectedError("no server")
        return Position("binlog.000001", 9999)

    def shop_ms(self) -> int:
        """Its clock."""
        self.asked.append("time")
        return self.clock_ms


@pytest.mark.parametrize("case", ["read", "behind", "away", "not due"])
async def test_a_cart_is_abandoned_only_if_the_log_is_read_to_its_end(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end is asked for only while a cart is due, and a server that does not answer leaves it due."""
    monkeypatch.setattr("cdc.cart_timer.READ_S", 0)
    with cart_shop() as shop:
        shop.fill()
        state = StateThread(shop.engine, TransactionQueue(1000), ApplySettings(), Watcher())
        shop.engine.store.db.execute("SELECT 1")
        server = Server(is_away=case == "away")
        time = ShopTime(FixedClock(shop.now_ms), is_live=True)
        time.note(shop.now_ms + (AFTER_MS + 1000 if case != "not due" else 0))
        timer = CartTimer(state, time, server, lambda position: case == "read", asyncio.Event())
        done = asyncio.create_task(_serve(state))
        if case == "away":
            with pytest.raises(SourceDisconnectedError):
                await timer.look()
        else:
            await timer.look()
        done.cancel()
        assert server.asked == ([] if case == "not due" else ["end"])
        assert bool(clock_row(shop)[1]) is (case == "read")
        cart = ObjectRef(Kind.CART, 17)
        assert shop.engine.rows.get("cart_clock", cart.id) is not None


@pytest.mark.parametrize(
    ("clock_ms", "asked", "is_abandoned"),
    [(3 * AFTER_MS, ["time", "end"], True), (AFTER_MS // 2, ["time"], False), (0, ["time"], False)],
    ids=["long ago", "just now", "a replica"],
)
async def test_after_a_restart_the_shops_own_server_says_how_late_it_is(
    clock_ms: int, asked: list[str], is_abandoned: bool
) -> None:
    """In a quiet shop the last commit, which is read again, is hours old, and no other one may come for hours.
    A replica's clock says nothing of the shop. Asked at most once a minute, and before the log's end is.
    """
    with cart_shop() as shop:
        shop.fill()
        state = StateThread(shop.engine, TransactionQueue(1000), ApplySettings(), Watcher())
        server = Server(clock_ms=shop.now_ms + clock_ms if clock_ms else 0)
        time = ShopTime(FixedClock(shop.now_ms + DAY_MS), is_live=True)
        time.note(shop.now_ms)
        timer = CartTimer(state, time, server, lambda position: True, asyncio.Event())
        done = asyncio.create_task(_serve(state))
        await timer.look()
        await timer.look()
        done.cancel()
        assert server.asked == asked
        assert bool(clock_row(shop)[1]) is is_abandoned


async def test_where_no_server_can_be_asked_only_commits_move_the_time() -> None:
    """A member of topics, or a reader of files."""
    with cart_shop() as shop:
        shop.fill()
        state = StateThread(shop.engine, TransactionQueue(1000), ApplySettings(), Watcher())
        time, server = ShopTime(FixedClock(shop.now_ms + DAY_MS), is_live=False), Server(clock_ms=1 << 50)
        time.note(shop.now_ms)
        done = asyncio.create_task(_serve(state))
        await CartTimer(state, time, server, lambda position: True, asyncio.Event()).look()
        done.cancel()
        assert (server.asked, clock_row(shop)[1]) == ([], 0)


async def _serve(state: StateThread) -> None:
    """Carry out the state thread's calls in this thread, where the state was opened."""
    while True:
        state._turn()
        await asyncio.sleep(0)
