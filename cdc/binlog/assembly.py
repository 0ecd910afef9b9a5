"""Gathers the changes of one transaction until it ends."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cdc.model import Change, StaleTable, TableSchema, Xa


class Overflow(Sequence[Change]):
    """Changes of one transaction, in order, of which most are kept elsewhere than in memory.

    Made by who does I/O. What it holds is given up when the last reference to it goes.
    """

    @abstractmethod
    def add(self, changes: Sequence[Change]) -> None:
        """Put these behind the others, as one pack. StateError when that cannot be done; then nothing was."""

    @abstractmethod
    def cut(self, length: int) -> None:
        """Forget all but the first ``length``."""

    @abstractmethod
    def finish(self, rest: Sequence[Change]) -> None:
        """The last ones, which stay in memory: nothing can fail any more."""


@dataclass(frozen=True, slots=True)
class Room:
    """What one transaction may take in memory, bytes, and where more than that goes, in packs of ``pack_bytes``."""

    most_bytes: int
    overflow: Callable[[], Overflow]
    pack_bytes: int = 1 << 20


class Assembly:
    """The transaction being read. ``is_open`` from its GTID event or BEGIN on.

    ``has_begun``: it goes on until XID, COMMIT or ROLLBACK; without that, its one statement ends it. ``changes`` are
    the newest, those in memory; ``weight`` is about what they take there, in bytes, told by who adds them. ``keys_of``:
    mapped tables whose foreign keys may be others behind it. ``is_void``: its statement does not happen here.
    """

    def __init__(self, room: Room | None = None) -> None:
        self.changes: list[Change] = []
        self.weight = 0
        self.stale: list[StaleTable] = []
        self.schemas: dict[str, TableSchema] = {}  # outlives ``reset``: what is known holds on, whatever ends
        self.xa: Xa | None = None
        self.keys_of: dict[str, None] = {}
        self.is_void = False
        self.is_open = False
        self.has_begun = False
        self.commit_us = 0
        self.source: tuple[str, int] | None = None  # MySQL: source and number
        self.domain: tuple[int, int, int] | None = None  # MariaDB: domain, server, sequence
        self._savepoints: list[tuple[str, int]] = []
        self._room = room
        self._spilled: Overflow | None = None

    @property
    def has_changes(self) -> bool:
        """Whether anything is gathered."""
        return bool(self.changes or self._spilled)

    @property
    def has_news(self) -> bool:
        """Whether the transaction does more than move the position."""
        return bool(self.changes or self._spilled or self.stale or self.schemas or self.xa or self.keys_of)

    def open(self, *, has_begun: bool) -> None:
        """A transaction begins here."""
        self.is_open = True
        self.has_begun = has_begun

    def make_room(self) -> None:
        """Before more is gathered: what is too much for memory goes elsewhere. StateError; then nothing has changed."""
        room = self._room
        # Once a pack was spilled, each further pack goes as soon as it is full: the limit in memory holds for
        # the rest too.
        if room is None or self.weight < (room.most_bytes if self._spilled is None else room.pack_bytes):
            return
        spilled = self._spilled if self._spilled is not None else room.overflow()
        # Packs of about equal bytes; at least one change each, or a single huge row would make an endless loop.
        size = max(1, len(self.changes) * room.pack_bytes // self.weight)
        before = len(spilled)
        try:
            for at in range(0, len(self.changes), size):
                spilled.add(self.changes[at : at + size])
        except BaseException:
            # Whatever fails, the overflow is as long as before: a second try would otherwise write the same
            # changes twice.
            spilled.cut(before)
            raise
        self._spilled = spilled
        self.changes, self.weight = [], 0

    def take(self) -> Sequence[Change]:
        """The whole transaction's changes, handed over: ``reset`` comes next."""
        # The usual case: nothing was spilled, and no copy is made.
        if self._spilled is None:
            return self.changes
        self._spilled.finish(self.changes)
        return self._spilled

    def discard(self) -> None:
        """Forget what was gathered: rolled back, or cut off by a crash of the server."""
        self.changes = []
        self.weight = 0
        self._spilled = None
        self._savepoints.clear()

    def close_empty(self) -> None:
        """Ready for the next transaction, behind one that gathered nothing."""
        # Clearing costs a call per transaction, and most transactions set no savepoint.
        if self._savepoints:
            self._savepoints.clear()
        self.weight = 0
        self.is_open = self.has_begun = self.is_void = False
        self.commit_us = 0
        self.source = self.domain = None

    def reset(self) -> None:
        """Ready for the next transaction."""
        self.changes = []
        self._spilled = None
        if self.stale:
            self.stale = []
        if self.keys_of:
            self.keys_of = {}
        self.xa = None
        self.close_empty()

    def save(self, name: str) -> None:
        """SAVEPOINT."""
        # A second SAVEPOINT of the same name replaces the first, as in the servers.
        self._savepoints = [(held, kept) for held, kept in self._savepoints if held != name]
        self._savepoints.append((name, self._elsewhere() + len(self.changes)))

    def roll_back_to(self, name: str) -> None:
        """ROLLBACK TO: the changes since then did not happen. ValueError for a savepoint that is not set."""
        for at, (held, kept) in enumerate(self._savepoints):
            if held == name:
                elsewhere = self._elsewhere()
                # The savepoint lies among the spilled changes: those behind it go, and all in memory go with
                # them.
                if self._spilled is not None and kept < elsewhere:
                    self._spilled.cut(kept)
                del self.changes[max(0, kept - elsewhere) :]
                # Savepoints set after this one are gone for the server too; the one named stays and can be used
                # again.
                del self._savepoints[at + 1 :]
                return
        # Without the savepoint it is not known which changes were undone. Going on would apply rows that never
        # were.
        raise ValueError("a ROLLBACK TO a savepoint that was not set")

    def _elsewhere(self) -> int:
        return len(self._spilled) if self._spilled is not None else 0
