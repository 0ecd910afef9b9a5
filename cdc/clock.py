"""The real clock behind the ``Clock`` seam."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

DAY_MS: Final = 86_400_000


LATEST_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, the last year that can be written."""


def iso_s(ms: int) -> str:
    """A time in epoch milliseconds as ISO 8601 in UTC, to the second."""
    return _moment(ms).isoformat(timespec="seconds")


def _moment(ms: int) -> datetime:
    """The nearest time that can be written: an answer or a topic may name any number of 63 bits."""
    return datetime.fromtimestamp(min(max(ms, 0), LATEST_MS) / 1000, UTC)


def iso_ms(ms: int | None) -> str:
    """A time in epoch milliseconds as ISO 8601 in UTC, to the millisecond; "" for none."""
    return _moment(ms).isoformat(timespec="milliseconds") if ms else ""


class SystemClock:
    """Wall time and monotonic time of this machine."""

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that never decrease."""
        return time.monotonic()
