"""The state thread's signs of life; ``/live`` checks the last one."""

from __future__ import annotations

import time


class Heartbeat:
    """Called by any long work in the state thread, read by other threads."""

    def __init__(self) -> None:
        self.at = time.monotonic()
        """When the last sign of life was given, in seconds of the monotonic clock."""

    def __call__(self) -> None:
        """Give a sign of life."""
        self.at = time.monotonic()
