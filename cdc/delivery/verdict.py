"""The only module that decides what follows from a failed request: retry, wait, split, park, dead-letter or stop.

Pure: the caller passes the facts and carries out the verdict. No other module retries.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final

from cdc.errors import (
    BatchRefusedError,
    OutcomeUnknownError,
    SinkError,
    SinkSwitchedOffError,
    SinkThrottledError,
    SinkUnauthorizedError,
)
from cdc.retry_pause import doubled_s, jittered_s

RETRY_FIRST_S: Final = 0.5
RETRY_CAP_S: Final = 30.0
PARK_FIRST_S: Final = 5.0
PARK_CAP_S: Final = 900.0
TOO_OFTEN: Final = 3
"""From this many failures of one batch on, while other batches succeed, the batch itself counts as the cause."""

PROBE_S: Final = 30.0
"""How often a sink is tried that accepts nothing for a reason of its own (key, switched off)."""

THROTTLE_S: Final = {"SECONDLY": 1.0, "TEN_SECONDLY_ROLLING": 10.0}
"""How long each of HubSpot's limits lasts at most, for answers without Retry-After."""

THROTTLE_DEFAULT_S: Final = 10.0


class Step(Enum):
    """What to do with a batch whose request failed."""

    RETRY = "retry"  # the identical messages again, after ``wait_s``
    WAIT = "wait"  # no lane sends for ``wait_s``
    STOP = "stop"  # no lane sends; one request is tried every ``wait_s``
    SPLIT = "split"  # send the halves, until the faulty message is alone
    PARK = "park"  # this one message is at fault: again, alone, after ``wait_s``
    REJECT = "reject"  # this one message will never be taken: dead letter


@dataclass(frozen=True, slots=True)
class Verdict:
    """The step, and how long to wait, for steps with a wait."""

    step: Step
    wait_s: float = 0.0


def decide(
    error: SinkError,
    *,
    failures: int,
    others_succeed: bool,
    size: int,
    random: Random,
    streak: int = 1,
    daily_s: float = PROBE_S,
) -> Verdict:
    """What follows from ``error``.

    ``failures``: how often these messages have failed like this, this time included. ``others_succeed``: other requests
    were accepted since their first failure. ``size``: messages in the request. ``streak``: requests of any lane that
    failed in a row, this request included. ``daily_s``: how long a used-up daily limit lasts from now (daily_reset.py).
    """
    match error:
        case SinkThrottledError():
            # A used-up daily limit lasts for hours: every lane stops, and single requests find its end.
            if error.policy == "DAILY":
                return Verdict(Step.STOP, max(error.retry_after_s or 0.0, daily_s))
            return Verdict(Step.WAIT, error.retry_after_s or THROTTLE_S.get(error.policy, THROTTLE_DEFAULT_S))
        case SinkUnauthorizedError() | SinkSwitchedOffError():
            return Verdict(Step.STOP, PROBE_S)
        case BatchRefusedError():
            return Verdict(Step.SPLIT if size > 1 else Step.REJECT)
    # The sink works for others, so something in this batch makes it fail.
    if failures >= TOO_OFTEN and others_succeed:
        if size > 1:
            return Verdict(Step.SPLIT)
        return Verdict(Step.PARK, park_s(failures, random))
    wait_s = jittered_s(max(failures, streak), RETRY_FIRST_S, RETRY_CAP_S, random)
    return Verdict(Step.RETRY, max(wait_s, getattr(error, "retry_after_s", None) or 0.0))


def park_s(failures: int, random: Random) -> float:
    """How long a message that fails alone is parked: at least half of the time, so that it never comes back at once."""
    rest_s = doubled_s(failures - TOO_OFTEN + 1, PARK_FIRST_S, PARK_CAP_S)
    return rest_s / 2 + random.uniform(0.0, rest_s / 2)


def message_retry_s(attempts: int, random: Random) -> float:
    """The wait of a message that the sink asks for again, after ``attempts`` earlier tries."""
    return RETRY_FIRST_S / 2 + jittered_s(attempts + 1, RETRY_FIRST_S, PARK_CAP_S, random)


KINDS: Final = ("ok", "throttled", "unauthorized", "switched_off", "refused", "unknown", "unavailable")
"""The outcomes of requests: ``ok``, or a fault's short name (``kind_of``)."""


def kind_of(error: SinkError) -> str:
    """The fault's short name for logs and metrics."""
    match error:
        case SinkThrottledError():
            return "throttled"
        case SinkUnauthorizedError():
            return "unauthorized"
        case SinkSwitchedOffError():
            return "switched_off"
        case BatchRefusedError():
            return "refused"
        case OutcomeUnknownError():
            return "unknown"
    return "unavailable"
