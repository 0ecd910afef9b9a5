"""What follows from a failed request, and how long to wait: a table and a few bounds."""

from __future__ import annotations

from random import Random

import pytest

from cdc.delivery.verdict import PARK_CAP_S, RETRY_CAP_S, Step, decide, message_retry_s, park_s
from cdc.errors import (
    BatchRefusedError,
    OutcomeUnknownError,
    SinkError,
    SinkSwitchedOffError,
    SinkThrottledError,
    SinkUnauthorizedError,
    SinkUnavailableError,
)

DOWN = SinkUnavailableError("503")


@pytest.mark.parametrize(
    ("error", "failures", "others", "size", "step"),
    [
        pytest.param(DOWN, 1, False, 200, Step.RETRY, id="first-failure"),
        pytest.param(DOWN, 50, False, 200, Step.RETRY, id="everybody-fails"),
        pytest.param(DOWN, 2, True, 200, Step.RETRY, id="twice-while-others-succeed"),
        pytest.param(DOWN, 3, True, 200, Step.SPLIT, id="three-times-while-others-succeed"),
        pytest.param(DOWN, 3, True, 1, Step.PARK, id="alone-three-times"),
        pytest.param(OutcomeUnknownError("cut"), 3, True, 2, Step.SPLIT, id="time-outs-count-the-same"),
        pytest.param(BatchRefusedError("400"), 1, False, 200, Step.SPLIT, id="refused-batch"),
        pytest.param(BatchRefusedError("400"), 1, False, 1, Step.REJECT, id="refused-alone"),
        pytest.param(SinkThrottledError("429"), 1, False, 200, Step.WAIT, id="throttled"),
        pytest.param(SinkThrottledError("429", policy="DAILY"), 1, False, 200, Step.STOP, id="daily-limit"),
        pytest.param(SinkUnauthorizedError("401"), 9, True, 1, Step.STOP, id="bad-key"),
        pytest.param(SinkSwitchedOffError("410"), 1, False, 1, Step.STOP, id="switched-off"),
        pytest.param(SinkError("odd"), 1, False, 1, Step.RETRY, id="unnamed-kinds-are-retried"),
    ],
)
def test_each_fault_has_its_step(error: SinkError, failures: int, others: bool, size: int, step: Step) -> None:
    """The step follows from the kind of error and from whether the messages themselves seem to be at fault."""
    assert decide(error, failures=failures, others_succeed=others, size=size, random=Random(1)).step is step


def test_retry_after_is_the_least_that_is_waited() -> None:
    """What the server asks for is never undercut by the jitter."""
    error = SinkUnavailableError("477", retry_after_s=600)
    assert decide(error, failures=1, others_succeed=False, size=1, random=Random(1)).wait_s == 600


@pytest.mark.parametrize(("policy", "wait_s"), [("SECONDLY", 1), ("TEN_SECONDLY_ROLLING", 10), ("", 10)])
def test_a_limit_without_retry_after_lasts_its_window(policy: str, wait_s: float) -> None:
    """HubSpot's policyName says how long its limit lasts."""
    error = SinkThrottledError("429", policy=policy)
    assert decide(error, failures=1, others_succeed=False, size=1, random=Random(1)).wait_s == wait_s


def test_waits_grow_with_full_jitter_up_to_their_caps() -> None:
    """Retries spread over the whole range, never over the cap, however often it failed; parked ones always rest."""
    random = Random(1)
    waits = [
        decide(DOWN, failures=1, streak=2000, others_succeed=False, size=1, random=random).wait_s for _ in range(500)
    ]
    assert max(waits) <= RETRY_CAP_S
    assert min(waits) < RETRY_CAP_S / 20
    assert all(2.5 <= park_s(3, random) <= 5.0 for _ in range(50))
    assert all(PARK_CAP_S / 2 <= park_s(5000, random) <= PARK_CAP_S for _ in range(50))
    assert all(0.25 <= message_retry_s(0, random) <= 0.75 for _ in range(50))
