"""What the sink remembers between sends.

Losing it costs a few calls or one more warning. Only ``shared``, ``conflicts``, ``refused`` and ``currencies`` must not
be lost; the sink keeps them in the state.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Any, Final

from cdc.log_events import get_logger

log = get_logger(__name__)

RETRY_S: Final = (60.0, 300.0, 1800.0, 3600.0)
"""Waits of a message without a usable answer from HubSpot: 1, 5 and 30 minutes, then hourly."""

MERGED: Final = "merged"  # people merged it with another contact of ours
ADDED: Final = "added"  # its address is an additional one of a record that was there before

MOST_KEPT: Final = 100
"""The most objects of ``shared``, ``conflicts`` and ``refused`` that are kept; they go into short texts."""

MOST: Final = 20_000
"""The most objects remembered; the oldest are forgotten."""


class Memory:
    """Counts per object, and the warnings that were logged already."""

    def __init__(self) -> None:
        self._tries: OrderedDict[str, int] = OrderedDict()
        self._waits: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._said: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.shared: dict[str, str] = {}
        """Key of a contact → ``MERGED`` or ``ADDED``: its record has another contact's address as the primary one.

        Then the record is read before it is written. Otherwise our address would become the primary address, which
        people chose otherwise.
        """
        self.conflicts: dict[str, str] = {}
        """Key of a contact or product → the other record with its address or SKU, so it is written without
        that value.
        """
        self.refused: dict[str, str] = {}
        """External id → HubSpot's code and the property that a rule of the account requires, until a write
        is accepted.
        """
        self.currencies: dict[str, str] = {}
        """Currency that the account lacks → the type that was last written without it."""
        self.has_changed = False
        """Whether any of these four changed since they were kept."""
        self.has_ours: set[str] = set()
        """Types of which HubSpot has records that the state does not know (a lost state, ``mapping adopt``).

        Their objects are looked up by key before they are created, until a look-up finds none.
        """
        self.not_unique: set[str] = set()
        """HubSpot properties that do not identify records in this account."""
        self.counts: Counter[str] = Counter()
        """How often each warning would have been logged."""

    def retry_s(self, key: str) -> float:
        """The next wait of an object's unclear message."""
        tries = self._tries.pop(key, 0)
        self._tries[key] = tries + 1
        _trim(self._tries)
        return RETRY_S[min(tries, len(RETRY_S) - 1)]

    def waits(self, key: str, record_id: str) -> int:
        """How often the object was put off because of a record."""
        return self._waits.get((key, record_id), 0)

    def waited(self, key: str, record_id: str) -> None:
        """The object is put off once more."""
        self._waits[key, record_id] = self._waits.pop((key, record_id), 0) + 1
        _trim(self._waits)

    def share(self, key: str, how: str) -> None:
        """The contact's record has another primary address; ``how`` "": its own address is the primary one."""
        self._keep(self.shared, key, how)

    def conflict(self, key: str, record_id: str) -> None:
        """The object is written without its address or SKU because of a record; "" ends that."""
        self._keep(self.conflicts, key, record_id)

    def refuse(self, key: str, what: str) -> None:
        """A rule of the account refused the object; ``what`` "": the object was accepted."""
        self._keep(self.refused, key, what)

    def lack(self, currency: str, what: str) -> None:
        """The account lacks a currency; ``what`` "": it has the currency."""
        self._keep(self.currencies, currency, what)

    def _keep(self, held: dict[str, str], key: str, value: str) -> None:
        if held.get(key, "") == value:
            return
        held.pop(key, None)
        if value:
            held[key] = value
        while len(held) > MOST_KEPT:
            del held[next(iter(held))]
        self.has_changed = True

    def settled(self, key: str) -> None:
        """The object's message was written."""
        self._tries.pop(key, None)

    def warn(self, kind: str, about: str, record: str = "") -> None:
        """Count a warning, and log it once for each ``about``: an external id, a property, a code."""
        self.counts[kind] += 1
        if (kind, about) in self._said:
            return
        self._said[kind, about] = None
        _trim(self._said)
        log.warning("sink_warning", kind=kind, about=about, record=record)


def _trim(held: OrderedDict[Any, Any]) -> None:
    while len(held) > MOST:
        held.popitem(last=False)
