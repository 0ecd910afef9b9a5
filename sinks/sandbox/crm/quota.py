"""HubSpot's limits on calls: per window and per day, for each family of paths on its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sinks.sandbox.faults import Limited

OBJECTS: Final = "objects"
ASSOCIATIONS: Final = "associations"
SEARCH: Final = "search"

DEFAULT_LIMITS: Final = {
    OBJECTS: (190, 10_000, 625_000),
    ASSOCIATIONS: (150, 10_000, 500_000),
    SEARCH: (5, 1_000, None),
}
"""Calls per window, milliseconds of the window, calls per day: those of a Professional account."""


def family_of(path: str) -> str:
    """The family whose quota a call uses. Everything but searches and associations uses that of objects."""
    if "/associations" in path:
        return ASSOCIATIONS
    return SEARCH if path.endswith("/search") else OBJECTS


class CallQuota:
    """The quota of one family. A window begins with the first call in it; the day ends at the account's midnight."""

    def __init__(self, family: str, zone: str) -> None:
        self.family = family
        self.limit, self.interval_ms, self.daily = DEFAULT_LIMITS[family]
        self._zone = ZoneInfo(zone)
        self._window_start = 0
        self._used = 0
        self._day = ""
        self.used_today = 0
        self.refused = 0

    def set(self, limit: int, interval_ms: int, daily: int | None) -> None:
        """Use other limits from now on."""
        self.limit, self.interval_ms, self.daily = limit, interval_ms, daily

    def take(self, now_ms: int) -> Limited:
        """Count one call, or return the limit that is used up. A refused call does not count."""
        if now_ms - self._window_start >= self.interval_ms or now_ms < self._window_start:
            self._window_start, self._used = now_ms, 0
        day = self._local(now_ms).date().isoformat()
        if day != self._day:
            self._day, self.used_today = day, 0
        policy = ""
        if self.daily is not None and self.used_today >= self.daily:
            policy = "DAILY"
        elif self._used >= self.limit:
            policy = "SECONDLY" if self.family == SEARCH else "TEN_SECONDLY_ROLLING"
        if policy:
            self.refused += 1
        else:
            self._used += 1
            self.used_today += 1
        return Limited(self._headers(), policy, (self._window_start + self.interval_ms - now_ms) / 1000)

    def _headers(self) -> dict[str, str]:
        if self.family == SEARCH:
            return {}  # HubSpot's search answers carry no limit headers
        headers = {
            "X-HubSpot-RateLimit-Max": str(self.limit),
            "X-HubSpot-RateLimit-Remaining": str(self.limit - self._used),
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(self.interval_ms),
            "X-HubSpot-RateLimit-Secondly": str(max(self.limit // 10, 1)),
            "X-HubSpot-RateLimit-Secondly-Remaining": str(max(self.limit // 10 - 1, 0)),
        }
        if self.daily is not None:
            headers["X-HubSpot-RateLimit-Daily"] = str(self.daily)
            headers["X-HubSpot-RateLimit-Daily-Remaining"] = str(self.daily - self.used_today)
        return headers

    def resets_at(self, now_ms: int) -> datetime:
        """The account's next midnight, in UTC."""
        local = self._local(now_ms)
        tomorrow = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return tomorrow.astimezone(UTC)

    def _local(self, now_ms: int) -> datetime:
        return datetime.fromtimestamp(now_ms / 1000, self._zone)

    def view(self) -> dict[str, Any]:
        """Limits and use."""
        return {
            "limit": self.limit,
            "interval_ms": self.interval_ms,
            "daily": self.daily,
            "used_today": self.used_today,
            "refused": self.refused,
        }
