"""How many calls of one family may go: a sliding window, filled by our own calls and corrected by answers' headers.

Pure: monotonic seconds are passed in. HubSpot's burst limit is rolling over ten seconds and counts arrivals, so a
call occupies the window from its start until one interval after its answer: it arrived some time in between.
Classes: live work may use all of the window; history leaves a reserve for live work that may come, is spread evenly,
and gets a small share while live work is ready; the splitting of refused batches gets a fifth, and where others leave
room up to half: three bad messages of 200 take some 40 requests (no way takes under 21), and the good ones should not
wait for the window to move while nobody else needs it.
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
"""Part of the window that history leaves free: a live change then never waits for the window to move."""

GROWS_TO: Final = 500
"""Calls per ten seconds that a limit may grow to, whatever an answer says: twice what the largest accounts have."""


class Traffic(IntEnum):
    """What a call is for."""

    LIVE = 0
    HISTORY = 1
    SPLIT = 2


@dataclass(slots=True, eq=False)
class Call:
    """One call in the window. ``until_s``: when it leaves; infinite while it is under way."""

    traffic: Traffic
    start_s: float
    until_s: float = math.inf


class Window:
    """The calls of one family within the last interval.

    ``limit``: calls per ten seconds, as set and as the answers say; None: the family has no quota, and nothing waits.
    """

    def __init__(self, max_calls: int | None, history_share: float, *, may_grow: bool = False) -> None:
        """``may_grow``: what the answers say may be more than ``max_calls``, up to ``GROWS_TO``."""
        self._configured = max_calls
        self._most = GROWS_TO if may_grow else max_calls
        self._history_share = history_share
        self._calls: deque[Call] = deque()
        self._last_history_s = -math.inf
        self.limit = max_calls
        self.interval_s = INTERVAL_S if max_calls is not None else 0.0
        self.daily: tuple[int | None, int | None] = (None, None)
        """The daily limit and what is left of it, as the last answer said."""

    def reconfigure(self, max_calls: int, history_share: float, *, may_grow: bool) -> None:
        """Other settings hold from now on; what the answers said of the limit is learnt again from the next one."""
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
        """Calls in the window, all or of one class."""
        self._drop_ended(now_s)
        return sum(1 for call in self._calls if traffic is None or call.traffic is traffic)

    def delay_s(self, now_s: float, traffic: Traffic, *, live_is_ready: bool = False) -> float:
        """Seconds until such a call may go; 0: now. Infinite: not before an answer has come."""
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
            most = self.limit - min(self.limit - 1, math.ceil(self.limit * LIVE_RESERVE))
            due_s = max(due_s, self._due_s(most, None), self._last_history_s + self.interval_s / most)
            # Live work of any lane waits: history gets its share and no more.
            if live_is_ready:
                due_s = max(due_s, self._due_s(max(1, int(self.limit * self._history_share)), traffic))
        return max(0.0, due_s - now_s)

    def _due_s(self, most: int, traffic: Traffic | None) -> float:
        """When fewer than ``most`` (of a class) will be in the window; 0 if that is so now."""
        ends = sorted(call.until_s for call in self._calls if traffic is None or call.traffic is traffic)
        return ends[len(ends) - most] if len(ends) >= most else 0.0

    def start(self, now_s: float, traffic: Traffic) -> Call:
        """A call goes, or room is reserved for a call."""
        call = Call(traffic, now_s)
        self._calls.append(call)
        # Spacing counts from the start of a call.
        if traffic is Traffic.HISTORY:
            self._last_history_s = now_s
        return call

    def began(self, call: Call, now_s: float, traffic: Traffic) -> None:
        """The reserved room is used, for this class."""
        call.traffic = traffic
        if traffic is Traffic.HISTORY:
            self._last_history_s = now_s

    def cancel(self, call: Call) -> None:
        """The reserved room is not needed."""
        self._calls.remove(call)

    def finish(self, call: Call, now_s: float) -> None:
        """The answer came, or the attempt ended."""
        call.until_s = now_s + self.interval_s

    def learn(self, quota: Quota, now_s: float) -> None:
        """Take over what an answer's headers say: the account's limit, and what others have used of it."""
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
