"""A delivery harness: the real state file, renderer and delivery, over a shop that is a plain dictionary."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from cdc.delivery.engine import Delivery
from cdc.messages import render_queue, unconfirmed
from cdc.messages.renderer import Renderer, RenderRequest
from cdc.model import (
    BulkInvalidation,
    FetchByKey,
    Kind,
    ObjectRef,
    ObjectType,
    Outcome,
    Rendered,
    Row,
    RowsUsed,
    TableSpec,
    Urgency,
    Value,
)
from cdc.protocols import CartRules, Clock, RowReader
from cdc.replica.rows import ReplicaRows
from cdc.settings.config import Settings
from cdc.state.store import Store
from tests.kit.clock import LoopClock
from tests.kit.fakesink import FakeSink

T = TypeVar("T")


def customer(number: int) -> ObjectRef:
    """A customer."""
    return ObjectRef(Kind.CUSTOMER, number)


def product(number: int) -> ObjectRef:
    """A product."""
    return ObjectRef(Kind.PRODUCT, number)


def order(number: int) -> ObjectRef:
    """An order."""
    return ObjectRef(Kind.ORDER, number)


def item(number: int) -> ObjectRef:
    """A line item."""
    return ObjectRef(Kind.ITEM, number)


class ShopMapper:
    """Renders what stands in ``shop``."""

    version = "harness"
    cart_rules: CartRules | None = None

    def __init__(self, tables: tuple[TableSpec, ...] = ()) -> None:
        self.tables = tables
        self.shop: dict[ObjectRef, Rendered] = {}

    def render(self, ref: ObjectRef, rows: RowReader) -> Rendered | None:
        return self.shop.get(ref)

    def derive(self, table: str, row: Row) -> Mapping[str, Value]:
        return {}

    def keep(self, table: str, row: Row, rows: RowReader) -> bool:
        return True

    def affected(
        self, table: str, before: Row | None, after: Row | None, rows: RowReader
    ) -> Iterator[ObjectRef | BulkInvalidation]:
        return iter(())

    def everything(self) -> tuple[BulkInvalidation, ...]:
        return ()

    def rows_used(self, kind: Kind) -> tuple[RowsUsed, ...]:
        """No rows."""
        return ()

    def placed_ms(self, ref: ObjectRef, rows: RowReader) -> int | None:
        """Nothing has a place in time."""
        return None

    def parts(self, ref: ObjectRef, rows: RowReader) -> tuple[ObjectRef, ...]:
        """Nothing has parts."""
        return ()

    def main_row(self, ref: ObjectRef, rows: RowReader) -> Row | None:
        """No row stands for an object."""
        return None

    def types_affected_by(self, table: str) -> frozenset[ObjectType]:
        """Not known."""
        return frozenset()

    def fetches(self, ref: ObjectRef, rows: RowReader) -> tuple[FetchByKey, ...]:
        return ()


class Books:
    """The state file with its renderer. ``put`` and ``remove`` are what the shop does; both commit at once."""

    def __init__(self, folder: Path, clock: Clock, tables: tuple[TableSpec, ...] = ()) -> None:
        self.store = Store(folder, tables)
        self.store.db.execute("PRAGMA synchronous = OFF")
        self.mapper = ShopMapper(tables)
        self.renderer = Renderer(self.store, ReplicaRows(self.store, tables), self.mapper, clock)

    @property
    def shop(self) -> dict[ObjectRef, Rendered]:
        """What exists."""
        return self.mapper.shop

    def put(
        self, ref: ObjectRef, *refs: ObjectRef, urgency: Urgency = Urgency.LIVE, commit_ms: int = 0, **values: str
    ) -> None:
        """The object is there now, with these values and references."""
        self.shop[ref] = Rendered(values or {"name": "x"}, refs)
        self.render(ref, urgency=urgency, commit_ms=commit_ms)

    def remove(self, ref: ObjectRef) -> None:
        """The object is gone."""
        self.shop.pop(ref, None)
        self.render(ref)

    def render(
        self, ref: ObjectRef, *, urgency: Urgency = Urgency.LIVE, force: bool = False, commit_ms: int = 0
    ) -> None:
        """Render it and whatever it refers to that never was."""
        with self.store.transaction():
            self._render(ref, urgency, force, commit_ms)

    def _render(self, ref: ObjectRef, urgency: Urgency, force: bool, commit_ms: int, *, links: bool = False) -> None:
        request = RenderRequest("binlog.000001:4", commit_ms, urgency, force, links=links)
        for other in self.renderer.render(ref, request):
            self._render(other, urgency, False, commit_ms)

    def work(self) -> int:
        """Render what waits to be rendered; how many objects that was."""
        with self.store.transaction():
            ready = render_queue.ready(self.store, 0, 1000)
            for found in ready:
                render_queue.done(self.store, [found.ref])
                self._render(found.ref, found.urgency, found.force, found.commit_ms, links=found.links)
        return len(ready)

    def run(self, work: Callable[[Store], T]) -> T:
        """Something in a transaction."""
        with self.store.transaction():
            return work(self.store)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query finds."""
        return self.store.db.execute(query).fetchall()

    def letters(self) -> list[tuple[str, Any]]:
        """The objects that have dead letters."""
        return [(kind, key) for kind, key in self.rows("SELECT kind, id FROM dead_letter ORDER BY kind, id")]


class DirectState:
    """Access to the state without a thread. After ``crash`` nothing of it has any effect, and no call returns."""

    def __init__(self, books: Books, delay_s: Callable[[], float] = lambda: 0.0) -> None:
        self._books = books
        self._delay_s = delay_s
        self._is_dead = False

    async def call(self, work: Callable[[Store], T]) -> T:
        """Run and commit; takes a moment before and after."""
        await asyncio.sleep(self._delay_s())
        if self._is_dead:
            await asyncio.Event().wait()
        result = self._books.run(work)
        await asyncio.sleep(self._delay_s())
        if self._is_dead:
            await asyncio.Event().wait()
        return result

    def crash(self) -> None:
        """The process is gone."""
        self._is_dead = True


def settings(**sections: Mapping[str, Any]) -> Settings:
    """Settings with no quota to speak of, unless given."""
    sink = {"max_requests_per_10s": 100_000, "max_delay_ms": 0, **sections.pop("sink", {})}
    return Settings(sink=sink, **sections)


class DeliveryHarness:
    """Books, a fake sink and a delivery between them; make it inside ``simulate``."""

    def __init__(self, folder: Path, fake: FakeSink | None = None, **sections: Mapping[str, Any]) -> None:
        self.clock = LoopClock()
        self.books = Books(folder, self.clock)
        self.sink = fake or FakeSink()
        self.settings = settings(**sections)
        self.state = DirectState(self.books)
        self.delivery = self.make()

    def make(self, random: Random | None = None, **more: Any) -> Delivery:
        """Another delivery on the same books."""
        return Delivery(self.sink, self.state, self.settings, self.clock, random=random or Random(7), **more)

    @asynccontextmanager
    async def running(self):  # type: ignore[no-untyped-def]
        """Deliver while the block runs."""
        self.books.run(unconfirmed.note_interrupted)  # as a new process does before anything else
        task = asyncio.create_task(self.delivery.run())
        try:
            yield self.delivery
        finally:
            await self.delivery.drain(self.clock.monotonic() + 1000)
            await task

    async def deliver(self) -> str:
        """Deliver until nothing can be sent any more, rendering again what asks for it."""
        async with self.running() as delivery:
            return await self.settle(delivery)

    async def settle(self, delivery: Delivery) -> str:
        """The same for a delivery that runs."""
        waiting = asyncio.create_task(delivery.until_empty())
        while not waiting.done():
            if self.books.work():
                delivery.wake()
            await asyncio.sleep(0.05)
        return waiting.result()

    def sent(self, object_type: ObjectType | None = None) -> list[tuple[str, ...]]:
        """The ids of every request, in order."""
        return [
            tuple(m.external_id.removeprefix("magento-") for m in messages)
            for _, messages in self.sink.requests
            if object_type is None or messages[0].object_type is object_type
        ]

    def properties(self, ref: ObjectRef) -> dict[str, str]:
        """What the sink holds of an object."""
        return dict(self.sink.held[ref.external_id("magento")].properties)


def reject(*names: str) -> dict[str, Outcome]:
    """Outcomes for a plan: these are rejected."""
    return {f"magento-{name}": Outcome.REJECTED for name in names}
