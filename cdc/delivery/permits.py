"""Permits for calls: each call waits for its family's quota, and the leader gate is asked before the call is made.

A sink never sees windows and classes. It gets a ``Requests`` (cdc/protocols.py) from the code that knows what the calls
are for. ``StandaloneRequests`` is for commands that call the receiver without a daemon.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Final

from cdc.delivery.health import Health
from cdc.delivery.lane_hub import LaneHub
from cdc.delivery.leader_gate import LeaderGate
from cdc.delivery.quota import Call, Traffic, Window
from cdc.delivery.report import Report
from cdc.delivery.verdict import kind_of
from cdc.errors import SendingStoppedError, SinkError
from cdc.log_events import get_logger
from cdc.model import Quota
from cdc.protocols import CallFamily, Clock, Permit, SinkTraits

log = get_logger(__name__)

LOOK_AGAIN_S: Final = 0.1  # when only the end of a call under way can make room
SHORTEST_S: Final = 0.001  # less may not move the clock
LONGEST_S: Final = 1.0  # so that a closed gate is noticed

CLOSING_WAIT_S: Final = 2.0
"""Once delivery closes, a permit that would need a longer wait is refused."""


class Windows:
    """One window per family; a sink without families has one window without a quota."""

    def __init__(self, families: Mapping[str, CallFamily], history_share: float, cap: int | None = None) -> None:
        """``cap``: calls per ten seconds of any family at most."""
        self._by_family = {
            name: Window(_most(family, cap), history_share, may_grow=family.may_grow and cap is None)
            for name, family in families.items()
        }
        self._no_quota = Window(None, history_share)

    def reconfigure(self, families: Mapping[str, CallFamily], history_share: float, cap: int | None) -> None:
        """Use other settings from now on. Calls that are in the windows stay there."""
        for name, window in self._by_family.items():
            family = families[name]
            window.reconfigure(_most(family, cap), history_share, may_grow=family.may_grow and cap is None)

    def of(self, family: str) -> Window:
        """The family's window. KeyError for a family that the sink's traits do not name."""
        return self._by_family[family] if self._by_family else self._no_quota

    @property
    def first(self) -> Window:
        """The window of the family of a send's first call."""
        return next(iter(self._by_family.values()), self._no_quota)

    def items(self) -> Iterator[tuple[str, Window]]:
        """Family and window, for ``/status``; empty for a sink without families."""
        return iter(self._by_family.items())


def _most(family: CallFamily, cap: int | None) -> int:
    return family.per_10s if cap is None else min(cap, family.per_10s)


class _Given:
    """One granted permit (``Permit``)."""

    def __init__(self, window: Window, clock: Clock) -> None:
        self._window, self._clock = window, clock

    def answered(self, quota: Quota) -> None:
        """Pass the headers on to the window."""
        self._window.learn(quota, self._clock.monotonic())


class Permits:
    """All windows of one delivery, and the sends that wait for room in them. Use in the event loop."""

    def __init__(
        self, windows: Windows, *, clock: Clock, health: Health, gate: LeaderGate, report: Report, hub: LaneHub
    ) -> None:
        self.windows = windows
        self.gate = gate
        self._clock, self._health, self._report, self._hub = clock, health, report, hub
        self._waiting: Counter[tuple[int, Traffic]] = Counter()
        self._reserved: set[Call] = set()
        self._begun = 0
        self.is_closing = False

    @property
    def under_way(self) -> int:
        """How many sends, pages and questions have room reserved or have begun, and have not ended."""
        return self._begun + len(self._reserved)

    def reserve(self, now_s: float) -> Call:
        """Reserve room in the first family's window, for a send whose class is not known yet."""
        call = self.windows.first.start(now_s, Traffic.LIVE)
        self._reserved.add(call)
        return call

    def use(self, reserved: Call, traffic: Traffic) -> None:
        """A send of this class begins in the reserved room. Call it at once: the next look paces history by it."""
        self.windows.first.began(reserved, self._clock.monotonic(), traffic)

    def give_back(self, reserved: Call) -> None:
        """There is nothing to send: free the reserved room."""
        self._reserved.remove(reserved)
        self.windows.first.cancel(reserved)

    def delay_s(self, now_s: float, traffic: Traffic) -> float:
        """Seconds until a send of this class may begin; infinite: not before a call has ended."""
        window = self.windows.first
        if any(self._waiting[id(window), ahead] for ahead in (Traffic.LIVE, Traffic.HISTORY) if ahead <= traffic):
            return math.inf  # a send that has begun comes first; the lanes are woken when it has its permit
        return window.delay_s(now_s, traffic, live_is_ready=self._hub.is_live_busy)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count the block as one call, whatever calls it makes: no other attempt begins beside it."""
        self._begun += 1
        try:
            yield
        finally:
            self._begun -= 1
            self._hub.wake_denied()

    @contextmanager
    def requests(
        self, traffic: Traffic, *, reserved: Call | None = None, is_open: Callable[[], bool] = lambda: True
    ) -> Iterator[_Calls]:
        """The object by which one send, page or question makes its calls.

        ``reserved``: room in the first family's window for the first call. ``is_open``: checked while a permit waits;
        once it is false, permits are refused.
        """
        # From here on the send itself counts as under way.
        if reserved is not None:
            self._reserved.discard(reserved)
        calls = _Calls(self, traffic, reserved, is_open)
        with self.busy():
            try:
                yield calls
            finally:
                calls.give_back()

    async def admit(self, window: Window, traffic: Traffic, is_open: Callable[[], bool]) -> Call:
        """Put a call into the window, once there is room and the silence is over. SendingStoppedError."""
        key = (id(window), traffic)
        self._waiting[key] += 1
        try:
            while True:
                # Asked in each round: the lane may have been asked to stop while this waits.
                if not is_open():
                    raise SendingStoppedError("the request was not begun: delivery holds it back")
                now_s = self._clock.monotonic()
                room_s = window.delay_s(now_s, traffic, live_is_ready=self._hub.is_live_busy)
                wait_s = max(room_s, self._health.quiet_delay_s(now_s))
                if wait_s <= 0:
                    return window.start(now_s, traffic)
                # A short wait is finished even when closing, so that half-written sends come to their end.
                if self.is_closing and wait_s > CLOSING_WAIT_S:
                    raise SendingStoppedError("the request was not begun: delivery is closing")
                await asyncio.sleep(LOOK_AGAIN_S if wait_s == math.inf else min(max(wait_s, SHORTEST_S), LONGEST_S))
        finally:
            self._waiting[key] -= 1
            self._hub.wake_denied()

    @asynccontextmanager
    async def permit(self, window: Window, call: Call) -> AsyncIterator[Permit]:
        """Make the admitted call: ask the leader gate, count the call, and free its room when it has ended."""
        if not self.gate.may_send:  # asked after any wait, so that a new leader has to wait for one time-out only
            window.cancel(call)
            raise SendingStoppedError("the request was not begun: another member leads")
        began_s = self._clock.monotonic()
        try:
            yield _Given(window, self._clock)
        except SinkError as error:
            # Failed requests have used the quota as well.
            self._ended(kind_of(error), began_s)
            raise
        else:
            self._ended("ok", began_s)
        finally:
            window.finish(call, self._clock.monotonic())
            self._hub.wake_denied()

    def _ended(self, outcome: str, began_s: float) -> None:
        seconds = self._clock.monotonic() - began_s
        self._report.requested(outcome, seconds)
        log.debug("request", outcome=outcome, seconds=round(seconds, 3))


class _Calls:
    """The calls of one send (``Requests``)."""

    def __init__(self, permits: Permits, traffic: Traffic, reserved: Call | None, is_open: Callable[[], bool]) -> None:
        self._permits, self._traffic, self._reserved, self._is_open = permits, traffic, reserved, is_open
        self.made = 0
        """Calls made so far. A send may end without one, and then its answer says nothing of the receiver."""

    @asynccontextmanager
    async def permit(self, family: str) -> AsyncIterator[Permit]:
        """See ``Requests.permit``."""
        window = self._permits.windows.of(family)
        # The permit was reserved in the first family; other families have windows of their own.
        if self._reserved is not None and window is self._permits.windows.first:
            call, self._reserved = self._reserved, None
        else:
            call = await self._permits.admit(window, self._traffic, self._is_open)
        async with self._permits.permit(window, call) as given:
            self.made += 1
            yield given

    def give_back(self) -> None:
        """The send has ended: free the reserved room that it did not use."""
        # A send that ends early gives its permit back, or the window would shrink.
        if self._reserved is not None:
            self._permits.windows.first.cancel(self._reserved)
            self._reserved = None


class StandaloneRequests:
    """For use without a daemon (check, mapping push, trace, tests): keeps each
    family's quota and has no other rules.
    """

    def __init__(self, traits: SinkTraits, clock: Clock, *, share: float = 1.0) -> None:
        """``share``: the part of each family's quota to use; a daemon may use the rest."""
        families = {name: CallFamily(max(1, int(family.per_10s * share))) for name, family in traits.families.items()}
        self._windows = Windows(families, 1.0)
        self._clock = clock

    def permit(self, family: str) -> AbstractAsyncContextManager[Permit]:
        """See ``Requests.permit``; never refused."""
        return self._permit(self._windows.of(family))

    @asynccontextmanager
    async def _permit(self, window: Window) -> AsyncIterator[Permit]:
        while (wait_s := window.delay_s(self._clock.monotonic(), Traffic.LIVE)) > 0:  # noqa: ASYNC110  # time makes room
            await asyncio.sleep(LOOK_AGAIN_S if wait_s == math.inf else max(wait_s, SHORTEST_S))
        call = window.start(self._clock.monotonic(), Traffic.LIVE)
        try:
            yield _Given(window, self._clock)
        finally:
            window.finish(call, self._clock.monotonic())
