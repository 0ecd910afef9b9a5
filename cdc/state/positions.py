"""Positions in the state, and LSNs: positions as one rising integer.

An LSN orders every change the replica has ever seen: ``(base + log file's number) << 38 | offset``. A new epoch
(another server, a log that was reset, a restored state) gets a base above every LSN used before, so a later epoch
is always newer. A row's LSN says: everything that happened before that place is in this row.
"""

from __future__ import annotations

from dataclasses import asdict

from cdc.errors import StateError
from cdc.model import LSN_FILE_BITS, LSN_OFFSET_BITS, Position
from cdc.state.store import Store


class LogPositions:
    """Where the source stands and how places become LSNs. Use inside a store transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._base: int = store.meta("lsn_base", 0)
        self.high: int = store.meta("applied_lsn", 0)
        """The highest LSN ever applied."""
        held = store.meta("position", None)
        self.position: Position | None = Position(**held) if held else None

    def lsn(self, position: Position) -> int:
        """The position as an integer that SQLite can compare. Raises StateError past 33 million log files."""
        number = self._base + position.file_number
        if number >= 1 << LSN_FILE_BITS or position.offset >= 1 << LSN_OFFSET_BITS:
            raise StateError(
                f"position {position} does not fit the state's lsns", hint="import into a fresh state folder"
            )
        return number << LSN_OFFSET_BITS | position.offset

    def place(self, lsn: int) -> str:
        """An LSN of the present epoch as ``binlog.000123:4567``; of another one as what it is."""
        number = (lsn >> LSN_OFFSET_BITS) - self._base
        if self.position is None or number < 0:
            return f"an earlier log ({lsn})"
        name, _, digits = self.position.file.rpartition(".")
        return f"{name}.{number:0{len(digits)}d}:{lsn & ((1 << LSN_OFFSET_BITS) - 1)}"

    def advance(self, position: Position) -> None:
        """The source has been applied up to here."""
        self.position = position
        self.high = max(self.high, self.lsn(position))
        self._store.set_meta("position", asdict(position))
        self._store.set_meta("applied_lsn", self.high)

    def current(self) -> int:
        """The LSN of the position reached; 0 before the first."""
        return self.lsn(self.position) if self.position else 0

    def begin_epoch(self, position: Position) -> None:
        """From here on the log is another one: every LSN to come is above every LSN so far."""
        self._base = (self.high >> LSN_OFFSET_BITS) + 1
        self._store.set_meta("lsn_base", self._base)
        self.advance(position)
