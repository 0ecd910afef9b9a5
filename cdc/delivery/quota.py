"""How many requests may go: a sliding window, filled by our own requests and corrected by the answers' headers.

Pure: monotonic seconds are passed in. HubSpot's burst limit is rolling over ten seconds and counts arrivals, so a
request occupies the window from its start until one interval after its answer: it arrived some time in between.
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


class Traffic(IntEnum):
    """What a request is for."""

    LIVE = 0
    HISTORY = 1
    SPLIT = 2


@dataclass(slots=True, eq=False)
class Permit:
    """One request's place in the window. ``until_s``: when it leaves; infinite while it is under way."""

    traffic: Traffic
    start_s: float
    until_s: float = math.inf


class Window:
    """The requests of the last interval. ``limit``: requests per ten seconds, as set and as the answers say."""

    def __init__(self, max_requests: int, history_share: float) -> None:
        self._configured = max_requests
        self._history_share = history_share
        self._permits: deque[Permit] = deque()
        self._last_history_s = -math.inf
        self.limit = max_requests
        self.interval_s = INTERVAL_S

    def _sweep(self, now_s: float) -> None:
        if any(permit.until_s <= now_s for permit in self._permits):
            self._permits = deque(permit for permit in self._permits if permit.until_s > now_s)

    def used(self, now_s: float, traffic: Traffic | None = None) -> int:
        """Requests in the window, all or of one class."""
        self._sweep(now_s)
        return sum(1 for permit in self._permits if traffic is None or permit.traffic is traffic)

    @property
    def under_way(self) -> int:
        """Requests without an answer yet."""
        return sum(1 for permit in self._permits if permit.until_s == math.inf)

    def delay_s(self, now_s: float, traffic: Traffic, *, live_is_ready: bool = False) -> float:
        """Seconds until such a request may go; 0: now. Infinite: not before an answer has come."""
        self._sweep(now_s)
        due_s = self._due_s(self.limit, None)
        if traffic is Traffic.SPLIT:
            others = sum(1 for permit in self._permits if permit.traffic is not traffic)
            most = max(int(self.limit * SPLIT_SHARE), int(self.limit * SPLIT_MOST) - others)
            due_s = max(due_s, self._due_s(max(1, most), traffic))
        elif traffic is Traffic.HISTORY:
            most = self.limit - min(self.limit - 1, math.ceil(self.limit * LIVE_RESERVE))
            due_s = max(due_s, self._due_s(most, None), self._last_history_s + self.interval_s / most)
            if live_is_ready:
                due_s = max(due_s, self._due_s(max(1, int(self.limit * self._history_share)), traffic))
        return max(0.0, due_s - now_s)

    def _due_s(self, most: int, traffic: Traffic | None) -> float:
        """When fewer than ``most`` (of a class) will be in the window; 0 if that is so now."""
        ends = sorted(permit.until_s for permit in self._permits if traffic is None or permit.traffic is traffic)
        return ends[len(ends) - most] if len(ends) >= most else 0.0

    def start(self, now_s: float, traffic: Traffic) -> Permit:
        """A request goes."""
        permit = Permit(traffic, now_s)
        self._permits.append(permit)
        return permit

    def began(self, permit: Permit, now_s: float, traffic: Traffic) -> None:
        """The reserved place is used, for this class."""
        permit.traffic = traffic
        if traffic is Traffic.HISTORY:
            self._last_history_s = now_s

    def cancel(self, permit: Permit) -> None:
        """The reserved place is not needed."""
        self._permits.remove(permit)

    def finish(self, permit: Permit, now_s: float) -> None:
        """Its answer came, or the attempt ended."""
        permit.until_s = now_s + self.interval_s

    def learn(self, quota: Quota, now_s: float) -> None:
        """Take over what an answer's headers say: the account's limit, and what others have used of it."""
        if quota.limit is None or quota.limit < 1:
            return
        interval_s = (quota.interval_ms or 10_000) / 1000
        scaled = max(1, int(quota.limit * INTERVAL_S / interval_s)) if interval_s <= INTERVAL_S else quota.limit
        self.limit = min(self._configured, scaled)
        if quota.remaining is None or interval_s != INTERVAL_S:
            return
        foreign = (quota.limit - quota.remaining) - self.used(now_s)
        for _ in range(min(foreign, self.limit)):
            self._permits.append(Permit(Traffic.LIVE, now_s, now_s + self.interval_s))
