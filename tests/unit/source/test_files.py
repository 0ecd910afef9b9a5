"""Binlog files as a source of transactions."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import zstandard

from cdc.binlog.events import MAGIC, EventType
from cdc.errors import CdcError, LogFormatError, PositionLostError, SetupError
from cdc.model import Position, Start, StartKind, TableSpec
from cdc.source.files import FilesSource, matching_files
from tests.unit.binlog.build import TWO_COLUMNS, Log, thing

THINGS = TableSpec("things", ("id",), ("id", "note"))
EARLIEST = Start(StartKind.EARLIEST)


def _log(numbers: list[int], following: str = "") -> tuple[Log, list[int]]:
    """A log with one insert per number, and the position of each transaction."""
    log = Log()
    log.format()
    positions = []
    for number in numbers:
        positions.append(log.offset)
        log.gtid(number)
        log.query("BEGIN")
        log.table_map(9, TWO_COLUMNS)
        log.rows(EventType.WRITE_ROWS, 9, b"\x02\x03" + thing(number, "x" * 10))
        log.xid()
    if following:
        log.rotate(following)
    return log, positions


def _ids(source: FilesSource, start: Start = EARLIEST) -> list[object]:
    return [change.after[0] for t in source.transactions(start) for change in t.changes if change.after]


def _source(*patterns: Path | str) -> FilesSource:
    return FilesSource([str(pattern) for pattern in patterns], [THINGS], database="shop")


def test_files_are_read_in_the_order_of_their_numbers_packed_or_not(tmp_path: Path) -> None:
    """Plain, gzip and zstd files make one log; the index file beside them is none."""
    (tmp_path / "binlog.index").write_text("binlog.000009\n")
    (tmp_path / "binlog.000009").write_bytes(MAGIC + _log([1, 2], "binlog.000010")[0].data)
    (tmp_path / "binlog.000010.gz").write_bytes(gzip.compress(MAGIC + _log([3], "binlog.000011")[0].data))
    (tmp_path / "binlog.000011.zst").write_bytes(zstandard.compress(MAGIC + _log([4, 5])[0].data))
    source = _source(tmp_path / "binlog.*")

    assert _ids(source) == [1, 2, 3, 4, 5]
    assert source.first_file() == "binlog.000009"
    assert [t.end.file for t in source.transactions(EARLIEST)][-1] == "binlog.000011"


def test_reading_goes_on_from_a_position(tmp_path: Path) -> None:
    """From each transaction's position on come exactly it and what follows, with the same resume points."""
    log, positions = _log([1, 2, 3])
    (tmp_path / "binlog.000001").write_bytes(MAGIC + log.data)
    source = _source(tmp_path / "binlog.000001")
    for number, position in enumerate(positions, 1):
        start = Start(StartKind.FILE_OFFSET, Position("binlog.000001", position))

        assert _ids(source, start) == list(range(number, 4))
        assert list(source.transactions(start))[-1].end.offset == log.offset


def test_more_than_one_buffer_reads_whole(tmp_path: Path) -> None:
    """Transactions that lie across the pieces read, and an event larger than the buffer, are whole."""
    log, _ = _log([1])
    for number in range(2, 6):
        log.gtid(number)
        log.query("BEGIN")
        log.put(EventType.ROWS_QUERY, bytes(number * 700_000))
        log.table_map(9, TWO_COLUMNS)
        log.rows(EventType.WRITE_ROWS, 9, b"\x02\x03" + b"".join(thing(number, "y") for _ in range(1000)))
        log.xid()
    (tmp_path / "binlog.000001").write_bytes(MAGIC + log.data)

    assert len(_ids(_source(tmp_path / "binlog.000001"))) == 4001


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xfd\x62\x69\x6e....", "is encrypted; read it through the server"),
        (b"PK..", "is no binlog file"),
        (b"", "is no binlog file"),
        (MAGIC + _log([1])[0].data[:-5], "ends inside an event at binlog.000001:"),
    ],
)
def test_files_that_are_no_whole_log_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    """Encrypted, foreign, empty and cut-off files are named with the reason."""
    (tmp_path / "binlog.000001").write_bytes(content)

    with pytest.raises(LogFormatError, match=words):
        _ids(_source(tmp_path / "binlog.000001"))


def test_damaged_packing_is_a_clear_error(tmp_path: Path) -> None:
    """A gzip or zstd file cut off in the middle names the file."""
    log, _ = _log(list(range(1, 50)))
    (tmp_path / "binlog.000001.gz").write_bytes(gzip.compress(MAGIC + log.data)[:-20])
    (tmp_path / "binlog.000002.zst").write_bytes(b"not zstd at all")
    for name in ("binlog.000001.gz", "binlog.000002.zst"):
        with pytest.raises(CdcError, match=name.replace(".", r"\.")):
            _ids(_source(tmp_path / name))


def test_a_start_that_the_files_do_not_hold_is_refused(tmp_path: Path) -> None:
    """Another file's position is lost; latest and GTID sets are nothing that files know."""
    (tmp_path / "binlog.000001").write_bytes(MAGIC + _log([1])[0].data)
    source = _source(tmp_path / "binlog.000001")

    with pytest.raises(PositionLostError, match=r"called binlog\.000007"):
        _ids(source, Start(StartKind.FILE_OFFSET, Position("binlog.000007", 4)))
    with pytest.raises(SetupError, match="start at earliest or at a position"):
        _ids(source, Start(StartKind.LATEST))


def test_patterns_that_name_nothing_are_refused(tmp_path: Path) -> None:
    """Each path or glob must name a file."""
    with pytest.raises(SetupError, match="names no file"):
        matching_files([str(tmp_path / "nothing.*")])


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["shopday.bin"], "does not end in the number"), (["shopday"], "does not end in the number"),
        (["7"], "does not end in the number"), (["binlog.20261130120000"], "does not end in the number"),
        (["a.000001", "b.1"], "have the same number"), (["a.000001", "a.000001.gz"], "have the same number"),
    ],
)  # fmt: skip
def test_files_whose_position_in_the_log_is_not_known_are_refused(tmp_path: Path, names: list[str], words: str) -> None:
    """A file's number is its place in the log: without one, or with another's, changes would be taken for old."""
    for name in names:
        (tmp_path / name).write_bytes(MAGIC)

    with pytest.raises(SetupError, match=words):
        _source(*(tmp_path / name for name in names))
