"""When a used-up daily limit ends: at midnight in the account's time zone, which no answer states. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

PROBE_S: Final = 3600.0
"""The sink is tried at least this often: the zone may be unknown or wrong, and a clock may be set meanwhile."""

AFTER_S: Final = 30.0
"""How long after midnight: HubSpot's clock and ours differ, and all clients call at midnight."""


def daily_wait_s(now_ms: int, zone: str) -> float:
    """Seconds until a request may be accepted again. ``zone``: the account's, an IANA name, or "" if not known."""
    if not zone:
        return PROBE_S
    here = ZoneInfo(zone)
    now = datetime.fromtimestamp(now_ms / 1000, here)
    next_day = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), here)
    return min(PROBE_S, next_day.timestamp() - now_ms / 1000 + AFTER_S)


def daily_hint(zone: str) -> str:
    """The advice about a used-up daily limit."""
    if not zone:
        return "it ends at midnight in the account's time zone; set sink.time_zone to go on right then"
    return f"it ends at midnight in {zone}; messages wait, and nothing is lost"
