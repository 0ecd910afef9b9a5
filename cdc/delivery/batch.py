"""Decides when a batch is sent: at once on an idle lane, else when it is full
or its oldest message has waited enough.
"""

from __future__ import annotations


def wait_s(*, is_full: bool, is_lane_idle: bool, oldest_rendered_ms: int, now_ms: int, max_delay_ms: int) -> float:
    """Seconds that a batch should wait for more messages; 0: send it now.

    ``is_full``: by count or bytes, or because the next message cannot join it. ``is_lane_idle``: the lane has no
    request under way behind which the batch would wait. ``oldest_rendered_ms``: rendering time of the message that has
    waited longest; the delay is counted from there. A clock that was set back never prolongs the wait.
    """
    if is_full or is_lane_idle:
        return 0.0
    waited_ms = max(0, now_ms - oldest_rendered_ms)
    return max(0.0, (max_delay_ms - waited_ms) / 1000)
