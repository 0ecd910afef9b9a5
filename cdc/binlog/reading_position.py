"""The reader's position in the log, and the position at which a restart would go on."""

from __future__ import annotations

from cdc.binlog.gtid import GtidPosition, GtidSet, parse_gtids
from cdc.errors import PositionLostError
from cdc.model import Position

_32_BITS = 0xFFFFFFFF
_FORWARD = 1 << 31
_ADVICE = "remove the state folder to import afresh, or start at earliest or latest"


class ReadingPosition:
    """``file`` and ``offset`` of the event being read, and the resume point behind the last whole transaction.

    The GTID set is known if the start position had one, or after the head of a file gave one. Until then positions
    carry no GTID set: a set that lacks the earlier transactions would replay all of them.
    """

    def __init__(self, start: Position) -> None:
        self.file = start.file
        self.offset = start.offset
        self._server = start.server
        self._gtids: GtidSet | GtidPosition | None = parse_gtids(start.gtid) if start.gtid else None
        self._resume = (start.file, start.offset)
        self._start = start
        self._born = start.born
        self._made: Position | None = start

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}"

    def is_before(self, other: Position) -> bool:
        """Whether the reader has still to come to ``other``, a position of the log that is read."""
        if self._server and other.server and self._server != other.server:
            return False  # positions of two logs cannot be compared
        return (int(self.file.rpartition(".")[2]), self.offset) < (other.file_number, other.offset)

    def after(self, length: int, end: int) -> int:
        """The offset behind an event of ``length`` bytes whose header states that it ends at ``end`` (low 32 bits).

        A server's stream leaves out transactions that we have already, so there the header's ``end`` counts. It does
        not count when it is 0 (MariaDB from 11.4 on, inside transactions) or before the reader. In a file no bytes are
        left out, and adding ``length`` is enough.
        """
        counted = self.offset + length
        # MariaDB from 11.4 on writes 0 inside transactions.
        if not end:
            return counted
        ahead = (end - counted) & _32_BITS
        # The header has only the low 32 bits. A jump back is an event that was moved, never a file over 4 GiB
        # shrunk.
        return counted + ahead if ahead < _FORWARD else counted

    def move(self, file: str, offset: int) -> None:
        """The next event is at this file and offset."""
        # The new file's own FORMAT_DESCRIPTION will say when it was begun.
        if file != self.file:
            self._born = 0
        self.file = file
        self.offset = offset

    def begun(self, seconds: int) -> None:
        """The file that is being read was begun at this time, which its FORMAT_DESCRIPTION has in its header.

        Raises PositionLostError when the start position's file was begun at another time, or when the number of this
        file is below the number of that file. Then the server began a new log, which may use the GTIDs of the old log
        once more.
        """
        # 0 where the time is not known: then there is nothing to compare.
        if self._start.born:
            number = int(self.file.rpartition(".")[2])
            # The same file must be the very same; an earlier number means that numbering began anew.
            is_other = (
                seconds != self._start.born if self.file == self._start.file else number < self._start.file_number
            )
            if is_other:
                raise PositionLostError(
                    f"{self.file} is not part of the log that was read before: the server began a new log (RESET)",
                    hint=_ADVICE,
                )
        if self._born != seconds:
            self._born = seconds
            self._made = None

    def is_settled(self, offset: int) -> bool:
        """Whether a restart would go on at this offset of the file that is read."""
        return self._resume == (self.file, offset)

    def settle(self) -> None:
        """A restart would go on at this position."""
        self._resume = (self.file, self.offset)
        self._made = None

    def learn(self, executed: GtidSet | GtidPosition) -> None:
        """The head of a file gave the set of all transactions executed before it."""
        # The head of a file lists what is executed. A union, as the start may know more of other sources.
        if isinstance(executed, GtidSet) and isinstance(self._gtids, GtidSet):
            self._gtids.update(executed)
        elif self._gtids is None or not self._gtids:
            # What the start brought, or what was read since, is at least as new as the head of the file.
            self._gtids = executed
        self._made = None

    def add(self, source: tuple[str, int] | None, domain: tuple[int, int, int] | None) -> None:
        """A transaction with this GTID is complete."""
        gtids = self._gtids
        # A transaction without GTID (anonymous) leaves the set as it is.
        if source is not None and isinstance(gtids, GtidSet):
            gtids.add(*source)
        elif domain is not None and isinstance(gtids, GtidPosition):
            gtids.add(*domain)

    @property
    def resume(self) -> Position:
        """The resume point: the next transaction to read, with the set of transactions executed before it."""
        if self._made is None:
            gtid = str(self._gtids) if self._gtids is not None else ""
            # The resume point may still be in the file before, whose time of birth is not the current one.
            born = self._born if self._resume[0] == self.file else 0
            self._made = Position(*self._resume, gtid=gtid, server=self._server, born=born)
        return self._made
