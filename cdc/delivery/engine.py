"""Delivery: runs the lanes, the sync-error poller and the housekeeping until it is stopped."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, Final, Literal

from cdc.delivery import circuit_breaker, silence, state_age
from cdc.delivery.account import TRY_FIRST_S, AccountWait
from cdc.delivery.circuit_breaker import CircuitBreaker
from cdc.delivery.context import Context, State
from cdc.delivery.drift_check import DriftCheck
from cdc.delivery.health import Health
from cdc.delivery.lane import Lane
from cdc.delivery.lane_hub import LaneHub
from cdc.delivery.leader_gate import Alone, LeaderGate
from cdc.delivery.observer import Observer
from cdc.delivery.permits import Permits, Windows
from cdc.delivery.report import Report
from cdc.delivery.sink_start import start_sink
from cdc.delivery.sync_error_poller import SyncErrorPoller
from cdc.delivery.verdict import KINDS
from cdc.errors import StateError, first_of
from cdc.log_events import get_logger
from cdc.messages import history_stop, outbox, render_queue, unconfirmed, waiting
from cdc.messages.dependencies import look_again
from cdc.messages.verification import Expected
from cdc.model import RANK
from cdc.protocols import BoundsBodies, Clock, LaterVerdicts, RenewsKeys, Sink, SinkReader, SinkTraits, SinkWitness
from cdc.settings.config import Settings
from cdc.state.store import Store

log = get_logger(__name__)

HOUSEKEEPING_S: Final = 2.0
"""How often the circuit breaker is looked at: a command of another process may have released it."""

LOOK_AGAIN_S: Final = 30.0
"""How often waiting entries are checked whose wait ends without a receipt (an object vanished before it was sent)."""

SETTLE_S: Final = 0.05
"""How often ``until_empty`` checks."""


class Delivery:
    """Sends the messages of the outbox, by the rules of docs/design/delivering.md.

    Call ``run`` once, in the event loop; call everything else from the same loop. Raises StateError when the state
    fails. Of the sink's errors it raises only SetupError: the account is not set up for the sink. ``expected``: what
    the receiver should hold, for ``verify.every_h``.
    """

    def __init__(
        self,
        sink: Sink,
        state: State,
        settings: Settings,
        clock: Clock,
        *,
        observer: Observer | None = None,
        random: Random | None = None,
        leader_gate: LeaderGate | None = None,
        expected: Expected | None = None,
    ) -> None:
        health = Health(account=AccountWait(verdict_s=_verdict_s(settings)))
        hub, report = LaneHub(), Report(observer)
        if observer is not None:
            observer.expect(outcomes=KINDS, reasons=(*sink.traits.advice, *KINDS[1:]), families=sink.traits.families)
        windows = Windows(sink.traits.families, settings.delivery.history_share, cap=settings.sink.max_requests_per_10s)
        self._context = Context(
            sink=sink,
            state=state,
            settings=settings,
            clock=clock,
            random=random or Random(),
            health=health,
            hub=hub,
            permits=Permits(windows, clock=clock, health=health, gate=leader_gate or Alone(), report=report, hub=hub),
            report=report,
            circuit_breaker=CircuitBreaker(settings.delivery),
        )
        self._lanes = [Lane(rank, self._context) for rank in sorted(set(RANK.values()))]
        self._poller = SyncErrorPoller(self._context, sink) if isinstance(sink, LaterVerdicts) else None
        self._drift_check: DriftCheck | None = None
        if settings.verify.every_h and expected is not None and isinstance(sink, SinkReader):
            self._drift_check = DriftCheck(self._context, sink, expected, settings.verify.every_h)
        self._expected = expected
        self._wait_cursor = ""
        self._let_go_ms = 0
        self._is_history_held = False
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
            # Cancelled from outside, or by ``drain``.
            if self._forced:
                return
            current = asyncio.current_task()
            # Nobody cancelled us, so the work was cancelled from inside: the state thread refused its calls.
            if self._work.done() and current is not None and not current.cancelling():
                raise StateError("the state was closed while messages were being delivered") from None
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
            raise

    async def _run(self) -> None:
        try:
            await silence.take_up(self._context)
            await self._keep_house(waits=False)  # the circuit breaker stays tripped over a restart
            async with asyncio.TaskGroup() as tasks:
                side = [tasks.create_task(self._housekeeping(), name="housekeeping")]
                # Only a sink whose verdicts come later has something to poll.
                if self._poller is not None:
                    side.append(tasks.create_task(self._polling(self._poller), name="sync-errors"))
                # Without a successful start nothing may be sent, but verdicts are still read.
                if await start_sink(self._context, self._stopping):
                    for lane in self._lanes:
                        tasks.create_task(lane.run(), name=f"lane-{lane.rank}")
                    if self._expected is not None and isinstance(self._context.sink, SinkWitness):
                        looking = state_age.look(self._context, self._context.sink, self._expected)
                        side.append(tasks.create_task(looking, name="state-age"))
                    if self._drift_check is not None:
                        side.append(tasks.create_task(self._drift_check.run(), name="drift-check"))
                await self._stopping.wait()
                for task in side:
                    task.cancel()
        except ExceptionGroup as group:
            raise first_of(group) from group

    async def _polling(self, poller: SyncErrorPoller) -> None:
        while True:  # at the start, too: it shows whether the sink is there before there is anything to send
            is_spent = self._context.health.state == "daily_limit"  # polls would be refused like all else
            if self._context.permits.gate.may_send and not is_spent:
                await poller.poll()
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

        def look(store: Store) -> tuple[dict[str, str], int, int, bool]:
            freed = 0
            if context.permits.gate.may_send:  # a follower's forced message would get no receipt
                unconfirmed.send_again(store, now_ms)
            # Looking through all that waits costs time, so not every round does it.
            if waits:
                optional = context.sink.traits.optional_references
                self._wait_cursor, freed = look_again(store, optional, after=self._wait_cursor)
            context.circuit_breaker.end_when_none_is_held(store)
            let_go_ms = circuit_breaker.let_go_ms(store)
            return context.circuit_breaker.reasons(store, now_ms), freed, let_go_ms, history_stop.holds_history(store)

        before = dict(context.health.circuit_breaker)
        reasons, freed, let_go_ms, is_history_held = await context.state.call(look)
        for name, reason in reasons.items():
            context.health.set_breaker(name, reason)
        # A circuit breaker that tripped and was released between two rounds was never in ``before``: the time of
        # the last release shows it.
        is_released = let_go_ms != self._let_go_ms
        self._let_go_ms = let_go_ms
        # `import resume` is written by another process, and no new message wakes the lanes after it.
        is_released |= self._is_history_held and not is_history_held
        self._is_history_held = is_history_held
        if freed or is_released or any(name not in context.health.circuit_breaker for name in before):
            self.wake()

    def wake(self) -> None:
        """New outbox rows are on disk, or something else changed that lanes depend on."""
        self._context.hub.wake()

    async def reload(self, settings: Settings, traits: SinkTraits) -> None:
        """Use other settings from now on, those that are looked up at each use; the keys are read again.

        ``traits``: the traits of a sink with these settings.
        """
        context = self._context
        context.settings = settings
        context.circuit_breaker.settings = settings.delivery
        context.health.account.verdict_s = _verdict_s(settings)
        context.permits.windows.reconfigure(
            traits.families, settings.delivery.history_share, settings.sink.max_requests_per_10s
        )
        if isinstance(context.sink, BoundsBodies):
            context.sink.bound_bodies(settings.sink.max_batch_kb * 1024)
        if isinstance(context.sink, RenewsKeys) and context.sink.renew_keys():
            context.health.try_now(context.clock.monotonic())
        await self._keep_house(waits=False)
        self.wake()

    # ---------------------------------------------------------------------------------------------------- stop

    def stop(self) -> None:
        """Take no new batches. ``run`` returns when the present batches are settled."""
        self._stopping.set()
        self._context.permits.is_closing = True
        for lane in self._lanes:
            lane.close()

    async def drain(self, deadline: float) -> None:
        """Stop, wait for the messages in flight until ``deadline`` (the clock's monotonic seconds), then cancel them.

        A cancelled message may have been accepted. It stays in the outbox, and is sent again at the next start.
        """
        self.stop()
        if self._work is None:
            # Stopped before it ran.
            return
        left_s = deadline - self._context.clock.monotonic()
        done, _ = await asyncio.wait([self._work], timeout=max(0.0, left_s))
        # The grace time is over: a request that hangs must not keep the process alive.
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
        """Whether the sink accepts messages, as far as is known."""
        return self._context.health.fault(self._context.clock.monotonic()) is None

    @property
    def reason(self) -> str:
        """Why the sink does not accept messages; "" if it does."""
        fault = self._context.health.fault(self._context.clock.monotonic())
        return f"{fault[0]}: {fault[1]}" if fault else ""

    def status(self) -> dict[str, Any]:
        """What delivery is doing, for ``/status``."""
        context = self._context
        now_s = context.clock.monotonic()
        return {
            "sending": context.health.as_dict(now_s),
            "lanes": [
                {"rank": lane.rank, "under_way": lane.under_way, "backing_off": lane.is_backing_off}
                for lane in self._lanes
            ],
            "in_flight": len(context.in_flight_set),
            "quota": {name: window.as_dict(now_s) for name, window in context.permits.windows.items()},
            **context.report.as_dict(),
            **({"verify": self._drift_check.as_dict()} if self._drift_check is not None else {}),
        }

    async def until_empty(self) -> Literal["empty", "stuck"]:
        """Wait until every message that can be sent is sent. ``stuck``: the rest waits, is parked or is held
        (``causes``).

        Waits for a sink that cannot be reached or that accepts nothing.
        """
        while True:
            is_quiet = all(not lane.under_way and not lane.is_backing_off for lane in self._lanes)
            # Messages in flight may still fail and come back.
            if is_quiet and (self._context.health.state == "ok" or not self._context.in_flight_set):
                rest = await self._context.state.call(self._rest)
                if rest in ("empty", "stuck"):
                    return rest
                if rest == "freed":
                    self.wake()
            await asyncio.sleep(SETTLE_S)

    def _rest(self, store: Store) -> Literal["empty", "stuck", "freed", "going"]:
        # What is still to be rendered may become messages.
        if render_queue.is_any(store):
            return "going"
        if not outbox.is_any(store):
            return "empty"
        # The circuit breaker stops everything until somebody releases it.
        if "dead_letters" in self._context.health.circuit_breaker:
            return "stuck"
        if any(outbox.is_going(store, lane.rank) for lane in self._lanes):
            return "going"
        # The regular look goes in slices; here the whole answer is wanted.
        _, freed = look_again(store, self._context.sink.traits.optional_references, limit=1_000_000)
        return "freed" if freed else "stuck"

    def causes(self, store: Store) -> list[str]:
        """Why the remaining messages cannot be sent: one line per message, at most
        a hundred (call in the state thread).
        """
        namespace = self._context.namespace
        lines = [f"{w.ref.external_id(namespace)} ({w.action.value}): {w.cause}" for w in waiting.waiting(store)]
        return [f"{name}: {reason}" for name, reason in self._context.health.circuit_breaker.items()] + lines


def _verdict_s(settings: Settings) -> float:
    """Within how many seconds sync errors of a request are known: some polls, and never less than a first try."""
    return max(TRY_FIRST_S, 3 * settings.sink.judge_poll_s)
