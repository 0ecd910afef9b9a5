"""Faults on demand, and a request quota. Pure: asked once for each batch of messages, time is passed in.

What ``POST /_sandbox/faults`` takes (one object or a list of them; each call adds):

``{"status": 503, "count": 2, "retry_after": 5}``  the next two batches are answered so (429 also takes ``policy``)
``{"delay_ms": 80}``                               every batch waits that long (``count``: only so many)
``{"hang": 1}``                                    the next batch is never answered
``{"cut": "before", "count": 1}``                  the connection is cut before ("after": after) taking the batch
``{"status": 503, "rate": 0.1}``                   each batch with this probability, until cleared (or ``count`` hits)
``{"refuse_ids": ["shop-item-7"]}``                a batch holding one of these is refused with 400
``{"quota": {"limit": 100, "interval_ms": 10000, "daily": 250000}}``   headers, and 429 beyond it (null: no quota)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from sinks.sandbox.fault_values import probability, whole

FOREVER: Final = 1_000_000_000
DAY_MS: Final = 86_400_000


@dataclass(slots=True)
class Rule:
    """A fault that hits the next ``left`` batches. ``kind``: status, hang, cut_before or cut_after."""

    kind: str
    left: int
    status: int = 0
    retry_after: float | None = None
    policy: str = ""
    rate: float = 1.0


@dataclass(frozen=True, slots=True)
class Limited:
    """A quota's answer to one request: headers to send, and the policy that is used up ("": none)."""

    headers: Mapping[str, str]
    policy: str = ""
    wait_s: float = 0.0


class Quota:
    """Requests in a fixed window and a day; the windows begin with the first request in them."""

    def __init__(self, limit: int, interval_ms: int, daily: int | None) -> None:
        self.limit, self.interval_ms, self.daily = limit, interval_ms, daily
        self._window_start = self._day_start = 0
        self._used = self._used_today = 0

    def take(self, now_ms: int) -> Limited:
        """Count one request."""
        if now_ms - self._window_start >= self.interval_ms:
            self._window_start, self._used = now_ms, 0
        if now_ms - self._day_start >= DAY_MS:
            self._day_start, self._used_today = now_ms, 0
        policy = ""
        if self.daily is not None and self._used_today >= self.daily:
            policy = "DAILY"
        elif self._used >= self.limit:
            policy = "TEN_SECONDLY_ROLLING"
        else:
            self._used += 1
            self._used_today += 1
        headers = {
            "X-HubSpot-RateLimit-Max": str(self.limit),
            "X-HubSpot-RateLimit-Remaining": str(self.limit - self._used),
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(self.interval_ms),
        }
        if self.daily is not None:
            headers["X-HubSpot-RateLimit-Daily"] = str(self.daily)
            headers["X-HubSpot-RateLimit-Daily-Remaining"] = str(self.daily - self._used_today)
        return Limited(headers, policy, (self._window_start + self.interval_ms - now_ms) / 1000)


class Faults:
    """The faults that the sandbox was asked to make."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Remove all faults."""
        self.rules: deque[Rule] = deque()
        self.refuse_ids: set[str] = set()
        self.quota: Quota | None = None
        self._random = Random(0)  # so that a run can be repeated
        self.delay_ms = 0
        self._delays_left: int | None = None

    def add(self, spec: Any) -> None:
        """Add what one object of the form above asks for. ValueError with a sentence if it has not that form."""
        if not isinstance(spec, dict):
            raise ValueError("a fault must be an object")
        kinds = [kind for kind in ("status", "delay_ms", "hang", "cut", "refuse_ids", "quota") if kind in spec]
        extra = set(spec) - {*kinds, "count", "retry_after", "policy", "rate"}
        # A misspelt fault that is accepted would make a test pass that tests nothing.
        if len(kinds) != 1 or extra:
            raise ValueError("a fault has one of status, delay_ms, hang, cut, refuse_ids, quota")
        kind = kinds[0]
        rate = _rate(spec)
        count = whole(spec, "count", 1 if rate == 1.0 else FOREVER)
        if kind == "status":
            self._add_status(spec, count)
        elif kind == "delay_ms":
            self.delay_ms = whole(spec, "delay_ms", 0)
            self._delays_left = count if "count" in spec else None
        elif kind == "hang":
            self.rules.append(Rule("hang", whole(spec, "hang", 1)))
        elif kind == "cut":
            if spec["cut"] not in ("before", "after"):
                raise ValueError('cut is "before" or "after"')
            self.rules.append(Rule(f"cut_{spec['cut']}", count, rate=rate))
        elif kind == "refuse_ids":
            if not isinstance(spec["refuse_ids"], list):
                raise ValueError("refuse_ids is a list of external ids")
            self.refuse_ids = {str(external_id) for external_id in spec["refuse_ids"]}
        else:
            self.quota = _quota(spec["quota"])

    def _add_status(self, spec: Mapping[str, Any], count: int) -> None:
        status = whole(spec, "status", 0)
        if not 300 <= status <= 599:
            raise ValueError("status is 300 to 599")
        wait = spec.get("retry_after")
        if wait is not None and not isinstance(wait, int | float):
            raise ValueError("retry_after is a number of seconds")
        policy = str(spec.get("policy", "TEN_SECONDLY_ROLLING" if status == 429 else ""))
        self.rules.append(Rule("status", count, status, wait, policy, _rate(spec)))

    def next(self) -> Rule | None:
        """The fault that hits this batch, counted down."""
        self.rules = deque(rule for rule in self.rules if rule.left > 0)
        for rule in self.rules:
            if rule.rate >= 1.0 or self._random.random() < rule.rate:
                rule.left -= 1
                return rule
        return None

    def next_delay_s(self) -> float:
        """How long this batch waits, counted down."""
        if self._delays_left is not None:
            if self._delays_left <= 0:
                return 0.0
            self._delays_left -= 1
        return self.delay_ms / 1000

    def refuses(self, external_ids: Iterable[str]) -> bool:
        """Whether a batch with these ids is refused."""
        return bool(self.refuse_ids) and not self.refuse_ids.isdisjoint(external_ids)

    def view(self) -> dict[str, Any]:
        """The faults that are still to come."""
        return {
            "rules": [
                {"kind": rule.kind, "left": rule.left, "status": rule.status, "retry_after": rule.retry_after}
                for rule in self.rules
                if rule.left > 0
            ],
            "delay_ms": self.delay_ms if self._delays_left != 0 else 0,
            "refuse_ids": sorted(self.refuse_ids),
            "quota": None if self.quota is None else {"limit": self.quota.limit, "daily": self.quota.daily},
        }


def _rate(spec: Mapping[str, Any]) -> float:
    value = probability(spec)
    if value != 1 and "status" not in spec and "cut" not in spec:
        raise ValueError("rate goes with status or cut")
    return value


def _quota(spec: Any) -> Quota | None:
    if spec is None:
        return None
    if not isinstance(spec, dict):
        raise ValueError("quota is an object with limit, interval_ms, daily, or null")
    daily = whole(spec, "daily", 0) if spec.get("daily") is not None else None
    return Quota(whole(spec, "limit", 100), whole(spec, "interval_ms", 10_000), daily)
