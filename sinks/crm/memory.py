"""What the sink remembers between sends. Losing it costs a few calls or one more warning, but for ``shared``,
``conflicts``, ``refused`` and ``currencies``, which the sink keeps in the state.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Any, Final

import structlog

log = structlog.get_logger(__name__)

RETRY_S: Final = (60.0, 300.0, 1800.0, 3600.0)
"""Waits of a message that HubSpot gave no usable answer to: 1, 5 and 30 minutes, then hourly."""

MERGED: Final = "merged"  # people merged it with another contact of ours
ADDED: Final = "added"  # its address is an additional one of a record that was there before

MOST_KEPT: Final = 100
"""Objects of ``shared``, ``conflicts`` and ``refused`` that are kept; they go into short texts."""

MOST: Final = 20_000
"""Objects remembered; the oldest are forgotten."""


class Memory:
    """Counts per object, and warnings that were said already."""

    def __init__(self) -> None:
        self._tries: OrderedDict[str, int] = OrderedDict()
        self._waits: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._said: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.shared: dict[str, str] = {}
        """Key of a contact → ``MERGED`` or ``ADDED``: its record has a first address that is not its own, so the record
        is read before it is written. Else our address would become the first one, which people chose otherwise.
        """
        self.conflicts: dict[str, str] = {}
        """Key of a contact or product → the other record that has its address or SKU, so that it goes without."""
        self.refused: dict[str, str] = {}
        """External id → HubSpot's code and the property that a rule of the account requires, until a write is taken."""
        self.currencies: dict[str, str] = {}
        """Currency that the account lacks → the type that went without it last."""
        self.has_changed = False
        """Whether any of these four changed since they were kept."""
        self.has_ours: set[str] = set()
        """Types of which HubSpot turned out to hold records that the state does not know (a lost state, ``mapping
        adopt``): their objects are looked for by key before they are made, until a look finds none.
        """
        self.not_unique: set[str] = set()
        """HubSpot properties that turned out not to identify records in this account."""
        self.counts: Counter[str] = Counter()
        """How often each warning would have been said."""

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
        """The contact's record has another first address; ``how`` "": its own address is the first one."""
        self._keep(self.shared, key, how)

    def conflict(self, key: str, record_id: str) -> None:
        """The object goes without its address or SKU because of a record; "" ends that."""
        self._keep(self.conflicts, key, record_id)

    def refuse(self, key: str, what: str) -> None:
        """A rule of the account refused the object; ``what`` "": the object was taken."""
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
        """The object's message went through."""
        self._tries.pop(key, None)

    def warn(self, kind: str, about: str, record: str = "") -> None:
        """Count a warning, and say it once for each thing that it is ``about``: an external id, a property, a code."""
        self.counts[kind] += 1
        if (kind, about) in self._said:
            return
        self._said[kind, about] = None
        _trim(self._said)
        log.warning("sink_warning", kind=kind, about=about, record=record)


def _trim(held: OrderedDict[Any, Any]) -> None:
    while len(held) > MOST:
        held.popitem(last=False)
