"""Positions in the state, and LSNs: positions as one rising integer.

An LSN orders every change the replica has ever seen: ``(base + log file's number) << 38 | offset``. A new epoch
(another server, a log that was reset, a restored state) gets a base above every earlier LSN, so a later epoch is always
newer. A row's LSN means: the row contains every change before that position.
"""

from __future__ import annotations

from cdc.errors import StateError
from cdc.model import LSN_FILE_BITS, LSN_OFFSET_BITS, Position
from cdc.state.store import Store


class LogPositions:
    """The source's position, and how positions become LSNs. Use inside a store transaction."""

    def __init__(self, store: Store) -> None:
        self._meta = store.meta
        self._base = 0
        self.high = 0
        """The highest LSN ever applied."""
        self.position: Position | None = None
        self.reread()

    def reread(self) -> None:
        """The transaction that changed the values was undone: read them from the state."""
        self._base = self._meta.lsn_base
        self.high = self._meta.applied_lsn
        self.position = self._meta.position

    def lsn(self, position: Position) -> int:
        """The position as an integer that SQLite can compare. Raises StateError past 33 million log files."""
        number = self._base + position.file_number
        # Bits of one part would run into the other, and the order would be lost.
        if number >= 1 << LSN_FILE_BITS or position.offset >= 1 << LSN_OFFSET_BITS:
            raise StateError(
                f"position {position} does not fit the state's lsns", hint="import into a fresh state folder"
            )
        return number << LSN_OFFSET_BITS | position.offset

    def text_of(self, lsn: int) -> str:
        """An LSN of the present epoch as ``binlog.000123:4567``; an LSN of another epoch as a number."""
        number = (lsn >> LSN_OFFSET_BITS) - self._base
        # LSNs of earlier epochs cannot be turned back into a file name.
        if self.position is None or number < 0:
            return f"an earlier log ({lsn})"
        name, _, digits = self.position.file.rpartition(".")
        return f"{name}.{number:0{len(digits)}d}:{lsn & ((1 << LSN_OFFSET_BITS) - 1)}"

    def advance(self, position: Position) -> None:
        """The source has been applied up to this position."""
        self.position = position
        self.high = max(self.high, self.lsn(position))
        self._meta.position = position
        self._meta.applied_lsn = self.high

    def current(self) -> int:
        """The LSN of the position reached; 0 before the first."""
        return self.lsn(self.position) if self.position else 0

    def begin_epoch(self, position: Position) -> None:
        """From now on the log is another one: every new LSN is above every earlier LSN."""
        self._base = (self.high >> LSN_OFFSET_BITS) + 1
        self._meta.lsn_base = self._base
        self.advance(position)

    def restore(self, position: Position, lsn: int) -> None:
        """The state is being rebuilt: the source has been applied up to this position, which has this LSN."""
        self._base = self._meta.lsn_base = (lsn >> LSN_OFFSET_BITS) - position.file_number
        self.high = 0
        self.advance(position)
