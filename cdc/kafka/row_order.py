"""Which of two rows in topics of other tools is newer: every record gets an LSN, one rising integer. Pure.

Records of one partition come in the order of the source's log, except for repetitions after a restart of the tool.
Topics are not ordered among each other: a child's row may come before or after its parent's deletion. The record's
position in the source's log decides, never the moment at which the record is read:

* **File and position** order everything in one log: changes, and the rows of a snapshot, which carry the position at
  which the snapshot was taken. A snapshot names no server (Debezium writes server_id 0).
* **The server id says nothing of the log.** An event keeps the id of the server that it began on, while file and
  position are those of the server that the tool reads, which may be a replica or a node of a cluster.
* **Another log** (a failover, a reset, a restored server) begins a new *epoch*, whose LSNs are above all earlier LSNs.
  A new epoch shows in a record whose position is before the earlier records of its partition, and which is not a
  repetition: its commit time is later, or its GTID or its server is new there.
* **The commit time** says which epoch a record of another partition belongs to: each epoch has a first moment, which a
  later record may move to an earlier one.

* **The moment of writing** orders records of partitions without positions: a tool writes in the order of the log, so
  the Kafka time stamps order the records of two topics, except records of the same millisecond.

So a partition's newest record is never taken for an old record. The worst effect of a wrong guess is that a repetition
is applied again; the records behind the repetition then repeat the later changes too. Where a tool gives a position but
neither time nor GTID, the order within the partition counts for positions that go back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple

from cdc.model import LSN_FILE_BITS, LSN_OFFSET_BITS, Position, ReportedPosition

MOST_SOURCES: Final = 64
"""GTID sources, servers and snapshots that are remembered. Forgetting the oldest makes at most one epoch too many."""
SNAPSHOT_MS: Final = 86_400_000
"""A position belongs to the same snapshot as before if its rows were read within a day of each other."""

FilePosition = tuple[str, int, int]
"""The common name of the log's files, the file's number, the offset."""


class PositionsExhaustedError(Exception):
    """The records named more epochs and log files than an LSN has room for."""


class Epoch(NamedTuple):
    """``since_ms``: its earliest known commit time. ``base``: added to the numbers of its log files."""

    since_ms: int
    base: int


@dataclass
class _Partition:
    """What the records of one partition have shown so far. ``low`` and
    ``high`` are positions of the epoch ``epoch``.
    """

    epoch: int = -1
    low: FilePosition = ("", 0, 0)
    high: FilePosition = ("", 0, 0)
    newest_ms: int = 0
    lsn: int = 0
    servers: dict[str, int] = field(default_factory=dict)
    gtids: dict[str, int] = field(default_factory=dict)


class RowOrder:
    """Gives LSNs to records. ``held``: the text that ``dump`` returned."""

    def __init__(self, held: Mapping[str, Any] | None = None) -> None:
        held = held or {}
        self._epochs = [Epoch(*epoch) for epoch in held.get("epochs", ((0, 0),))]
        self._high: int = held.get("high", 0)
        self._snapshots: dict[FilePosition, tuple[int, int]] = {
            (log, number, offset): (epoch, at_ms) for log, number, offset, epoch, at_ms in held.get("snapshots", ())
        }
        self._partitions = {
            name: _Partition(**{**kept, "low": tuple(kept["low"]), "high": tuple(kept["high"])})
            for name, kept in held.get("partitions", {}).items()
        }
        self.is_to_be_kept = False
        """Whether an epoch or a log file is new, so that ``dump`` must be kept in the commit that holds the rows."""

    @property
    def epochs(self) -> int:
        """How many successive logs are known."""
        return len(self._epochs)

    def dump(self) -> dict[str, Any]:
        """The whole state, in a form for JSON."""
        self.is_to_be_kept = False
        return {
            "epochs": [tuple(epoch) for epoch in self._epochs],
            "high": self._high,
            "snapshots": [(*at, *known) for at, known in self._snapshots.items()],
            "partitions": {name: asdict(partition) for name, partition in self._partitions.items()},
        }

    def begin_again(self) -> None:
        """All partitions are read from their beginning again: their records get the same LSNs as before."""
        self._partitions.clear()

    def newest(self) -> int | None:
        """The highest LSN of a partition's newest record; None where partitions with and without positions are mixed,
        whose LSNs have nothing in common.
        """
        kinds = {partition.epoch < 0 for partition in self._partitions.values()}
        return max(one.lsn for one in self._partitions.values()) if len(kinds) == 1 else None

    def lsn(self, reported: ReportedPosition) -> int:
        """The record's LSN. Raises PositionsExhaustedError.

        A record without a position (a tombstone) is as new as the record before it in its partition.
        """
        partition = self._partitions.setdefault(reported.partition, _Partition())
        if reported.position is None:
            if partition.epoch < 0:
                partition.lsn = max(partition.lsn, reported.written_ms)
                self._note_number(partition.lsn >> LSN_OFFSET_BITS)
            return partition.lsn
        at = _file_position(reported.position)
        epoch = self._epoch(partition, reported, at)
        if epoch is not None:
            self._note_file_position(partition, epoch, at)
            number = self._number(epoch, at)
            self._note_number(number)
            partition.lsn = number << LSN_OFFSET_BITS | at[2]
        _note_sources(partition, reported)
        if reported.is_snapshot and epoch is not None:
            self._note_snapshot(at, epoch, reported.at_ms)
        return partition.lsn

    # ------------------------------------------------------------------------------------------------- the epoch

    def _epoch(self, partition: _Partition, reported: ReportedPosition, at: FilePosition) -> int | None:
        """The epoch that the record belongs to; None if only the order of its partition counts."""
        known = self._snapshots.get(at) if reported.is_snapshot else None
        if known is not None and reported.at_ms - known[1] <= SNAPSHOT_MS:
            return known[0]  # whichever partition named this snapshot first
        by_time = self._by_time(reported.at_ms)
        if partition.epoch < 0:  # the tool was set up anew to tell positions: they are above moments of writing
            is_above = self._number(by_time, at) << LSN_OFFSET_BITS > partition.lsn
            return by_time if is_above or not partition.lsn else self._next_epoch(by_time, reported.at_ms, by_time)
        if at[0] == partition.high[0] and at >= partition.high:
            return max(partition.epoch, by_time)
        seen = _was_seen(partition, reported)
        if seen is None:
            return None
        if seen:  # a repetition: of this epoch's log, or of an older one
            is_of_this_log = at[0] == partition.low[0] and at >= partition.low
            return partition.epoch if is_of_this_log else min(by_time, max(partition.epoch - 1, 0))
        return self._next_epoch(partition.epoch, reported.at_ms, by_time)

    def _by_time(self, at_ms: int) -> int:
        found = 0
        for number, epoch in enumerate(self._epochs):
            if epoch.since_ms <= at_ms:
                found = number
        return found

    def _next_epoch(self, current: int, at_ms: int, by_time: int) -> int:
        """The epoch of a record that is of another log than the earlier records of its partition."""
        if by_time > current:
            return by_time
        self.is_to_be_kept = True
        since_ms = max(at_ms, self._epochs[current].since_ms)
        if current + 1 < len(self._epochs):  # another partition named it first, with a later record
            self._epochs[current + 1] = self._epochs[current + 1]._replace(since_ms=since_ms)
        else:
            self._epochs.append(Epoch(since_ms, self._high + 1))
        return current + 1

    # -------------------------------------------------------------------------------------------- what is remembered

    def _number(self, epoch: int, at: FilePosition) -> int:
        number = self._epochs[epoch].base + at[1]
        if number >= 1 << LSN_FILE_BITS or at[2] >= 1 << LSN_OFFSET_BITS:
            raise PositionsExhaustedError(f"position {at[0]}.{at[1]:06d}:{at[2]} after {epoch} other logs")
        return number

    def _note_number(self, number: int) -> None:
        if number > self._high:
            self._high = number
            self.is_to_be_kept = True

    @staticmethod
    def _note_file_position(partition: _Partition, epoch: int, at: FilePosition) -> None:
        if epoch > partition.epoch:
            partition.epoch, partition.low, partition.high = epoch, at, at
        elif epoch == partition.epoch and at > partition.high:
            partition.high = at

    def _note_snapshot(self, at: FilePosition, epoch: int, at_ms: int) -> None:
        newest = max(at_ms, self._snapshots.pop(at, (0, 0))[1])
        self._snapshots[at] = epoch, newest
        if len(self._snapshots) > MOST_SOURCES:
            del self._snapshots[next(iter(self._snapshots))]


def _file_position(position: Position) -> FilePosition:
    return position.file.rpartition(".")[0], position.file_number, position.offset


def _was_seen(partition: _Partition, reported: ReportedPosition) -> bool | None:
    """Whether the partition may have sent this record before; None if the record has too little information."""
    assert reported.position is not None
    gtid = parse_gtid(reported.position.gtid)
    if not reported.at_ms and gtid is None:
        return None
    if reported.at_ms > partition.newest_ms:
        return False
    if _is_server(reported.position.server) and reported.position.server not in partition.servers:
        return False
    return gtid is None or gtid[1] <= partition.gtids.get(gtid[0], -1)


def _note_sources(partition: _Partition, reported: ReportedPosition) -> None:
    assert reported.position is not None
    partition.newest_ms = max(partition.newest_ms, reported.at_ms)
    if _is_server(reported.position.server):
        _remember(partition.servers, reported.position.server, 0)
    gtid = parse_gtid(reported.position.gtid)
    if gtid is not None:
        _remember(partition.gtids, gtid[0], max(gtid[1], partition.gtids.get(gtid[0], -1)))


def _remember(held: dict[str, int], name: str, value: int) -> None:
    held.pop(name, None)  # the newest is last
    held[name] = value
    if len(held) > MOST_SOURCES:
        del held[next(iter(held))]


def _is_server(server: str) -> bool:
    """Whether this is a real server's id: snapshot rows come with server 0."""
    return server not in ("", "0")


def parse_gtid(text: str) -> tuple[str, int] | None:
    """A transaction's GTID as its source and its number there; None for a text that is not a GTID.

    MySQL's ``<uuid>:<number>`` (with a tag: ``<uuid>:<tag>:<number>``); MariaDB's ``<domain>-<server>-<number>``, where
    numbers count within the domain.
    """
    source, _, number = text.rpartition(":")
    if not source:
        domain, _, rest = text.partition("-")
        source, number = domain, rest.partition("-")[2]
    if not source or not number.isdecimal() or len(number) > 20:
        return None
    return source, int(number)
