"""When a used-up daily limit ends: at midnight in the account's time zone, which no answer tells. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

PROBE_S: Final = 3600.0
"""How often the sink is tried at least: the zone may not be known or set wrong, a clock may be set meanwhile."""

AFTER_S: Final = 30.0
"""How long after midnight: its clock and ours differ, and everybody comes at once."""


def daily_wait_s(now_ms: int, zone: str) -> float:
    """Seconds until a request may be taken again; ``zone``: the account's, an IANA name, or "" if not known."""
    if not zone:
        return PROBE_S
    here = ZoneInfo(zone)
    now = datetime.fromtimestamp(now_ms / 1000, here)
    next_day = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), here)
    return min(PROBE_S, next_day.timestamp() - now_ms / 1000 + AFTER_S)


def daily_hint(zone: str) -> str:
    """What to say of it."""
    if not zone:
        return "it ends at midnight in the account's time zone; set sink.time_zone to go on right then"
    return f"it ends at midnight in {zone}; messages wait, and nothing is lost"
