"""Messages whose request failed, and which are in back-off: other messages are tried first.

The list is in memory only: after a restart the messages are simply tried again. A message that fails by its own fault
is parked in the outbox instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cdc.messages.outbox import Entry
from cdc.model import ObjectRef

MAX_RECORDS: Final = 4000
"""Twenty full batches. Beyond that the oldest records are forgotten, so their messages are tried earlier."""


@dataclass(slots=True)
class _Record:
    changed_at: int
    failures: int
    successes_at_first: int
    until_s: float


class BackOff:
    """The messages of one lane that failed lately."""

    def __init__(self) -> None:
        self._records: dict[ObjectRef, _Record] = {}

    def failures(self, entries: Iterable[Entry]) -> int:
        """The highest number of failures so far among these messages."""
        return max((record.failures for record in self._of(entries)), default=0)

    def others_succeed(self, entries: Iterable[Entry], successes: int) -> bool:
        """Whether other requests were accepted since one of these messages first failed. ``successes``: accepted so far
        in all.
        """
        return any(successes > record.successes_at_first for record in self._of(entries))

    def _of(self, entries: Iterable[Entry]) -> list[_Record]:
        held = ((entry, self._records.get(entry.ref)) for entry in entries)
        return [record for entry, record in held if record is not None and record.changed_at == entry.changed_at]

    def note(self, entries: Iterable[Entry], until_s: float, successes: int) -> None:
        """These messages failed (once more) and are in back-off until then."""
        for entry in entries:
            record = self._records.pop(entry.ref, None)
            if record is None or record.changed_at != entry.changed_at:
                record = _Record(entry.changed_at, 0, successes, 0.0)
            record.failures += 1
            record.until_s = until_s
            self._records[entry.ref] = record
        while len(self._records) > MAX_RECORDS:
            del self._records[next(iter(self._records))]

    def delay_all(self, until_s: float) -> None:
        """Every message that has failed so far stays in back-off until then at least, so that other messages are tried
        first.
        """
        for record in self._records.values():
            record.until_s = max(record.until_s, until_s)

    def forget(self, entries: Iterable[Entry]) -> None:
        """These messages are settled."""
        if self._records:
            for entry in entries:
                self._records.pop(entry.ref, None)

    def warm_up(self) -> None:
        """The sink accepts messages again: all may be tried at once. Their failures stay counted."""
        for record in self._records.values():
            record.until_s = 0.0

    def waiting(self, now_s: float) -> Sequence[ObjectRef]:
        """The messages that are not to be tried now."""
        return [ref for ref, record in self._records.items() if record.until_s > now_s]

    def next_s(self, now_s: float) -> float:
        """When the first back-off ends; infinite if no message is in back-off."""
        return min((r.until_s for r in self._records.values() if r.until_s > now_s), default=math.inf)
