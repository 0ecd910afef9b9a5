"""Gathers the changes of one transaction until it ends."""

from __future__ import annotations

from cdc.model import Change, Xa


class Assembly:
    """The transaction being read. ``is_open`` from its GTID event or BEGIN on.

    ``has_begun``: it goes on until XID, COMMIT or ROLLBACK; without that, its one statement ends it.
    """

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.schema_changed: dict[str, None] = {}
        self.xa: Xa | None = None
        self.is_open = False
        self.has_begun = False
        self.commit_us = 0
        self.source: tuple[str, int] | None = None  # MySQL: source and number
        self.domain: tuple[int, int, int] | None = None  # MariaDB: domain, server, sequence
        self._savepoints: list[tuple[str, int]] = []

    @property
    def has_news(self) -> bool:
        """Whether the transaction does more than move the position."""
        return bool(self.changes or self.schema_changed or self.xa)

    def open(self, *, has_begun: bool) -> None:
        """A transaction begins here."""
        self.is_open = True
        self.has_begun = has_begun

    def discard(self) -> None:
        """Forget what was gathered: rolled back, or cut off by a crash of the server."""
        self.changes = []
        self._savepoints.clear()

    def reset(self) -> None:
        """Ready for the next transaction."""
        self.changes = []
        if self.schema_changed:
            self.schema_changed = {}
        if self._savepoints:
            self._savepoints.clear()
        self.xa = None
        self.is_open = self.has_begun = False
        self.commit_us = 0
        self.source = None
        self.domain = None

    def save(self, name: str) -> None:
        """SAVEPOINT."""
        self._savepoints = [(held, place) for held, place in self._savepoints if held != name]
        self._savepoints.append((name, len(self.changes)))

    def roll_back_to(self, name: str) -> None:
        """ROLLBACK TO: the changes since then did not happen. ValueError for a savepoint that is not set."""
        for at, (held, place) in enumerate(self._savepoints):
            if held == name:
                del self.changes[place:]
                del self._savepoints[at + 1 :]
                return
        raise ValueError("a ROLLBACK TO a savepoint that was not set")
