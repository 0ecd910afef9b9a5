"""How many calls of one family may be made: a sliding window, filled by our own calls and corrected by answers'
headers.

Pure: monotonic seconds are passed in. HubSpot's burst limit covers the last ten seconds and counts arrivals. A call
arrives at some time between its start and its answer, so it stays in the window until one interval after its answer.

There are three classes of calls. Live work may use the whole window. History leaves a reserve for live work that may
come, is spread evenly, and gets a small share while live work is ready. The splitting of refused batches gets a fifth
of the window, and up to half of it while other classes leave room: three bad messages of 200 take some 40 requests (no
method takes under 21), and the good messages should not wait while no other class needs the window.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from cdc.model import Quota

INTERVAL_S: Final = 10.0
SPLIT_SHARE: Final = 0.2
SPLIT_MOST: Final = 0.5
LIVE_RESERVE: Final = 0.03
"""The part of the quota that history leaves to live work."""

ALWAYS_FREE: Final = 0.01
"""The part of the window that history leaves free at any moment, so that a live change need not wait for the window to
move. It is less than ``LIVE_RESERVE``, as a call stays in the window longer than HubSpot counts it: with answers after
0.2 s, a reserve of 3 % in the window alone would cost history 5 % of the quota.
"""

GROWS_TO: Final = 500
"""The highest limit that is learnt from answers, in calls per ten seconds: twice what the largest accounts have."""


class Traffic(IntEnum):
    """The class of a call."""

    LIVE = 0
    HISTORY = 1
    SPLIT = 2


@dataclass(slots=True, eq=False)
class Call:
    """One call in the window. ``until_s``: when it leaves; infinite while it has no answer."""

    traffic: Traffic
    start_s: float
    until_s: float = math.inf


class Window:
    """The calls of one family within the last interval.

    ``limit``: calls per ten seconds, by the settings and the answers; None: the family has no quota, and no call waits.
    """

    def __init__(self, max_calls: int | None, history_share: float, *, may_grow: bool = False) -> None:
        """``may_grow``: the answers may raise the limit above ``max_calls``, up to ``GROWS_TO``."""
        self._configured = max_calls
        self._most = GROWS_TO if may_grow else max_calls
        self._history_share = history_share
        self._calls: deque[Call] = deque()
        self._history_due_s = -math.inf
        self.limit = max_calls
        self.interval_s = INTERVAL_S if max_calls is not None else 0.0
        self.daily: tuple[int | None, int | None] = (None, None)
        """The daily limit and the calls left of it, by the last answer."""

    def reconfigure(self, max_calls: int, history_share: float, *, may_grow: bool) -> None:
        """Use other settings from now on. The limit is learnt again from the next answer."""
        self._history_share = history_share
        if self._configured is not None:
            self._configured = self.limit = max_calls
            self._most = GROWS_TO if may_grow else max_calls

    def as_dict(self, now_s: float) -> dict[str, int | None]:
        """For ``/status``."""
        return {
            "limit_per_10s": self.limit,
            "used": self.used(now_s),
            "daily_limit": self.daily[0],
            "daily_remaining": self.daily[1],
        }

    def _drop_ended(self, now_s: float) -> None:
        # Rebuilt only when something has left: this runs before every call.
        if any(call.until_s <= now_s for call in self._calls):
            self._calls = deque(call for call in self._calls if call.until_s > now_s)

    def used(self, now_s: float, traffic: Traffic | None = None) -> int:
        """Calls in the window, of all classes or of one class."""
        self._drop_ended(now_s)
        return sum(1 for call in self._calls if traffic is None or call.traffic is traffic)

    def delay_s(self, now_s: float, traffic: Traffic, *, live_is_ready: bool = False) -> float:
        """Seconds until a call of this class may be made; 0: now. Infinite: not before an answer has come."""
        if self.limit is None:
            return 0.0
        self._drop_ended(now_s)
        due_s = self._due_s(self.limit, None)
        # Splitting may use half of the window only where others leave room.
        if traffic is Traffic.SPLIT:
            others = sum(1 for call in self._calls if call.traffic is not traffic)
            most = max(int(self.limit * SPLIT_SHARE), int(self.limit * SPLIT_MOST) - others)
            due_s = max(due_s, self._due_s(max(1, most), traffic))
        elif traffic is Traffic.HISTORY:
            # Evenly spaced, so that a live change finds room at any moment.
            room = max(1, self.limit - math.ceil(self.limit * ALWAYS_FREE))
            due_s = max(due_s, self._due_s(room, None), self._due_by_start_s(self._history_most()), self._history_due_s)
            # Live work of any lane waits: history gets its share and no more.
            if live_is_ready:
                due_s = max(due_s, self._due_s(max(1, int(self.limit * self._history_share)), traffic))
        return max(0.0, due_s - now_s)

    def _due_s(self, most: int, traffic: Traffic | None) -> float:
        """When the window will have fewer than ``most`` calls (of a class); 0 if it has fewer now."""
        ends = sorted(call.until_s for call in self._calls if traffic is None or call.traffic is traffic)
        return ends[len(ends) - most] if len(ends) >= most else 0.0

    def _due_by_start_s(self, most: int) -> float:
        """When fewer than ``most`` calls will have begun within the last interval; 0 if that is so now."""
        # Calls leave the window in the order of their answers, so the oldest start may stand anywhere.
        ends = sorted(call.start_s + self.interval_s for call in self._calls)
        return ends[len(ends) - most] if len(ends) >= most else 0.0

    def _history_most(self) -> int:
        """Calls in an interval that history may fill up to."""
        assert self.limit is not None
        return self.limit - min(self.limit - 1, math.ceil(self.limit * LIVE_RESERVE))

    def _history_began(self, now_s: float) -> None:
        # A call that begins late shortens the space to the next call by up to a tenth. Else each wait that ends a
        # little late would cost a part of the quota.
        if self.limit is not None:
            space_s = self.interval_s / self._history_most()
            self._history_due_s = max(self._history_due_s + space_s, now_s + 0.9 * space_s)

    def start(self, now_s: float, traffic: Traffic) -> Call:
        """A call is made, or room is reserved for a call."""
        call = Call(traffic, now_s)
        self._calls.append(call)
        # Spacing counts from the start of a call.
        if traffic is Traffic.HISTORY:
            self._history_began(now_s)
        return call

    def began(self, call: Call, now_s: float, traffic: Traffic) -> None:
        """The reserved room is used by a call of this class."""
        if traffic is Traffic.HISTORY is not call.traffic:
            self._history_began(now_s)
        call.traffic = traffic

    def cancel(self, call: Call) -> None:
        """The reserved room is not needed."""
        self._calls.remove(call)

    def finish(self, call: Call, now_s: float) -> None:
        """The answer came, or the attempt ended without an answer."""
        call.until_s = now_s + self.interval_s

    def learn(self, quota: Quota, now_s: float) -> None:
        """Learn from an answer's headers: the account's limit, and the calls that other programs made."""
        # Some answers carry only the short limit; then the last known day stays.
        if quota.daily_limit is not None or quota.daily_remaining is not None:
            self.daily = (quota.daily_limit, quota.daily_remaining)
        # Answers without these headers, or of a family without a quota, say nothing about the window.
        if self._configured is None or quota.limit is None or quota.limit < 1:
            return
        interval_s = (quota.interval_ms or 10_000) / 1000
        scaled = max(1, int(quota.limit * INTERVAL_S / interval_s)) if interval_s <= INTERVAL_S else quota.limit
        self.limit = scaled if self._most is None else min(self._most, scaled)
        # What is left belongs to another interval, and cannot be compared with ours.
        if quota.remaining is None or interval_s != INTERVAL_S:
            return
        foreign = (quota.limit - quota.remaining) - self.used(now_s)
        # Calls of other programs occupy the window until it moves on.
        for _ in range(min(foreign, self.limit)):
            self._calls.append(Call(Traffic.LIVE, now_s, now_s + self.interval_s))
