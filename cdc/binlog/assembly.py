"""Gathers the changes of one transaction until the transaction ends."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cdc.model import Change, StaleTable, TableSchema, Xa


class Overflow(Sequence[Change]):
    """Changes of one transaction, in order. Most of them are kept outside memory.

    The code that does I/O provides the object. Its storage is freed with the last reference to it.
    """

    @abstractmethod
    def add(self, changes: Sequence[Change]) -> None:
        """Append these changes as one pack. StateError when that fails; then nothing was appended."""

    @abstractmethod
    def cut(self, length: int) -> None:
        """Forget all changes but the first ``length``."""

    @abstractmethod
    def finish(self, rest: Sequence[Change]) -> None:
        """Append the last changes. They stay in memory, so nothing can fail any more."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many bytes one transaction may take in memory, and where the rest goes, in packs of ``pack_bytes``."""

    most_bytes: int
    overflow: Callable[[], Overflow]
    pack_bytes: int = 1 << 20


class Assembly:
    """The transaction that is being read. ``is_open``: its GTID event or BEGIN has been read.

    ``has_begun``: the transaction goes on until XID, COMMIT or ROLLBACK; otherwise its one statement ends it.
    ``changes``: the newest changes, those in memory. ``weight``: roughly the bytes that they take in memory, as the
    caller states. ``keys_of``: mapped tables whose foreign keys this transaction may have changed. ``is_void``: its
    statement has no effect on this server.
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
        """Begin a transaction."""
        self.is_open = True
        self.has_begun = has_begun

    def make_room(self) -> None:
        """Move changes out of memory if there are too many. Call before more are gathered.

        StateError when that fails; then nothing has changed.
        """
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
        """Hand over all changes of the transaction. The caller calls ``reset`` next."""
        # The usual case: nothing was spilled, and no copy is made.
        if self._spilled is None:
            return self.changes
        self._spilled.finish(self.changes)
        return self._spilled

    def discard(self) -> None:
        """Forget the changes: the transaction was rolled back, or a crash of the server cut it off."""
        self.changes = []
        self.weight = 0
        self._spilled = None
        self._savepoints.clear()

    def close_empty(self) -> None:
        """Prepare for the next transaction, after a transaction without changes."""
        # Clearing costs a call per transaction, and most transactions set no savepoint.
        if self._savepoints:
            self._savepoints.clear()
        self.weight = 0
        self.is_open = self.has_begun = self.is_void = False
        self.commit_us = 0
        self.source = self.domain = None

    def reset(self) -> None:
        """Prepare for the next transaction."""
        self.changes = []
        self._spilled = None
        if self.stale:
            self.stale = []
        if self.keys_of:
            self.keys_of = {}
        self.xa = None
        self.close_empty()

    def save(self, name: str) -> None:
        """SAVEPOINT: remember how many changes there are."""
        # A second SAVEPOINT of the same name replaces the first, as in the servers.
        self._savepoints = [(held, kept) for held, kept in self._savepoints if held != name]
        self._savepoints.append((name, self._elsewhere() + len(self.changes)))

    def roll_back_to(self, name: str) -> None:
        """ROLLBACK TO: forget the changes since the savepoint. ValueError for a savepoint that is not set."""
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
