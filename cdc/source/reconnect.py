"""What every reader of a server's log does between two tries: it counts, tells, and waits longer each time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from cdc.errors import SourceDisconnectedError
from cdc.log_events import get_logger
from cdc.model import Position, Start
from cdc.retry_pause import jittered_s

log = get_logger(__name__)

OnState = Callable[[str, Mapping[str, object]], None]
"""Is told the source's state: its name (``connected``, ``disconnected``) and details."""

RETRY_FIRST_S: Final = 1.0
RETRY_MOST_S: Final = 30.0
STEADY_S: Final = 60.0  # what held so long was good; the next failure starts a new count


def counted(failures: int, began_s: float) -> int:
    """Failures in a row, with the present one. ``began_s``: when the try began, monotonic seconds."""
    return 1 if time.monotonic() - began_s > STEADY_S else failures + 1


def wait_to_retry(
    fault: SourceDisconnectedError, at: Position | Start, failures: int, *, on_state: OnState, stop: threading.Event
) -> None:
    """Tell the log and ``on_state``, then wait a random part of a limit that doubles with each failure (full jitter).

    Ends early when ``stop`` is set.
    """
    wait_s = jittered_s(failures, RETRY_FIRST_S, RETRY_MOST_S)
    details = {"reason": fault.message, "errno": fault.errno, "retry_in_s": round(wait_s, 2)}
    log.warning("source_disconnected", position=str(at), failures=failures, hint=fault.hint, **details)
    on_state("disconnected", details)
    stop.wait(wait_s)
