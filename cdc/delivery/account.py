"""A HubSpot account that refuses all that it is sent, for a reason of its own: not installed, switched off.

The bridge takes messages all the same and refuses each of them later. So no lane sends; now and then one request is
tried, and when nothing of it is refused for such a reason within the time that verdicts take, all may be sent again.
Pure: monotonic seconds are passed in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

TRY_FIRST_S: Final = 60.0
TRY_CAP_S: Final = 900.0

MEMORY_S: Final = 3600.0
"""A refusal so soon after the last time goes on with its waits: verdicts were slower than thought."""


@dataclass(slots=True)
class AccountWait:
    """``reason`` "": all is well. ``verdict_s``: within how many seconds a request that was taken is judged."""

    reason: str = ""
    since_s: float = 0.0
    next_s: float = 0.0
    refusals: int = 0
    verdict_s: float = TRY_FIRST_S
    _tried_s: float = math.inf
    _over_s: float = -math.inf

    @property
    def wait_s(self) -> float:
        """Seconds between two tries: doubled with each that was in vain."""
        return float(min(TRY_CAP_S, TRY_FIRST_S * 2.0 ** min(self.refusals - 1, 10)))

    def refused(self, reason: str, now_s: float) -> None:
        """Messages were refused for the account's sake: all of one poll count once."""
        if not self.reason:
            self.since_s = now_s
            if now_s - self._over_s > MEMORY_S:
                self.refusals = 0
        self.reason = reason
        self.refusals += 1
        self.next_s = now_s + self.wait_s
        self._tried_s = math.inf

    def taken(self, now_s: float) -> None:
        """A request was taken, which says nothing yet."""
        if self.reason and self._tried_s == math.inf:
            self._tried_s = now_s
            self.next_s = now_s + max(self.wait_s, self.verdict_s)

    def ends(self, now_s: float) -> bool:
        """Verdicts were read and named no such reason: whether that ends the wait, as the last try was judged."""
        if not self.reason or now_s - self._tried_s < self.verdict_s:
            return False
        self.reason = ""
        self._over_s = now_s
        self._tried_s = math.inf
        return True
