"""Faults on demand for CRM calls. Pure: asked once per call, time is passed in.

What ``POST /_sandbox/crm/faults`` takes (one object or a list; each call adds). ``path``: only calls whose path has
this text in it; ``count``: only so many calls (default 1); ``rate``: each call with this probability, until cleared.

``{"status": 503, "retry_after": 5}``   answered so (429 takes ``policy``: TEN_SECONDLY_ROLLING, SECONDLY or DAILY)
``{"cut": "before"}``                   the connection is cut before (``"after"``: after) the call was done
``{"hang": true}``                      never answered; ``"after"``: the call was done all the same
``{"empty": true}``                     2xx with no results and no errors; nothing was done
``{"omit": 2}``                         done, but the answer leaves out two inputs
``{"html": true}``                      200 with a maintenance page; nothing was done
``{"delay_ms": 80}``                    the answer waits (no ``count``: all of them)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Final

from sinks.sandbox.fault_values import probability, whole

FOREVER: Final = 1_000_000_000
KINDS: Final = ("status", "cut", "hang", "empty", "omit", "html", "delay_ms")
POLICIES: Final = ("TEN_SECONDLY_ROLLING", "SECONDLY", "DAILY")


@dataclass(slots=True)
class Fault:
    """A fault that hits the next ``left`` calls whose path has ``path`` in it."""

    kind: str
    left: int
    path: str = ""
    status: int = 0
    retry_after: float | None = None
    policy: str = ""
    amount: int = 0
    is_after: bool = False
    rate: float = 1.0


class CrmFaults:
    """The faults that the sandbox was asked to make in CRM calls."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Remove all faults."""
        self.faults: deque[Fault] = deque()
        self._random = Random(0)  # so that a run can be repeated

    def add(self, spec: Any) -> None:
        """Add what one object of the form above asks for. ValueError with a sentence if it has not that form."""
        if not isinstance(spec, dict):
            raise ValueError("a fault must be an object")
        kinds = [kind for kind in KINDS if kind in spec]
        extra = set(spec) - {*kinds, "path", "count", "rate", "retry_after", "policy"}
        if len(kinds) != 1 or extra:
            raise ValueError(f"a fault has one of {', '.join(KINDS)}")
        kind = kinds[0]
        rate = probability(spec)
        always = kind == "delay_ms" or rate < 1
        count = whole(spec, "count", FOREVER if always else 1)
        fault = Fault(kind, count, str(spec.get("path", "")), rate=rate)
        _READ[kind](fault, spec)
        self.faults.append(fault)

    def next(self, path: str) -> Fault | None:
        """The fault that hits this call, counted down. Delays are asked for by ``delay_s``."""
        return self._next(path, is_delay=False)

    def delay_s(self, path: str) -> float:
        """How long this call waits, counted down."""
        fault = self._next(path, is_delay=True)
        return fault.amount / 1000 if fault is not None else 0.0

    def _next(self, path: str, *, is_delay: bool) -> Fault | None:
        self.faults = deque(fault for fault in self.faults if fault.left > 0)
        for fault in self.faults:
            if (fault.kind == "delay_ms") != is_delay or fault.path not in path:
                continue
            if fault.rate >= 1.0 or self._random.random() < fault.rate:
                fault.left -= 1
                return fault
        return None

    def view(self) -> list[dict[str, Any]]:
        """The faults that are still to come."""
        return [asdict(fault) for fault in self.faults if fault.left > 0]


def _read_status(fault: Fault, spec: Mapping[str, Any]) -> None:
    fault.status = whole(spec, "status", 0)
    if not 300 <= fault.status <= 599:
        raise ValueError("status is 300 to 599")
    wait = spec.get("retry_after")
    if wait is not None and type(wait) not in (int, float):
        raise ValueError("retry_after is a number of seconds")
    fault.retry_after = wait
    fault.policy = str(spec.get("policy", POLICIES[0]))
    if fault.policy not in POLICIES:
        raise ValueError(f"policy is one of {', '.join(POLICIES)}")


def _read_cut(fault: Fault, spec: Mapping[str, Any]) -> None:
    if spec["cut"] not in ("before", "after"):
        raise ValueError('cut is "before" or "after"')
    fault.is_after = spec["cut"] == "after"


def _read_hang(fault: Fault, spec: Mapping[str, Any]) -> None:
    if spec["hang"] not in (True, "before", "after"):
        raise ValueError('hang is true, "before" or "after"')
    fault.is_after = spec["hang"] == "after"


def _read_amount(fault: Fault, spec: Mapping[str, Any]) -> None:
    fault.amount = whole(spec, fault.kind, 0)


def _read_flag(fault: Fault, spec: Mapping[str, Any]) -> None:
    if spec[fault.kind] is not True:
        raise ValueError(f"{fault.kind} is true")


_READ: Final = {
    "status": _read_status,
    "cut": _read_cut,
    "hang": _read_hang,
    "empty": _read_flag,
    "html": _read_flag,
    "omit": _read_amount,
    "delay_ms": _read_amount,
}
