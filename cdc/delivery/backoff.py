"""Messages whose request failed and that are not tried for a moment, so that others are tried first.

In memory only: after a restart they are simply tried again. What rests for its own fault is parked in the outbox.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.messages.outbox import Entry
from cdc.model import ObjectRef

MAX_RECORDS: Final = 4000
"""Twenty full batches; over that the oldest are forgotten, which only means that they are tried earlier."""


@dataclass(slots=True)
class _Record:
    changed_at: int
    failures: int
    successes_at_first: int
    until_s: float


class BackOff:
    """What failed lately in one lane."""

    def __init__(self) -> None:
        self._records: dict[ObjectRef, _Record] = {}

    def failures(self, entries: Iterable[Entry]) -> int:
        """How often the most unlucky of these has failed so far."""
        return max((record.failures for record in self._of(entries)), default=0)

    def others_succeed(self, entries: Iterable[Entry], successes: int) -> bool:
        """Whether other requests were taken since one of these first failed; ``successes``: taken so far in all."""
        return any(successes > record.successes_at_first for record in self._of(entries))

    def _of(self, entries: Iterable[Entry]) -> list[_Record]:
        held = ((entry, self._records.get(entry.ref)) for entry in entries)
        return [record for entry, record in held if record is not None and record.changed_at == entry.changed_at]

    def note(self, entries: Iterable[Entry], until_s: float, successes: int) -> None:
        """These failed (once more) and rest until then."""
        for entry in entries:
            record = self._records.pop(entry.ref, None)
            if record is None or record.changed_at != entry.changed_at:
                record = _Record(entry.changed_at, 0, successes, 0.0)
            record.failures += 1
            record.until_s = until_s
            self._records[entry.ref] = record
        while len(self._records) > MAX_RECORDS:
            del self._records[next(iter(self._records))]

    def rest_all(self, until_s: float) -> None:
        """Whatever has failed so far rests until then at least, so that what never failed is tried first."""
        for record in self._records.values():
            record.until_s = max(record.until_s, until_s)

    def forget(self, entries: Iterable[Entry]) -> None:
        """These are settled."""
        if self._records:
            for entry in entries:
                self._records.pop(entry.ref, None)

    def warm_up(self) -> None:
        """The sink takes messages again: all may be tried at once. Failures stay counted."""
        for record in self._records.values():
            record.until_s = 0.0

    def waiting(self, now_s: float) -> Sequence[ObjectRef]:
        """What is not to be tried now."""
        return [ref for ref, record in self._records.items() if record.until_s > now_s]

    def next_s(self, now_s: float) -> float:
        """When the first of them has rested enough; infinite if none rests."""
        return min((r.until_s for r in self._records.values() if r.until_s > now_s), default=math.inf)
