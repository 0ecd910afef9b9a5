"""The state thread's signs of life: ``/live`` looks at the last one."""

from __future__ import annotations

import time


class Heartbeat:
    """Called by whatever works in the state thread for long; read by other threads."""

    def __init__(self) -> None:
        self.at = time.monotonic()
        """Seconds on the monotonic clock at the last sign of life."""

    def __call__(self) -> None:
        """Give a sign of life."""
        self.at = time.monotonic()
