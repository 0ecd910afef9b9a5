"""Delivery: the lanes, the judge and the housekeeping as one thing that runs until it is stopped."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, Final, Literal

import structlog

from cdc.delivery.account import TRY_FIRST_S, AccountWait
from cdc.delivery.circuit_breaker import CircuitBreaker
from cdc.delivery.context import Context, State
from cdc.delivery.health import Health
from cdc.delivery.lane import Lane
from cdc.delivery.leader_gate import Alone, LeaderGate
from cdc.delivery.observer import NullObserver, Observer
from cdc.delivery.quota import Window
from cdc.delivery.sync_error_poller import SyncErrorPoller
from cdc.errors import StateError
from cdc.messages import outbox, render_queue, unconfirmed
from cdc.messages.dependencies import look_again
from cdc.model import RANK, Urgency
from cdc.protocols import Clock, Sink
from cdc.settings.config import Settings
from cdc.state.store import Store

log = structlog.get_logger(__name__)

HOUSEKEEPING_S: Final = 2.0
"""How often brakes are looked at: a command of another process may have released one."""

LOOK_AGAIN_S: Final = 30.0
"""How often waits are looked through whose end nobody reports (an object that vanished before it was sent)."""

MOST_QUIET_S: Final = 3600.0

SETTLE_S: Final = 0.05
"""How often ``until_empty`` looks."""


class Delivery:
    """Sends what the outbox holds, by the rules of ARCHITECTURE.md ("Delivering").

    ``run`` is to be called once, in the event loop; everything else from the same loop. ``lines_need_product``: the
    sink takes no line item without its product. Raises nothing of the sink's; StateError when the state fails.
    """

    def __init__(
        self,
        sink: Sink,
        state: State,
        settings: Settings,
        clock: Clock,
        namespace: str,
        *,
        observer: Observer | None = None,
        random: Random | None = None,
        lines_need_product: bool = False,
        leader_gate: LeaderGate | None = None,
    ) -> None:
        self._context = Context(
            sink=sink,
            state=state,
            settings=settings,
            clock=clock,
            namespace=namespace,
            observer=observer or NullObserver(),
            health=Health(account=AccountWait(verdict_s=max(TRY_FIRST_S, 3 * settings.sink.judge_poll_s))),
            window=Window(settings.sink.max_requests_per_10s, settings.delivery.history_share),
            circuit_breaker=CircuitBreaker(settings.delivery),
            random=random or Random(),
            lines_need_product=lines_need_product,
            leader_gate=leader_gate or Alone(),
        )
        self._lanes = [Lane(rank, self._context) for rank in sorted(set(RANK.values()))]
        self._judge = SyncErrorPoller(self._context)
        context = self._context
        context.wake_all = self.wake
        context.wake_denied = self._wake_denied
        context.warm_up = self._warm_up
        context.is_live_busy = lambda: any(lane.is_live_busy for lane in self._lanes)
        self._wait_cursor = ""
        self._stopping = asyncio.Event()
        self._forced = False
        self._work: asyncio.Task[None] | None = None

    # ----------------------------------------------------------------------------------------------------- run

    async def run(self) -> None:
        """Deliver until ``stop`` or ``drain``."""
        self._work = asyncio.create_task(self._run(), name="delivery")
        try:
            await asyncio.shield(self._work)
        except asyncio.CancelledError:
            if self._forced:
                return
            current = asyncio.current_task()
            if self._work.done() and current is not None and not current.cancelling():
                raise StateError("the state was closed while messages were being delivered") from None
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
            raise

    async def _run(self) -> None:
        try:
            await self._context.state.call(unconfirmed.note_interrupted)
            await self._stay_quiet()
            await self._keep_house(waits=False)  # a brake that was set stays set over a restart
            async with asyncio.TaskGroup() as tasks:
                for lane in self._lanes:
                    tasks.create_task(lane.run(), name=f"lane-{lane.rank}")
                side = [
                    tasks.create_task(self._judging(), name="judge"),
                    tasks.create_task(self._housekeeping(), name="housekeeping"),
                ]
                await self._stopping.wait()
                for task in side:
                    task.cancel()
        except ExceptionGroup as group:
            raise _first_of(group) from group

    async def _stay_quiet(self) -> None:
        """Keep the silence that the sink asked the last run for; an hour at most, as clocks may be set."""
        clock = self._context.clock
        until_ms = await self._context.state.call(lambda store: store.meta.quiet_until_ms)
        left_s = min(MOST_QUIET_S, (until_ms - clock.now_ms()) / 1000)
        if left_s > 0:
            self._context.health.quiet_s = clock.monotonic() + left_s

    async def _judging(self) -> None:
        while True:  # at the start, too: it shows whether the sink is there before there is anything to send
            is_spent = self._context.health.state == "daily_limit"  # polls would be refused like all else
            if self._context.leader_gate.may_send and not is_spent:
                await self._judge.poll()
            await asyncio.sleep(self._context.settings.sink.judge_poll_s)

    async def _housekeeping(self) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            rounds += 1
            await self._keep_house(waits=rounds % round(LOOK_AGAIN_S / HOUSEKEEPING_S) == 0)

    async def _keep_house(self, *, waits: bool) -> None:
        context = self._context
        now_ms = context.clock.now_ms()

        def look(store: Store) -> tuple[dict[str, str], int]:
            freed = 0
            if context.leader_gate.may_send:  # a follower's forced message would get no receipt
                unconfirmed.send_again(store, now_ms)
            if waits:
                self._wait_cursor, freed = look_again(
                    store, after=self._wait_cursor, lines_need_product=context.lines_need_product
                )
            return context.circuit_breaker.reasons(store, now_ms), freed

        before = dict(context.health.circuit_breaker)
        reasons, freed = await context.state.call(look)
        for name, reason in reasons.items():
            context.health.brake(name, reason)
        if freed or any(name not in context.health.circuit_breaker for name in before):
            self.wake()

    def wake(self) -> None:
        """New outbox rows are on disk (or something else changed that lanes look at)."""
        for lane in self._lanes:
            lane.wake()

    def _wake_denied(self) -> None:
        for lane in self._lanes:
            if lane.is_denied:
                lane.is_denied = False
                lane.wake()

    def _warm_up(self) -> None:
        for lane in self._lanes:
            lane.warm_up()

    # ---------------------------------------------------------------------------------------------------- stop

    def stop(self) -> None:
        """Take no new batches; ``run`` returns when those under way are settled."""
        self._stopping.set()
        for lane in self._lanes:
            lane.close()

    async def drain(self, deadline: float) -> None:
        """Stop, wait for what is under way until ``deadline`` (the clock's monotonic seconds), then cancel that.

        What is cancelled may have been taken; it stays in the outbox and is sent again at the next start.
        """
        self.stop()
        if self._work is None:
            return
        left_s = deadline - self._context.clock.monotonic()
        done, _ = await asyncio.wait([self._work], timeout=max(0.0, left_s))
        if not done:
            log.warning(
                "delivery_cut_off", messages=len(self._context.in_flight_set), reason="no answer within the grace time"
            )
            self._forced = True
            self._work.cancel()
            await asyncio.wait([self._work])

    # --------------------------------------------------------------------------------------------------- state

    @property
    def in_flight(self) -> int:
        """Messages on the wire."""
        return len(self._context.in_flight_set)

    @property
    def is_accepting(self) -> bool:
        """Whether messages are being taken, as far as is known."""
        return self._context.health.fault is None

    @property
    def reason(self) -> str:
        """Why they are not; empty if they are."""
        fault = self._context.health.fault
        return f"{fault[0]}: {fault[1]}" if fault else ""

    def status(self) -> dict[str, Any]:
        """What delivery is doing, for ``/status``."""
        context = self._context
        now_s = context.clock.monotonic()
        return {
            "sending": context.health.as_dict(now_s),
            "lanes": [
                {"rank": lane.rank, "under_way": lane.under_way, "resting": lane.is_resting} for lane in self._lanes
            ],
            "in_flight": len(context.in_flight_set),
            "quota": {"limit_per_10s": context.window.limit, "used": context.window.used(now_s)},
            "latency": context.latencies.as_dict(),
            "accepted": {kind.value: count for kind, count in context.tally.accepted.items()},
            "requests": dict(context.tally.requests),
            "retried": context.tally.retried,
            "dead_lettered": context.tally.dead_letters,
        }

    async def until_empty(self) -> Literal["empty", "stuck"]:
        """Wait until all that can be sent is sent. ``stuck``: the rest waits, is parked or held (``causes``).

        A sink that cannot be reached, or takes nothing, is waited for.
        """
        while True:
            is_quiet = all(not lane.under_way and not lane.is_resting for lane in self._lanes)
            if is_quiet and (self._context.health.state == "ok" or not self._context.in_flight_set):
                rest = await self._context.state.call(self._rest)
                if rest in ("empty", "stuck"):
                    return rest
                if rest == "freed":
                    self.wake()
            await asyncio.sleep(SETTLE_S)

    def _rest(self, store: Store) -> Literal["empty", "stuck", "freed", "going"]:
        if render_queue.is_any(store):
            return "going"
        if store.db.execute("SELECT 1 FROM outbox LIMIT 1").fetchone() is None:
            return "empty"
        if "dead_letters" in self._context.health.circuit_breaker:
            return "stuck"
        if any(outbox.is_going(store, lane.rank, urgency) for lane in self._lanes for urgency in Urgency):
            return "going"
        _, freed = look_again(store, limit=1_000_000, lines_need_product=self._context.lines_need_product)
        return "freed" if freed else "stuck"

    def causes(self, store: Store) -> list[str]:
        """Why what is left cannot be sent: one line per message, at most a hundred (call in the state thread)."""
        namespace = self._context.namespace
        lines = [f"{w.ref.external_id(namespace)} ({w.action.value}): {w.cause}" for w in outbox.waiting(store)]
        return [f"{name}: {reason}" for name, reason in self._context.health.circuit_breaker.items()] + lines


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first failure inside nested groups: one is enough to tell, and the caller goes by its kind."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
