"""Thousands of schedules drawn by lot: whatever the sink, the network and the process do, each rule holds.

A seed draws a shop, a sink, a network, the order of all ready callbacks, and the steps at which the process dies. The
rules, as ARCHITECTURE.md ("Delivering") has them, and where each is checked:

1. one message of an object in flight, ``changed_at`` rising but for identical repeats: ``FakeSink``, on arrival
2. references accepted and not deleted since, nothing deleted under a referrer: ``StrictSink``, on arrival
3. an entry goes only once its receipt is durable: ``ChaosState``, on every commit (nothing lost, nothing invented)
4. live before history: ``ChaosState``, on every batch taken
5. throttled: nobody sends; key refused: one at a time; bad messages stand alone: ``StrictSink``, and at the end
6. the quota, over restarts too: ``StrictSink``, on arrival
7. later verdicts of the current version alone count: at the end (each has its dead letter, or was sent again)
8. a newer version supersedes a dead letter, retrying renders afresh: at the end
9. the circuit breaker on deletions, over restarts too: ``StrictSink``, on arrival
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.delivery import circuit_breaker
from cdc.delivery.context import Context
from cdc.delivery.engine import Delivery
from cdc.delivery.take import Ask, Taken
from cdc.errors import (
    BatchRefusedError,
    OutcomeUnknownError,
    SinkError,
    SinkThrottledError,
    SinkUnauthorizedError,
    SinkUnavailableError,
)
from cdc.messages import dead_letters, unconfirmed
from cdc.messages.refs import parse_refs
from cdc.model import Kind, Message, ObjectRef, Outcome, SyncError, Urgency, parse_external_id
from cdc.state.store import Store
from tests.kit.chaos import ChaosLoop, play
from tests.kit.delivery_harness import Books, DeliveryHarness, DirectState, customer, item, order, product
from tests.kit.example_count import example_count
from tests.kit.strictsink import LATE_S, Plan, StrictSink, Wire

T = TypeVar("T")

CUSTOMERS, PRODUCTS, ORDERS, ITEMS = 4, 3, 6, 10
SCHEDULES = int(os.environ.get("SCHEDULES", example_count(25)))
"""More with ``SCHEDULES=10000``; ``make soak`` draws new ones each round."""

BAD = "bad"
"""A value that the receiver refuses, at once or later."""

HISTORY_SHARE = 0.1

_LOST = """
SELECT l.kind, l.id FROM ledger l WHERE l.rendered_hash IS NOT l.accepted_hash
 AND NOT (l.rendered_delete AND l.tried_at = 0 AND l.accepted_at = 0) AND NOT EXISTS (
 SELECT 1 FROM outbox o WHERE o.kind = l.kind AND o.id = l.id UNION ALL
 SELECT 1 FROM render_queue o WHERE o.kind = l.kind AND o.id = l.id UNION ALL
 SELECT 1 FROM waiting_for_parent o WHERE o.kind = l.kind AND o.id = l.id UNION ALL
 SELECT 1 FROM dead_letter o WHERE o.kind = l.kind AND o.id = l.id)
"""


class ChaosState(DirectState):
    """The state of one process; checks rules 3 and 4 on every commit."""

    def __init__(self, books: Books, delay_s: Callable[[], float], sink: StrictSink) -> None:
        super().__init__(books, delay_s)
        self._sink = sink
        self._live: Counter[int] = Counter()
        self._jumped: Counter[int] = Counter()

    async def call(self, work: Callable[[Store], T]) -> T:
        """The call with its checks in the same transaction."""

        def checked(store: Store) -> T:
            result = work(store)
            if isinstance(result, Taken) and result.entries and isinstance(work, partial):
                self._check_taken(store, result, work.keywords["ask"], work.keywords["context"])
            self._check_state(store)
            return result

        return await super().call(checked)

    def _check_taken(self, store: Store, taken: Taken, ask: Ask, context: Context) -> None:
        """Rule 4: history overtakes live work of its lane only for its share.

        Live work counts once it has waited for company as long as it may, unless it is to be rendered anew first; a
        DELETE may have to wait for what is on the wire, which nothing in the state shows.
        """
        if taken.urgency is Urgency.LIVE:
            self._live[ask.rank] += 1
            return
        rows = store.db.execute(
            "SELECT kind, id FROM outbox o WHERE rank = ? AND urgency = 0 AND blocked_by IS NULL AND action = 'UPSERT'"
            " AND not_before_ms <= ? AND rendered_ms < ?"
            " AND NOT EXISTS (SELECT 1 FROM render_queue d WHERE d.kind = o.kind AND d.id = o.id)",
            (ask.rank, context.clock.now_ms(), context.clock.now_ms() - context.settings.sink.max_delay_ms),
        )
        waiting = [ref for kind, key in rows if (ref := ObjectRef(Kind(kind), key)) not in context.in_flight_set]
        if any(ref not in ask.backing_off for ref in waiting):
            self._jumped[ask.rank] += 1
            most = self._live[ask.rank] * HISTORY_SHARE + 1
            assert self._jumped[ask.rank] <= most, f"history overtook live work of lane {ask.rank}: {waiting}"

    def _check_state(self, store: Store) -> None:
        """Rule 3: every version that is not accepted is somewhere, and what is accepted was taken."""
        lost = store.db.execute(_LOST).fetchall()
        assert not lost, f"lost: {lost}"
        for kind, key, at in store.db.execute("SELECT kind, id, accepted_at FROM ledger WHERE accepted_at > 0"):
            name = ObjectRef(Kind(kind), key).external_id("magento")
            assert at in self._sink.taken[name], f"{name} of {at} counts as accepted and was never taken"


class Weather:
    """What the sink does with each request: mostly well, at times badly, sometimes badly for a while."""

    def __init__(self, random: Random, badness: float) -> None:
        self._random = random
        self.badness = badness
        self.refuses_batches = random.random() < 0.5
        self._bad_until = 0.0

    def __call__(self, messages: Sequence[Message]) -> Plan:
        random = self._random
        now_s = asyncio.get_running_loop().time()
        before, after = random.choice((0.0, 0.01, 0.2)), random.choice((0.0, 0.02, 0.3))
        if now_s >= self._bad_until and random.random() < self.badness / 5:
            self._bad_until = now_s + random.uniform(0, 30)
        if now_s < self._bad_until and self.badness:
            return Plan(before, after, False, SinkUnavailableError("503"))
        if random.random() < self.badness:
            return self._fault(messages, before, after)
        bad = [message.external_id for message in messages if message.properties.get("name") == BAD]
        if bad and self.refuses_batches:
            return Plan(before, after, False, BatchRefusedError("400", status=400))
        return Plan(before, after, outcomes=dict.fromkeys(bad, Outcome.REJECTED))

    def _fault(self, messages: Sequence[Message], before: float, after: float) -> Plan:
        random = self._random
        fault = random.randrange(5)
        errors: tuple[SinkError, ...] = (
            SinkUnavailableError("500"),
            SinkThrottledError("429", retry_after_s=random.choice((None, 2.0)), policy=random.choice(("", "SECONDLY"))),
            SinkUnauthorizedError("401"),
        )
        if fault < 3:
            return Plan(before, after, False, errors[fault])
        if fault == 3:
            return Plan(before, 30.0, random.random() < 0.5, OutcomeUnknownError("no answer"))
        chosen = random.sample(list(messages), random.randint(1, len(messages)))
        return Plan(before, after, outcomes={m.external_id: Outcome.RETRY for m in chosen})


class World:
    """A random shop, a random sink, and a process that dies."""

    def __init__(self, folder: Path, random: Random, loop: ChaosLoop) -> None:
        self.random = random
        self.loop = loop
        self.max_deletes = random.choice((2, 500))
        limit = random.choice((20, 1000))
        badness = random.choice((0.0, 0.1, 0.4))
        self.weather = Weather(random, badness)
        self.sink = StrictSink(
            random,
            limit=limit,
            tells=random.random() < 0.7,
            max_deletes=self.max_deletes,
            max_batch=random.choice((1, 3, 200)),
        )
        self.sink.plan = self.weather
        self.sink.may_hold = self._may_hold
        self.harness = DeliveryHarness(
            folder,
            self.sink,
            sink={"max_requests_per_10s": limit, "max_delay_ms": 200},
            delivery={"max_deletes_per_hour": self.max_deletes, "history_share": HISTORY_SHARE},
        )
        self.task: asyncio.Task[None] | None = None
        self.wire = Wire(self.sink)
        self.has_died = False

    def _may_hold(self, referrer: str, referred: str) -> bool:
        """Whether an object may go on referring to what is deleted: its newest state does, it could not be sent, or
        the version that refers to it took effect and its answer was lost.
        """
        ref, other = (parse_external_id(name, "magento") for name in (referrer, referred))
        made = self.harness.books.shop.get(ref)
        if made is not None and other in made.references:
            return True

        def look(store: Store) -> bool:
            row = store.db.execute(
                "SELECT accepted_refs FROM ledger WHERE kind = ? AND id = ?", (ref.kind.value, ref.id)
            ).fetchone()
            return dead_letters.show(store, ref) is not None or other not in parse_refs(row[0])

        return self.harness.books.run(look)

    # ----------------------------------------------------------------------------------------------- the shop

    def change(self) -> None:
        """Something happens in the shop; what refers to an object is always rendered with it."""
        random, books = self.random, self.harness.books
        number = random.randrange(1, 11)
        what = random.randrange(7)
        urgency = random.choice((Urgency.LIVE, Urgency.LIVE, Urgency.HISTORY))
        value = BAD if random.random() < 0.05 else str(random.randrange(3))
        if what == 0:
            books.put(customer(number % CUSTOMERS), urgency=urgency, name=value)
        elif what == 1:
            books.put(product(number % PRODUCTS), urgency=urgency, name=value)
        elif what in (2, 3):
            refs = [customer(random.randrange(CUSTOMERS))] if random.random() < 0.8 else []
            self._put(order(number % ORDERS), refs, urgency, value)
        elif what == 4:
            refs = [order(random.randrange(ORDERS)), product(random.randrange(PRODUCTS))]
            self._put(item(number % ITEMS), refs, urgency, value)
        elif what == 5:
            self._remove(random.choice((customer, product, order, item))(number % ORDERS))
        else:
            self._operate()

    def _put(self, ref: ObjectRef, refs: list[ObjectRef], urgency: Urgency, value: str) -> None:
        """With an object exist those it refers to, as the mapping has it."""
        for other in refs:
            if other not in self.harness.books.shop:
                self._put(other, [], urgency, "made")
        self.harness.books.put(ref, *refs, urgency=urgency, name=value)

    def _remove(self, ref: ObjectRef) -> None:
        """What refers to it goes, too (lines), or lets go of it (deals)."""
        for other, made in list(self.harness.books.shop.items()):
            if ref in made.references:
                if other.kind is Kind.ORDER:
                    self.harness.books.put(other, name="bare")
                else:
                    self._remove(other)
        if ref in self.harness.books.shop:
            self.harness.books.remove(ref)

    def _operate(self) -> None:
        """Somebody retries dead letters, or the receiver refuses what it took before."""
        books, random = self.harness.books, self.random
        letters = [letter.ref for letter in books.run(dead_letters.list_all)]
        if letters and random.random() < 0.5:
            books.run(lambda store: dead_letters.retry(store, random.choice(letters)))
        elif self.sink.held:
            message = random.choice(list(self.sink.held.values()))
            kind = random.choice(("INVALID_ASSOCIATION_PROPERTY", "INVALID_PROPERTY_VALUE"))
            changed_at = message.changed_at - random.choice(
                (0, 0, 1)
            )  # a verdict on an older version counts for nothing
            at_ms = self.harness.clock.now_ms()
            verdict = SyncError(message.object_type, message.external_id, changed_at, at_ms, kind)
            self.sink.verdicts.append(verdict)

    def release(self) -> None:
        """The deletions that are held may go."""
        self.sink.released_ms = now_ms = self.harness.clock.now_ms()
        self.harness.books.run(lambda store: circuit_breaker.release(store, now_ms))

    # -------------------------------------------------------------------------------------------- the process

    def start(self) -> None:
        """A new process on the same state, which will die at some step or not."""
        harness, random = self.harness, self.random
        self.sink.restarts.append(self.loop.time())
        self.has_died = False
        self.wire = Wire(self.sink)
        harness.state = ChaosState(harness.books, lambda: random.choice((0.0, 0.0, 0.005)), self.sink)
        harness.delivery = Delivery(
            self.wire,
            harness.state,
            harness.settings,
            harness.clock,
            random=Random(random.random()),
        )
        harness.books.run(unconfirmed.note_interrupted)
        self.task = asyncio.create_task(harness.delivery.run())
        if random.random() < 0.7:
            self.loop.at_step(
                int(random.expovariate(1 / 300)) + 1, partial(self._die, harness.state, self.wire, self.task)
            )

    def _die(self, state: DirectState, wire: Wire, task: asyncio.Task[None]) -> None:
        """kill -9 between any two steps: from here on nothing that this process does has an effect."""
        if task is self.task and not task.done() and self.weather.badness >= 0:
            state.crash()
            wire.is_cut = True
            task.cancel()
            self.has_died = True
            self.sink.deaths.append(self.loop.time())

    async def _after_death(self) -> None:
        assert self.task is not None
        await asyncio.gather(self.task, return_exceptions=True)
        self.start()

    async def live(self, steps: int) -> None:
        """Changes, pauses, deaths."""
        self.start()
        for _ in range(steps):
            self.change()
            if self.random.random() < 0.3:
                self.harness.books.work()
            self.harness.delivery.wake()
            await asyncio.sleep(self.random.choice((0.0, 0.0, 0.001, 0.013, 0.1, 1.0, 40.0)))
            if self.has_died:
                await self._after_death()
            assert self.task is not None
            if self.task.done():
                await self.task

    async def end(self) -> str:
        """The sink recovers, bad values are mended, held deletions let go; deliver what is left, late landings too."""
        self.weather.badness = -1.0  # nobody dies any more
        if self.has_died:
            await self._after_death()
        for ref, made in list(self.harness.books.shop.items()):
            if made.properties.get("name") == BAD:
                self.harness.books.put(ref, *made.references, name="mended")
        for _ in range(2):
            self._retry()
            await self._settle()
            await asyncio.sleep(LATE_S + self.harness.settings.sink.unknown_resend_s)
        self._retry()
        result = await self._settle()
        await self.harness.delivery.drain(self.harness.clock.monotonic() + 100)
        assert self.task is not None
        await self.task
        return result

    def _retry(self) -> None:
        """Every dead letter is tried again, from the newest state."""
        for letter in self.harness.books.run(dead_letters.list_all):
            self.harness.books.run(partial(dead_letters.retry, ref=letter.ref))

    async def _settle(self) -> str:
        """What was parked for failing among others has its turn within its longest rest."""
        for _ in range(3):
            self.release()
            settled = asyncio.create_task(self.harness.settle(self.harness.delivery))
            assert self.task is not None
            await asyncio.wait([settled, self.task], return_when=asyncio.FIRST_COMPLETED)
            if self.task.done():
                settled.cancel()
                await self.task
            if await settled == "empty":
                return "empty"
            self._retry()
            await asyncio.sleep(900)
        return "stuck"


async def story(folder: Path, random: Random, loop: ChaosLoop) -> World:
    """One world from beginning to end."""
    world = World(folder, random, loop)
    await world.live(random.choice((10, 25, 60)))
    result = await world.end()
    harness = world.harness
    assert harness.sink.broken == []
    assert result == "empty", harness.books.run(harness.delivery.causes)
    held = {
        name: (message.properties, {i for ids in message.associations.values() for i in ids})
        for name, message in harness.sink.held.items()
    }
    expected = {
        ref.external_id("magento"): (made.properties, {r.external_id("magento") for r in made.references})
        for ref, made in harness.books.shop.items()
    }
    assert held == expected
    assert harness.books.letters() == [], harness.books.run(dead_letters.list_all)
    return world


@given(seed=st.integers(0, 2**32))
@settings(max_examples=SCHEDULES, deadline=None)
def test_every_schedule_keeps_the_rules_and_ends_equal_to_the_shop(seed: int) -> None:
    """Random changes, outcomes, orders of callbacks and deaths: no rule is broken, and nothing is lost."""
    random = Random(seed)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        play(lambda loop: story(Path(folder), random, loop), random)
