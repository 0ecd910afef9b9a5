"""Waits for a HubSpot account that refuses every message for a reason of its own: not installed, switched off.

The bridge accepts such messages, and refuses each of them later. Other receivers refuse at once, every message of a
batch with the same text. Then no lane sends, and from time to time one batch is tried. Where refusals come at once, the
first accepted message ends the wait. Where they come later, the wait ends when no message of the batch was refused for
such a reason within the time that sync errors take. Pure: monotonic seconds are passed in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from cdc.retry_pause import doubled_s

TRY_FIRST_S: Final = 60.0
TRY_FIRST_AT_ONCE_S: Final = 5.0
TRY_CAP_S: Final = 900.0

TRY_CAP_AT_ONCE_S: Final = 120.0
"""The same for refusals at once: it may be the messages' fault after all, and new messages must not wait for long."""

MEMORY_S: Final = 3600.0
"""A refusal so soon after the last wait continues that wait: sync errors came later than expected."""


@dataclass(slots=True)
class AccountWait:
    """``reason`` "": the account is well. ``verdict_s``: within how many seconds a sync error follows an accepted
    request.

    ``is_at_once``: the refusals came as answers, so an answer that accepts a message ends the wait. ``words``: the text
    of the refusals.
    """

    reason: str = ""
    since_s: float = 0.0
    next_s: float = 0.0
    refusals: int = 0
    verdict_s: float = TRY_FIRST_S
    is_at_once: bool = False
    words: str = ""
    _tried_s: float = math.inf
    _over_s: float = -math.inf

    @property
    def wait_s(self) -> float:
        """Seconds between two tries; doubled with each failed try."""
        first_s, cap_s = (TRY_FIRST_AT_ONCE_S, TRY_CAP_AT_ONCE_S) if self.is_at_once else (TRY_FIRST_S, TRY_CAP_S)
        return doubled_s(self.refusals, first_s, cap_s)

    def refused(self, reason: str, now_s: float, *, is_at_once: bool = False) -> None:
        """Messages were refused because of the account. All refusals of one poll count once."""
        if not self.reason:
            self.since_s = now_s
            if now_s - self._over_s > MEMORY_S:
                self.refusals = 0
        self.reason, self.is_at_once = reason, is_at_once
        self.refusals += 1
        self.next_s = now_s + self.wait_s
        self._tried_s = math.inf

    def taken(self, now_s: float) -> bool:
        """A message was accepted. Returns whether that ends the wait; it does not where refusals come later."""
        if self.reason and self.is_at_once:
            self._end(now_s)
            return True
        if self.reason and self._tried_s == math.inf:
            self._tried_s = now_s
            self.next_s = now_s + max(self.wait_s, self.verdict_s)
        return False

    def ends(self, now_s: float) -> bool:
        """Sync errors were read, and none had such a reason. Returns whether that
        ends the wait, as the last try is over.
        """
        if not self.reason or self.is_at_once or now_s - self._tried_s < self.verdict_s:
            return False
        self._end(now_s)
        return True

    def _end(self, now_s: float) -> None:
        self.reason = ""
        self._over_s = now_s
        self._tried_s = math.inf
