"""Rows events that MariaDB cuts into pieces."""

from __future__ import annotations

import struct

import pytest

from cdc.binlog.decoder import LogDecoder
from cdc.binlog.events import EventType
from cdc.errors import LogFormatError, UnsupportedEventError
from cdc.model import Change, Op, Position, TableSpec, Transaction
from tests.unit.binlog.build import MARIADB, TWO_COLUMNS, Log, thing

_KIND = EventType.MARIADB_PARTIAL_ROW_DATA
_THINGS = TableSpec("things", ("id",), ("id", "note"))
_ROWS = b"\x02\x03" + thing(1, "a") + thing(2, None)
_WANTED = [Change("things", Op.INSERT, None, (1, "a")), Change("things", Op.INSERT, None, (2, None))]


def pieces(event: bytes, count: int, *, total_first: bool) -> list[bytes]:
    """The bodies of the events that carry this one."""
    width = -(-len(event) // count)
    bodies = []
    for number in range(1, count + 1):
        numbers = (count, number) if total_first else (number, count)
        size = struct.pack("<Q", len(event)) if number == 1 else b""
        piece = event[(number - 1) * width : number * width]
        bodies.append(struct.pack("<IIB", *numbers, number == 1) + size + piece)
    return bodies


def rows_event(*, checksum: bool) -> bytes:
    """An event of two rows as it would stand in the log."""
    return Log(MARIADB, checksum=checksum).rows(EventType.WRITE_ROWS_V1, 9, _ROWS)


def read(*bodies: bytes, end: bool = True) -> list[Transaction]:
    """What a log says whose transaction holds these pieces."""
    log = Log(MARIADB)
    log.format()
    log.maria_gtid(1)
    log.table_map(9, TWO_COLUMNS)
    for body in bodies:
        log.put(_KIND, body)
    if end:
        log.xid()
    reader = LogDecoder([_THINGS], database="shop", schemas=None, start=Position("binlog.000001", 4))
    return [made for event in log.events if (made := reader.feed(memoryview(event))) is not None]


@pytest.mark.parametrize("total_first", [True, False])
@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_pieces_make_the_event_they_were_cut_from(count: int, *, checksum: bool, total_first: bool) -> None:
    """Whichever of the two numbers comes first, and whether or not the event kept a checksum of its own."""
    found = read(*pieces(rows_event(checksum=checksum), count, total_first=total_first))

    assert found[-1].changes == _WANTED


def test_pieces_out_of_their_order_are_refused() -> None:
    """A piece that is missing, twice there or of another event; and a transaction that ends before the last one."""
    first, second, third = pieces(rows_event(checksum=True), 3, total_first=True)
    for wrong in ((first, third), (first, first), (second,), (first, second, pieces(_ROWS, 4, total_first=True)[2])):
        with pytest.raises(LogFormatError):
            read(*wrong)
    with pytest.raises(LogFormatError, match="ends inside"):
        read(first, second)


@pytest.mark.parametrize("wrong", [_ROWS, rows_event(checksum=True)[:-9], b""])
def test_pieces_that_make_no_event_stop_with_advice(wrong: bytes) -> None:
    """Nothing is guessed: what they make has to be an event by its own header."""
    with pytest.raises(UnsupportedEventError, match="no event") as caught:
        read(*pieces(wrong, 2, total_first=True))

    assert "binlog_row_event_fragment_threshold" in caught.value.hint


def test_a_try_can_be_repeated() -> None:
    """After a last piece that makes no event, the same is said of it again."""
    log = Log(MARIADB)
    log.format()
    log.maria_gtid(1)
    log.table_map(9, TWO_COLUMNS)
    for body in pieces(_ROWS, 2, total_first=True):
        log.put(_KIND, body)
    reader = LogDecoder([_THINGS], database="shop", schemas=None, start=Position("binlog.000001", 4))
    for event in log.events[:-1]:
        reader.feed(memoryview(event))
    for _ in range(2):
        with pytest.raises(UnsupportedEventError, match="no event"):
            reader.feed(memoryview(log.events[-1]))
