"""Waiting for a place in the quota's window, for requests that are not a lane's batches."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final

from cdc.delivery.context import Context
from cdc.delivery.quota import Permit, Traffic

LOOK_AGAIN_S: Final = 0.1  # when only the end of a request under way can make room
SHORTEST_S: Final = 0.001  # less may not move the clock
LONGEST_S: Final = 1.0  # so that a closed gate is noticed


async def wait_for_slot(context: Context, traffic: Traffic, is_open: Callable[[], bool]) -> Permit | None:
    """A place in the window, once there is one; None when ``is_open`` says no before that."""
    while is_open():
        now_s = context.clock.monotonic()
        wait_s = max(context.window.delay_s(now_s, traffic), context.health.quiet_delay_s(now_s))
        if wait_s <= 0:
            return context.window.start(now_s, traffic)
        await asyncio.sleep(LOOK_AGAIN_S if wait_s == math.inf else min(max(wait_s, SHORTEST_S), LONGEST_S))
    return None
