"""Whatever the sink does and whenever the process dies: in the end it holds what the shop says, no rule broken."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.errors import (
    OutcomeUnknownError,
    SinkError,
    SinkThrottledError,
    SinkUnauthorizedError,
    SinkUnavailableError,
)
from cdc.model import Kind, Message, ObjectRef, Outcome, Urgency
from tests.kit.clock import simulate
from tests.kit.desk import Desk, DirectState, customer, item, order, product
from tests.kit.fakesink import FakeSink, Plan

CUSTOMERS, PRODUCTS, ORDERS, ITEMS = 4, 3, 6, 10


class Weather:
    """What the sink does with each request: mostly well, at times badly, sometimes badly for a while."""

    def __init__(self, random: Random, badness: float) -> None:
        self._random = random
        self.badness = badness
        self._bad_until = 0.0

    def __call__(self, messages: Sequence[Message]) -> Plan:
        random = self._random
        now_s = asyncio.get_running_loop().time()
        before, after = random.choice((0.0, 0.01, 0.2)), random.choice((0.0, 0.02, 0.3))
        if now_s >= self._bad_until and random.random() < self.badness / 5:
            self._bad_until = now_s + random.uniform(0, 30)
        if now_s < self._bad_until and self.badness:
            return Plan(before, after, False, SinkUnavailableError("503"))
        if random.random() >= self.badness:
            return Plan(before, after)
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

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = Random(seed)
        self.weather = Weather(self.random, self.random.choice((0.0, 0.1, 0.4)))
        limits = {"max_requests_per_10s": self.random.choice((20, 1000)), "max_delay_ms": 200}
        self.desk = Desk(folder, FakeSink(max_batch=self.random.choice((1, 3, 200)), plan=self.weather), sink=limits)
        self.task: asyncio.Task[None] | None = None

    def change(self) -> None:
        """Something happens in the shop; what refers to an object is always rendered with it."""
        random, books = self.random, self.desk.books
        number = random.randrange(1, 11)
        what = random.randrange(6)
        urgency = random.choice((Urgency.LIVE, Urgency.LIVE, Urgency.HISTORY))
        value = str(random.randrange(3))
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
        else:
            self._remove(random.choice((customer, product, order, item))(number % ORDERS))

    def _put(self, ref: ObjectRef, refs: list[ObjectRef], urgency: Urgency, value: str) -> None:
        """With an object exist those it refers to, as the mapping has it."""
        for other in refs:
            if other not in self.desk.books.shop:
                self._put(other, [], urgency, "made")
        self.desk.books.put(ref, *refs, urgency=urgency, name=value)

    def _remove(self, ref: ObjectRef) -> None:
        """What refers to it goes, too (lines), or lets go of it (deals)."""
        for other, made in list(self.desk.books.shop.items()):
            if ref in made.references:
                if other.kind is Kind.ORDER:
                    self.desk.books.put(other, name="bare")
                else:
                    self._remove(other)
        if ref in self.desk.books.shop:
            self.desk.books.remove(ref)

    def start(self) -> None:
        """A new process on the same state."""
        desk = self.desk
        desk.state = DirectState(desk.books, lambda: self.random.choice((0.0, 0.0, 0.005)))
        desk.delivery = desk.make(Random(self.random.random()))
        self.task = asyncio.create_task(desk.delivery.run())

    async def crash(self) -> None:
        """kill -9 wherever every task happens to be."""
        assert self.task is not None
        self.desk.state.crash()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def live(self, steps: int) -> None:
        """Changes, pauses, crashes."""
        self.start()
        for _ in range(steps):
            self.change()
            if self.random.random() < 0.3:
                self.desk.books.work()
            self.desk.delivery.wake()
            await asyncio.sleep(self.random.choice((0.0, 0.0, 0.001, 0.013, 0.1, 1.0, 40.0)))
            assert self.task is not None
            if self.task.done():
                await self.task
            if self.random.random() < 0.1:
                await self.crash()
                self.start()

    async def end(self) -> str:
        """The sink recovers; deliver what is left."""
        self.weather.badness = 0.0
        assert self.task is not None
        settled = asyncio.create_task(self._settle())
        await asyncio.wait([settled, self.task], return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            await self.task
        result = await settled
        await self.desk.delivery.drain(self.desk.clock.monotonic() + 100)
        await self.task
        return result

    async def _settle(self) -> str:
        """What was parked for failing among others has its turn within its longest rest."""
        for _ in range(3):
            if await self.desk.settle(self.desk.delivery) == "empty":
                return "empty"
            await asyncio.sleep(900)
        return "stuck"


async def check(folder: Path, seed: int) -> None:
    """One random story."""
    world = World(folder, seed)
    await world.live(60)
    result = await world.end()
    desk = world.desk
    assert desk.sink.broken == []
    assert result == "empty", desk.books.run(desk.delivery.causes)
    held = {
        name: (message.properties, {i for ids in message.associations.values() for i in ids})
        for name, message in desk.sink.held.items()
    }
    expected = {
        ref.external_id("magento"): (made.properties, {r.external_id("magento") for r in made.references})
        for ref, made in desk.books.shop.items()
    }
    assert held == expected


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None, print_blob=True)
def test_the_sink_ends_equal_to_the_shop(seed: int) -> None:
    """Random changes, outcomes and crashes: rules 1 and 2 hold for every request, and nothing is lost."""
    with tempfile.TemporaryDirectory() as folder:
        simulate(check(Path(folder), seed))
