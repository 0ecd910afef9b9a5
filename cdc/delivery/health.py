"""Whether the sink accepts messages: one state machine for all lanes, and its log events.

``ok`` → ``throttled`` (429: no lane sends until the given time) → ``ok``. ``ok`` → ``unauthorized``, ``switched_off``,
``unreachable`` (two failures without a success between) or a used-up daily limit: then one request at a time is tried,
and the first accepted request brings ``ok`` back. Apart from that, an account may refuse every message that it accepted
before (account.py). The first failure and the recovery are logged, and nothing in between. Pure but for the log:
monotonic seconds are passed in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.delivery.account import AccountWait
from cdc.delivery.public_text import public_error, public_text
from cdc.delivery.verdict import Step, Verdict, kind_of
from cdc.errors import SinkError, SinkThrottledError, SinkUnavailableError
from cdc.log_events import get_logger

log = get_logger(__name__)

GATE_AT: Final = 2
"""All lanes wait after this many failures in a row: a single failure may be the message's own fault."""


LONG_SILENCE_S: Final = 60.0
"""A silence requested by the sink that is longer than this is reported as a
fault: somebody may wait for the messages.
"""


@dataclass(slots=True)
class Health:
    """The sink's state; seconds are monotonic.

    ``next_s``: when a sink that accepts nothing is tried again. ``quiet_s``: until when the sink asked for silence;
    that holds whatever else fails or is accepted meanwhile. ``circuit_breaker``: name → reason, set and released from
    outside. ``poll``: the result of polling.
    """

    state: str = "ok"
    reason: str = ""
    since_s: float = 0.0
    next_s: float = 0.0
    quiet_s: float = 0.0
    quiet_since_s: float = 0.0
    successes: int = 0
    failures: int = 0
    last_error: str = ""
    circuit_breaker: dict[str, str] = field(default_factory=dict)
    account: AccountWait = field(default_factory=AccountWait)
    _poll: tuple[str, str, int] | None = None

    @property
    def is_probing(self) -> bool:
        """Whether only one request at a time may be tried."""
        return self.is_closed or bool(self.account.reason)

    @property
    def is_closed(self) -> bool:
        """Whether the sink accepts nothing, or its daily limit is used up."""
        return self.state not in ("ok", "throttled")

    def fault(self, now_s: float) -> tuple[str, str] | None:
        """State and reason if messages are not accepted: from sending or, while
        there is nothing to send, from polling.
        """
        # The circuit breaker is for people to release, so it is named first.
        if self.circuit_breaker:
            name = next(iter(self.circuit_breaker))
            return name, self.circuit_breaker[name]
        if self.account.reason:
            return "account", self.account.reason
        if self.is_probing:
            return self.state, self.reason
        left_s = self.quiet_delay_s(now_s)
        # A short silence is HubSpot's normal way to slow a sender down, and no fault.
        if left_s > 0 and self.quiet_s - self.quiet_since_s > LONG_SILENCE_S:
            return "throttled", f"{self.reason or 'the sink asked to wait'}; sending goes on in {math.ceil(left_s)} s"
        # Nothing was taken since the poll failed, so its error is the newest sign.
        if self._poll is not None and self._poll[2] == self.successes:
            return self._poll[0], self._poll[1]
        return None

    def delay_s(self, now_s: float, *, under_way: int) -> float:
        """Seconds until a request may be tried. Infinite: not before the request under way has ended, or the circuit
        breaker is released.
        """
        # Too many dead letters: nothing goes until somebody looks.
        if "dead_letters" in self.circuit_breaker:
            return math.inf
        # The silence is over, and nothing else is wrong.
        if self.state == "throttled" and now_s >= self.quiet_s:
            self.state, self.reason = "ok", ""
        if not self.is_probing:
            return self.quiet_delay_s(now_s)
        return math.inf if under_way else max(self.quiet_delay_s(now_s), self._try_s - now_s)

    def be_quiet(self, now_s: float, wait_s: float) -> None:
        """The sink asks every caller to be silent from now on."""
        # A new silence, not a longer one.
        if self.quiet_s <= now_s:
            self.quiet_since_s = now_s
        self.quiet_s = max(self.quiet_s, now_s + wait_s)

    def heed(self, error: SinkError, now_s: float) -> None:
        """The silence that an answer asks for holds for every caller, whatever the call was about."""
        if isinstance(error, SinkUnavailableError | SinkThrottledError):
            self.be_quiet(now_s, error.retry_after_s or 0.0)

    def quiet_delay_s(self, now_s: float) -> float:
        """Seconds that the silence still lasts."""
        return max(0.0, self.quiet_s - now_s)

    def try_now(self, now_s: float) -> None:
        """The key was changed: try at once, as the refusal was of the old key."""
        if self.state == "unauthorized":
            self.next_s = now_s

    def succeeded(self, now_s: float) -> bool:
        """A request was accepted. True if it ends a time in which no request was accepted."""
        self.successes += 1
        self._poll = None
        if self.account.taken(now_s):
            self._account_recovered(now_s)
            has_recovered = True
        else:
            has_recovered = False
        was_probing = self.is_closed
        if was_probing:
            log.info("sink_recovered", after=self.state, failures=self.failures, seconds=round(now_s - self.since_s, 1))
        # A success does not end a silence that the sink has asked for.
        if now_s >= self.quiet_s:
            self.state, self.reason = "ok", ""
        elif was_probing:
            self.state, self.reason = "throttled", "the sink asked to wait before it took this request"
        self.failures = 0
        return was_probing or has_recovered

    def failed(self, error: SinkError, verdict: Verdict, now_s: float, *, own_fault: bool) -> None:
        """A request failed. ``own_fault``: its message failed alone before, so
        the failure says nothing about the sink.
        """
        self.last_error = public_error(error)
        if isinstance(error, SinkUnavailableError):  # Retry-After is meant for every request, whatever becomes of these
            self.be_quiet(now_s, error.retry_after_s or 0.0)
        match verdict.step:
            case Step.WAIT:
                if self.state == "ok":
                    log.warning("sink_throttled", reason=public_text(error.message), wait_s=round(verdict.wait_s, 1))
                if self.state in ("ok", "throttled"):
                    self.state, self.reason = "throttled", public_text(error.message)
                self.be_quiet(now_s, verdict.wait_s)
            case Step.STOP:
                self.failures += 1
                name = "daily_limit" if isinstance(error, SinkThrottledError) else kind_of(error)
                self._close(name, error, now_s, now_s + verdict.wait_s)
            case Step.RETRY if not own_fault:
                self.failures += 1
                # Said once; repeated failures only change the state.
                if self.failures == 1:
                    log.warning("sink_request_failed", status=kind_of(error), reason=public_text(error.message))
                if self.failures >= GATE_AT:
                    self._close("unreachable", error, now_s, now_s + verdict.wait_s)

    def _close(self, state: str, error: SinkError, now_s: float, next_s: float) -> None:
        # A change of state is news, a repeated failure is not.
        if self.state != state:
            if self.state in ("ok", "throttled"):
                self.since_s = now_s
            log.error("sink_takes_nothing", state=state, reason=public_error(error), retry_s=round(next_s - now_s, 1))
        self.state, self.reason = state, public_error(error)
        self.next_s = next_s

    def polled(self, error: SinkError | None, now_s: float) -> None:
        """A poll for sync errors failed or worked. It counts only while no message shows the sink's state.

        A silence that the answer asks for holds for every caller.
        """
        if error is None:
            self._poll = None
            return
        # The first failure in a row.
        if self._poll is None:
            log.warning("sync_errors_not_read", status=kind_of(error), reason=public_error(error))
        self.last_error = public_error(error)
        self.heed(error, now_s)
        self._poll = (kind_of(error), public_error(error), self.successes)

    def account_refused_at_once(self, text: str, words: str, now_s: float) -> None:
        """Every message of a batch was refused with the same text; ``text`` is one of the refusals."""
        self.account.words = words
        advice = "every message is refused in these words, so none is set aside: mend the cause in the account"
        reason = f"{public_text(text)}; {advice}"
        self.account_refused(reason, now_s, is_at_once=True)

    def account_refused(self, reason: str, now_s: float, *, is_at_once: bool = False) -> None:
        """Messages are refused because of the account. ``reason``: the receiver's word and our advice."""
        is_new = not self.account.reason
        self.account.refused(reason, now_s, is_at_once=is_at_once)
        # Said once while it lasts.
        if is_new:
            log.error("sink_takes_nothing", state="account", reason=reason, retry_s=round(self.account.wait_s, 1))

    def verdicts_read(self, now_s: float) -> bool:
        """Sync errors were read, and none was about the account. True if that ends a time in which the account refused
        everything.
        """
        if not self.account.ends(now_s):
            return False
        self._account_recovered(now_s)
        return True

    def _account_recovered(self, now_s: float) -> None:
        seconds = round(now_s - self.account.since_s, 1)
        log.info("sink_recovered", after="account", failures=self.account.refusals, seconds=seconds)

    def set_breaker(self, name: str, reason: str) -> None:
        """The circuit breaker ``name`` has tripped for ``reason``; with an empty reason it is released."""
        if not reason:
            # Released by a command, or nothing is left to hold.
            if self.circuit_breaker.pop(name, None) is not None:
                log.info("circuit_breaker_released", breaker=name)
            return
        # Tripped already: the reason may change, the event is not repeated.
        if name not in self.circuit_breaker:
            log.error("circuit_breaker_tripped", breaker=name, reason=reason)
        self.circuit_breaker[name] = reason

    @property
    def _try_s(self) -> float:
        closed_s = self.next_s if self.is_closed else 0.0
        return max(self.quiet_s, closed_s, self.account.next_s if self.account.reason else 0.0)

    def as_dict(self, now_s: float) -> dict[str, Any]:
        """For ``/status``."""
        fault = self.fault(now_s)
        state = fault[0] if fault else self.state
        since_s = self.account.since_s if self.account.reason else self.since_s
        return {
            "state": state,
            "reason": fault[1] if fault else self.reason,
            "since_s": round(now_s - since_s, 1) if self.is_probing else None,
            "next_try_s": round(max(0.0, self._try_s - now_s), 1) if state != "ok" or self.is_probing else None,
            "failures": self.failures,
            "last_error": self.last_error,
        }
