"""The rules of delivery, one by one, with the real state file and in simulated time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cdc.errors import BatchRefusedError, SinkThrottledError, SinkUnauthorizedError, SinkUnavailableError
from cdc.model import Action, ObjectType, Outcome, Quota, Urgency
from cdc.replica import deadletters
from tests.kit.clock import START_MS, simulate
from tests.kit.desk import Desk, as_json, customer, item, order, product, reject
from tests.kit.fakesink import FakeSink, Plan


def test_an_order_goes_after_its_customer_and_a_line_after_its_order(tmp_path: Path) -> None:
    """A message is sent when all it refers to is accepted."""

    async def story() -> None:
        desk = Desk(tmp_path)
        desk.books.put(item(5), order(3), product(4))
        desk.books.put(order(3), customer(1))
        for ref in (customer(1), product(4)):
            desk.books.put(ref)

        assert await desk.deliver() == "empty"
        assert [ids for batch in desk.sent() for ids in batch] == ["customer-1", "product-4", "order-3", "item-5"]
        assert desk.books.rows("SELECT count(*) FROM outbox") == [(0,)]

    simulate(story())


def test_a_batch_holds_one_type_and_the_older_head_goes_first(tmp_path: Path) -> None:
    """Contacts and products share a lane; the type whose oldest message waits longer is sent first."""

    async def story() -> None:
        desk = Desk(tmp_path)
        for ref in (product(1), customer(1), product(2), customer(2)):
            desk.books.put(ref)
        await desk.deliver()
        assert desk.sent()[:2] == [("product-1", "product-2"), ("customer-1", "customer-2")]

    simulate(story())


def test_a_newer_version_waits_for_the_one_on_the_wire(tmp_path: Path) -> None:
    """One message of an object is in flight; the entry goes only if it is the version that was sent."""

    async def story() -> None:
        desk = Desk(tmp_path, FakeSink(plan=lambda _: Plan(before_s=1.0)))
        desk.books.put(customer(1), name="old")
        async with desk.running() as delivery:
            await asyncio.sleep(0.5)
            desk.books.put(customer(1), name="new")
            delivery.wake()
            await asyncio.sleep(0.3)
            assert len(desk.sent()) == 1
            await desk.settle(delivery)
        assert [m.properties["name"] for _, batch in desk.sink.requests for m in batch] == ["old", "new"]
        assert desk.properties(customer(1)) == {"name": "new"}

    simulate(story())


def test_what_was_tried_is_noted_before_the_request_leaves(tmp_path: Path) -> None:
    """The ledger knows of every version on the wire, so a crash never makes the renderer forget one."""

    async def story() -> None:
        desk = Desk(tmp_path, FakeSink(plan=lambda _: Plan(before_s=5.0)))
        desk.books.put(customer(1), commit_ms=START_MS + 7)
        async with desk.running():
            await asyncio.sleep(1.0)
            assert desk.books.rows("SELECT tried_at, accepted_at FROM ledger") == [(START_MS + 7, 0)]

    simulate(story())


def test_a_deletion_waits_for_messages_whose_accepted_version_refers_to_it(tmp_path: Path) -> None:
    """An order's customer is deleted only once the order's newer version, without it, is accepted."""

    async def story() -> None:
        desk = Desk(tmp_path)
        desk.books.put(order(3), customer(1))
        desk.books.put(customer(1))
        await desk.deliver()
        desk.sink.requests.clear()

        desk.delivery = desk.make()
        desk.books.remove(customer(1))
        desk.books.put(order(3))
        assert await desk.deliver() == "empty"
        assert desk.sent() == [("order-3",), ("customer-1",)]
        assert set(desk.sink.held) == {"magento-order-3"}

    simulate(story())


def test_nothing_refers_to_an_object_whose_deletion_is_on_the_wire(tmp_path: Path) -> None:
    """From the moment a DELETE leaves, an order with that customer waits until the customer comes anew."""

    async def story() -> None:
        desk = Desk(tmp_path)
        desk.books.put(customer(1))
        await desk.deliver()
        desk.books.remove(customer(1))
        desk.delivery = desk.make()
        desk.sink.plan = lambda _: Plan(before_s=1.0)
        async with desk.running() as delivery:
            await asyncio.sleep(0.5)  # the DELETE is on its way
            desk.books.put(customer(1))
            desk.books.put(order(3), customer(1))
            assert await desk.settle(delivery) == "empty"
        assert desk.sent()[-2:] == [("customer-1",), ("order-3",)]

    simulate(story())


def test_an_order_goes_without_its_dead_customer_and_again_with_it(tmp_path: Path) -> None:
    """A deal never waits for a dead letter; once the contact is accepted after all, the deal is rendered again."""

    async def story() -> None:
        desk = Desk(tmp_path, FakeSink(plan=lambda _: Plan(outcomes=reject("customer-1"))))
        desk.books.put(order(3), customer(1))
        desk.books.put(customer(1))
        assert await desk.deliver() == "empty"
        assert desk.books.letters() == [("customer", 1)]
        assert desk.sink.held["magento-order-3"].associations == {}

        desk.sink.plan = lambda _: Plan()
        desk.delivery = desk.make()
        assert desk.books.run(lambda store: deadletters.retry(store, customer(1)))
        assert await desk.deliver() == "empty"
        assert desk.books.letters() == []
        assert desk.sink.held["magento-order-3"].associations == {ObjectType.CONTACT: ("magento-customer-1",)}

    simulate(story())


def test_a_line_waits_for_its_dead_deal_and_says_so(tmp_path: Path) -> None:
    """A line item is never sent without its deal; what it waits for is listed."""

    async def story() -> None:
        desk = Desk(tmp_path, FakeSink(plan=lambda _: Plan(outcomes=reject("order-3"))))
        desk.books.put(order(3))
        desk.books.put(item(5), order(3))
        assert await desk.deliver() == "stuck"
        assert desk.books.run(desk.delivery.causes) == [
            "magento-item-5 (UPSERT): waits for order-3, which is a dead letter"
        ]

    simulate(story())


def test_a_line_goes_without_its_dead_product_only_where_the_sink_takes_that(tmp_path: Path) -> None:
    """Whether a line needs its product is the sink's to say."""

    async def story(folder: Path, *, needs: bool) -> list[str]:
        desk = Desk(folder, FakeSink(plan=lambda _: Plan(outcomes=reject("product-4"))))
        desk.books.put(order(3))
        desk.books.put(item(5), order(3), product(4))
        desk.books.put(product(4))
        desk.delivery = desk.make(lines_need_product=needs)
        await desk.deliver()
        return sorted(desk.sink.held)

    assert simulate(story(tmp_path / "a", needs=False)) == ["magento-item-5", "magento-order-3"]
    assert simulate(story(tmp_path / "b", needs=True)) == ["magento-order-3"]


def test_live_goes_before_history_and_lifts_what_it_refers_to(tmp_path: Path) -> None:
    """A live order pulls its customer out of the history class."""

    async def story() -> None:
        desk = Desk(tmp_path, FakeSink(max_batch=2))
        for number in range(1, 21):
            desk.books.put(customer(number), urgency=Urgency.HISTORY)
        desk.books.put(order(3), customer(20), urgency=Urgency.LIVE)
        await desk.deliver()
        contacts = [name for batch in desk.sent(ObjectType.CONTACT) for name in batch]
        assert contacts.index("customer-20") < 9  # before most of the history that stood in front of it
        assert len(contacts) == 20

    simulate(story())


def test_an_accepted_message_supersedes_the_dead_letter(tmp_path: Path) -> None:
    """A newer version of the object that is accepted removes its dead letter."""

    async def story() -> None:
        desk = Desk(tmp_path, FakeSink(plan=lambda _: Plan(outcomes=reject("customer-1"))))
        desk.books.put(customer(1), name="bad")
        await desk.deliver()
        assert desk.books.letters() == [("customer", 1)]
        desk.sink.plan = lambda _: Plan()
        desk.delivery = desk.make()
        desk.books.put(customer(1), name="good")
        await desk.deliver()
        assert desk.books.letters() == []

    simulate(story())


def test_one_poison_message_of_two_hundred_is_set_aside_alone(tmp_path: Path) -> None:
    """A refused batch is split until the guilty message stands alone; all others are accepted within a second."""

    async def story() -> None:
        desk = Desk(tmp_path)
        desk.sink.poison = {"magento-customer-137"}
        for number in range(200):
            desk.books.put(customer(number))
        assert await desk.deliver() == "empty"
        assert desk.books.letters() == [("customer", 137)]
        assert len(desk.sink.held) == 199
        assert len(desk.sink.requests) <= 2 * 8 + 1
        assert desk.sink.requests[-1][0] < 1.0

    simulate(story())


def test_splitting_leaves_most_of_the_quota_to_others(tmp_path: Path) -> None:
    """Of ten requests per ten seconds at most two are pieces of a refused batch."""

    async def story() -> None:
        desk = Desk(tmp_path, sink={"max_requests_per_10s": 10})
        desk.sink.poison = {"magento-customer-3"}
        for number in range(8):
            desk.books.put(customer(number))
        assert await desk.deliver() == "empty"
        times = [at for at, _ in desk.sink.requests[1:]]
        assert all(sum(1 for t in times if at <= t < at + 10) <= 2 for at in times)

    simulate(story())


def test_a_message_that_only_ever_fails_is_parked_alone(tmp_path: Path) -> None:
    """A batch that fails three times while others succeed is split, and the guilty message gets its own schedule."""

    async def story() -> None:
        def plan(messages: object) -> Plan:
            ids = {m.external_id for m in messages}  # type: ignore[attr-defined]
            if "magento-customer-3" in ids:
                return Plan(is_applied=False, error=SinkUnavailableError("500"))
            return Plan()

        desk = Desk(tmp_path, FakeSink(plan=plan))
        for number in range(8):
            desk.books.put(customer(number))
        for number in range(30):
            desk.books.put(product(number))
        async with desk.running() as delivery:
            for number in range(400):
                desk.books.put(product(number), name=str(number))
                delivery.wake()
                await asyncio.sleep(0.1)
        assert {f"magento-customer-{n}" for n in range(8) if n != 3} <= set(desk.sink.held)
        assert desk.books.rows("SELECT kind, id, attempts >= 3 FROM outbox") == [("customer", 3, 1)]
        assert desk.books.letters() == []
        alone = [batch for batch in desk.sent(ObjectType.CONTACT) if "customer-3" in batch][-1]
        assert alone == ("customer-3",)

    simulate(story())


def test_an_hour_without_the_sink_loses_nothing_and_tries_seldom(tmp_path: Path) -> None:
    """Back-off is capped, endless and shared by all lanes; the first success brings everything back at once."""

    async def story() -> None:
        sink = FakeSink()
        sink.plan = lambda _: (
            Plan(is_applied=False, error=SinkUnavailableError("refused"))
            if asyncio.get_running_loop().time() < 3600
            else Plan()
        )
        desk = Desk(tmp_path, sink)
        for number in range(300):
            desk.books.put(order(number), customer(number))
            desk.books.put(customer(number))
        async with desk.running() as delivery:
            await asyncio.sleep(3000)
            assert not delivery.is_accepting
            assert "refused" in delivery.reason
            tried = len(sink.requests)
            assert 100 < tried < 500
            await desk.settle(delivery)
            assert delivery.is_accepting
        assert len(sink.held) == 600
        assert sink.requests[-1][0] < 3600 + 40

    simulate(story())


def test_a_repaired_key_heals_by_itself(tmp_path: Path) -> None:
    """401 stops sending but for one request every thirty seconds, until one is taken."""

    async def story() -> None:
        sink = FakeSink()
        sink.plan = lambda _: (
            Plan(is_applied=False, error=SinkUnauthorizedError("401"))
            if asyncio.get_running_loop().time() < 100
            else Plan()
        )
        desk = Desk(tmp_path, sink)
        desk.books.put(customer(1))
        async with desk.running() as delivery:
            await asyncio.sleep(50)
            assert delivery.reason.startswith("unauthorized")
            assert await desk.settle(delivery) == "empty"
            assert delivery.is_accepting
        assert [round(at) for at, _ in sink.requests] == [0, 30, 60, 90, 120]

    simulate(story())


def test_a_bad_key_shows_before_there_is_anything_to_send(tmp_path: Path) -> None:
    """The first poll for verdicts already says that the sink takes nothing."""

    async def story() -> None:
        desk = Desk(tmp_path)
        desk.sink.poll_error = SinkUnauthorizedError("401")
        async with desk.running() as delivery:
            await asyncio.sleep(1)
            assert delivery.reason.startswith("unauthorized")
            desk.sink.poll_error = None
            await asyncio.sleep(20)
            assert delivery.is_accepting

    simulate(story())


def test_429_stops_all_lanes_for_the_time_it_says(tmp_path: Path) -> None:
    """Retry-After holds for every lane, not only for the one that met it."""

    async def story() -> None:
        sink = FakeSink()
        errors = [SinkThrottledError("slow down", retry_after_s=7)]
        sink.plan = lambda _: Plan(is_applied=False, error=errors.pop()) if errors else Plan()
        desk = Desk(tmp_path, sink)
        desk.books.put(customer(1))
        async with desk.running() as delivery:
            await asyncio.sleep(1)
            desk.books.put(order(3))
            delivery.wake()
            await desk.settle(delivery)
        times = [at for at, _ in sink.requests]
        assert times[0] == 0
        assert all(at >= 7 for at in times[1:])
        assert len(sink.held) == 2

    simulate(story())


def test_the_quota_is_used_and_never_passed(tmp_path: Path) -> None:
    """With 100 requests per ten seconds and 80 ms answers no window holds more, and 95 % are used."""

    async def story() -> None:
        sink = FakeSink(max_batch=1, plan=lambda _: Plan(0.04, 0.04, quota=Quota(100, None, 10_000)))
        desk = Desk(tmp_path, sink, sink={"max_requests_per_10s": 190})
        desk.books.run(lambda _: None)
        for number in range(1000):
            desk.books.put(customer(number), urgency=Urgency.HISTORY)
        await desk.deliver()
        times = [at for at, _ in sink.requests]
        for start in times:
            assert sum(1 for at in times if start <= at < start + 10) <= 100
        steady = [at for at in times if 20 <= at < 80]
        assert len(steady) >= 0.95 * 600

    simulate(story())


def test_a_live_change_does_not_wait_behind_history_for_quota(tmp_path: Path) -> None:
    """History leaves room in the window, so a change goes at once even when a backlog uses the quota."""

    async def story() -> None:
        sink = FakeSink(max_batch=1)
        desk = Desk(tmp_path, sink, sink={"max_requests_per_10s": 100})
        for number in range(500):
            desk.books.put(customer(number), urgency=Urgency.HISTORY)
        async with desk.running() as delivery:
            await asyncio.sleep(30)
            desk.books.put(customer(9999))
            delivery.wake()
            await asyncio.sleep(0.2)
            assert "magento-customer-9999" in sink.held

    simulate(story())


def test_history_gets_a_small_share_while_live_work_is_ready(tmp_path: Path) -> None:
    """With live work all the time, history uses at most its share of the quota, but is never starved."""

    async def story() -> None:
        sink = FakeSink(max_batch=1)
        desk = Desk(tmp_path, sink, sink={"max_requests_per_10s": 50})
        for number in range(300):
            desk.books.put(product(number), urgency=Urgency.HISTORY)
        for number in range(600):
            desk.books.put(customer(number))
        async with desk.running():
            await asyncio.sleep(100)
            sent = [batch[0] for batch in desk.sent()]
        history = sum(1 for name in sent if name.startswith("product"))
        assert 10 <= history <= 0.1 * 500 + 5

    simulate(story())


def test_a_mass_deletion_is_held_until_released(tmp_path: Path) -> None:
    """Over the limit no DELETE is sent at all; released ones go, and the count begins anew."""
    from cdc.delivery import brakes

    async def story() -> None:
        desk = Desk(tmp_path, delivery={"max_deletes_per_hour": 10})
        for number in range(30):
            desk.books.put(customer(number))
        await desk.deliver()
        for number in range(11):
            desk.books.remove(customer(number))
        desk.delivery = desk.make()
        async with desk.running() as delivery:
            assert await desk.settle(delivery) == "stuck"
            await asyncio.sleep(3)
            assert delivery.reason.startswith("deletes: 11 deletions are held")
            assert len(desk.sink.held) == 30
            assert len(desk.books.run(lambda store: brakes.held(store))) == 11
            now_ms = desk.clock.now_ms()
            assert desk.books.run(lambda store: brakes.release(store, now_ms)) == 11
            await asyncio.sleep(3)
            assert await desk.settle(delivery) == "empty"
            assert delivery.is_accepting
        assert len(desk.sink.held) == 19

    simulate(story())


def test_deletions_within_the_limit_go(tmp_path: Path) -> None:
    """An hour's worth of deletions is sent without anybody's leave; the next hour has its own."""

    async def story() -> None:
        desk = Desk(tmp_path, delivery={"max_deletes_per_hour": 10})
        for number in range(30):
            desk.books.put(customer(number))
        async with desk.running() as delivery:
            for start in (0, 10):
                for number in range(start, start + 10):
                    desk.books.remove(customer(number))
                delivery.wake()
                assert await desk.settle(delivery) == "empty"
                await asyncio.sleep(3700)
        assert len(desk.sink.held) == 10

    simulate(story())


def test_too_many_dead_letters_stop_sending(tmp_path: Path) -> None:
    """A fault that makes every message bad must not turn the whole outbox into dead letters."""

    async def story() -> None:
        desk = Desk(tmp_path, FakeSink(max_batch=5), delivery={"max_dead_letters_per_hour": 10})
        desk.sink.poison = {f"magento-customer-{number}" for number in range(200)}
        for number in range(200):
            desk.books.put(customer(number))
        async with desk.running() as delivery:
            assert await desk.settle(delivery) == "stuck"
            assert delivery.reason.startswith("dead_letters")
            assert 10 < len(desk.books.letters()) < 30

    simulate(story())


def test_a_message_the_sink_wants_again_is_sent_again(tmp_path: Path) -> None:
    """A receipt that says RETRY leaves the entry in the outbox, to be sent unchanged after a moment."""

    async def story() -> None:
        sink = FakeSink()
        answers = [{"magento-customer-1": Outcome.RETRY}]
        sink.plan = lambda _: Plan(outcomes=answers.pop() if answers else {})
        desk = Desk(tmp_path, sink)
        desk.books.put(customer(1))
        desk.books.put(customer(2))
        assert await desk.deliver() == "empty"
        assert desk.sent() == [("customer-1", "customer-2"), ("customer-1",)]
        first, second = (batch[0] for _, batch in sink.requests)
        assert first == second

    simulate(story())


def test_messages_wait_for_company_behind_a_busy_lane_only(tmp_path: Path) -> None:
    """The first message goes at once; what comes while it is on the wire gathers for max_delay_ms."""

    async def story() -> None:
        desk = Desk(tmp_path, FakeSink(plan=lambda _: Plan(5.0, 0.0)), sink={"max_delay_ms": 200})
        async with desk.running() as delivery:
            for number in range(5):
                desk.books.put(customer(number))
                delivery.wake()
                await asyncio.sleep(0.02)
            await desk.settle(delivery)
        assert desk.sent() == [("customer-0",), ("customer-1", "customer-2", "customer-3", "customer-4")]
        assert desk.sink.requests[1][0] == pytest.approx(0.22, abs=0.01)

    simulate(story())


def test_a_batch_ends_at_its_bytes(tmp_path: Path) -> None:
    """A request's body stays under max_batch_kb; a message larger than that goes alone."""

    async def story() -> None:
        desk = Desk(tmp_path, sink={"max_batch_kb": 16})
        for number, size in enumerate((7_000, 7_000, 7_000, 40_000, 100)):
            desk.books.put(customer(number), name="x" * size)
        await desk.deliver()
        assert desk.sent() == [("customer-0", "customer-1"), ("customer-2",), ("customer-3",), ("customer-4",)]

    simulate(story())


def test_what_is_cut_off_at_the_deadline_stays_in_the_outbox(tmp_path: Path) -> None:
    """Draining waits for requests under way until the deadline; what was cut off is sent again by the next run."""

    async def story() -> None:
        desk = Desk(tmp_path, FakeSink(plan=lambda _: Plan(before_s=60.0)))
        desk.books.put(customer(1))
        task = asyncio.create_task(desk.delivery.run())
        await asyncio.sleep(1)
        await desk.delivery.drain(desk.clock.monotonic() + 5)
        await task
        assert asyncio.get_running_loop().time() == pytest.approx(6, abs=0.1)
        assert desk.books.rows("SELECT count(*) FROM outbox") == [(1,)]

    simulate(story())


def test_draining_lets_requests_under_way_finish(tmp_path: Path) -> None:
    """A request that is answered in time is settled before run returns."""

    async def story() -> None:
        desk = Desk(tmp_path, FakeSink(plan=lambda _: Plan(before_s=3.0)))
        desk.books.put(customer(1))
        task = asyncio.create_task(desk.delivery.run())
        await asyncio.sleep(1)
        desk.books.put(customer(2))
        await desk.delivery.drain(desk.clock.monotonic() + 5)
        await task
        assert desk.books.rows("SELECT id FROM outbox") == [(2,)]

    simulate(story())


def test_a_refused_deletion_leaves_the_object_in_place(tmp_path: Path) -> None:
    """While a DELETE is on the wire the object counts as deleted; refused, it counts as there again."""

    async def story() -> None:
        desk = Desk(tmp_path)
        desk.books.put(customer(1))
        await desk.deliver()
        desk.delivery = desk.make()
        desk.sink.plan = lambda m: Plan(
            is_applied=False, error=BatchRefusedError("no") if m[0].action is Action.DELETE else None
        )
        desk.books.remove(customer(1))
        await desk.deliver()
        assert desk.books.rows("SELECT accepted_delete FROM ledger") == [(0,)]
        assert desk.books.letters() == [("customer", 1)]

    simulate(story())


def test_who_went_bare_repeats_the_identical_message(tmp_path: Path) -> None:
    """An unanswered message without its dead customer is repeated as it was, though the customer has come since."""

    async def story() -> None:
        sink = FakeSink(plan=lambda _: Plan(outcomes=reject("customer-1")))
        desk = Desk(tmp_path, sink)
        desk.books.put(order(3), customer(1))
        desk.books.put(customer(1))
        async with desk.running() as delivery:
            await asyncio.sleep(0.1)
            sink.plan = lambda m: Plan(
                is_applied=False, error=SinkUnavailableError("x") if m[0].object_type is ObjectType.DEAL else None
            )
            await asyncio.sleep(1)
            sink.plan = lambda _: Plan()
            desk.books.run(lambda store: deadletters.retry(store, customer(1)))
            await desk.settle(delivery)
        assert as_json(desk.books.rows("SELECT accepted_refs FROM ledger WHERE kind = 'order'")[0][0]) == [
            ["customer", 1]
        ]

    simulate(story())
