"""The real clock behind the ``Clock`` seam."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

DAY_MS: Final = 86_400_000


def iso_s(ms: int) -> str:
    """A time in epoch milliseconds as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def iso_ms(ms: int | None) -> str:
    """A time in epoch milliseconds as ISO 8601 in UTC, to the millisecond; "" for none."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds") if ms else ""


class SystemClock:
    """Wall time and monotonic time of this machine."""

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that never decrease."""
        return time.monotonic()
