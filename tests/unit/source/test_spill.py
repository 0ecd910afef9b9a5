"""Transactions that are too large for memory: the same changes come, out of a file."""

from __future__ import annotations

import os
import tempfile
import zlib
from functools import partial
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from cdc.binlog.assembly import Room
from cdc.binlog.decoder import LogDecoder
from cdc.binlog.events import EventType
from cdc.errors import StateError
from cdc.model import Change, Op, Position, TableSpec
from cdc.source.spill import SpillFile
from tests.unit.binlog.build import TWO_COLUMNS, Log, lenenc, thing

THINGS = TableSpec("things", ("id",), ("id", "note"))
STEPS = st.lists(st.integers(1, 4) | st.tuples(st.just("cut"), st.integers(0, 9)), max_size=8)


def changes(first: int, count: int) -> list[Change]:
    return [Change("things", Op.INSERT, None, (number, "a note")) for number in range(first, first + count)]


def reader(room: Room | None) -> LogDecoder:
    start = Position("binlog.000001", 4)
    return LogDecoder([THINGS], database="shop", schemas=None, start=start, room=room)


def rows(log: Log, first: int, count: int) -> None:
    for number in range(first, first + count):
        log.rows(EventType.WRITE_ROWS, 9, b"\x02\x03" + thing(number, "a note"))


def large_transaction() -> Log:
    """Rows, a savepoint, rows that are rolled back, rows; then a small transaction."""
    log = Log()
    log.format()
    log.gtid(1)
    log.query("BEGIN")
    log.table_map(9, TWO_COLUMNS)
    rows(log, 0, 40)
    log.query("SAVEPOINT `half`")
    rows(log, 100, 40)
    log.query("ROLLBACK TO `half`")
    rows(log, 200, 20)
    log.xid()
    log.gtid(2)
    log.query("BEGIN")
    log.table_map(9, TWO_COLUMNS)
    rows(log, 300, 1)
    log.xid()
    return log


@given(STEPS)
def test_a_spill_file_is_a_list_of_changes(steps: list[int | tuple[str, int]]) -> None:
    """Packs added, cut off in their middle and read back, as a whole and one by one, are what a list would hold."""
    file, model = SpillFile(Path(tempfile.gettempdir())), list[Change]()
    for step in steps:
        if isinstance(step, int):
            more = changes(len(model), step)
            file.add(more)
            model += more
        else:
            file.cut(step[1])
            del model[step[1] :]
    rest = changes(1000, 2)
    file.finish(rest)
    model += rest

    assert list(file) == model
    assert [file[at] for at in range(-len(model), len(model))] == model + model
    assert file[1:5] == model[1:5]


@pytest.mark.parametrize("most_bytes", [1, 2000, 7000, 20_000, 1 << 20])
def test_spilling_changes_nothing_but_where_changes_wait(tmp_path: Path, most_bytes: int) -> None:
    """However little memory a transaction may take, it comes with the same changes, rolled back ones left out."""
    data = large_transaction().data
    wanted, _ = reader(None).feed_file(memoryview(data), len(data))
    room = Room(most_bytes, partial(SpillFile, tmp_path), pack_bytes=most_bytes // 3 + 1)
    made, used = reader(room).feed_file(memoryview(data), len(data))

    assert [list(one.changes) for one in made] == [list(one.changes) for one in wanted]
    assert [one.end for one in made] == [one.end for one in wanted]
    assert used == len(data)
    assert isinstance(made[0].changes, SpillFile) == (most_bytes < 1 << 20)
    assert made[0].size < wanted[0].size or most_bytes == 1 << 20
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_full_disk_stops_the_reader_until_there_is_room_again(tmp_path: Path, is_packed: bool) -> None:
    """What cannot be spilled is a StateError that names the folder; the same bytes go on once the disk can be had."""
    folder = tmp_path / "gone"
    log = large_transaction()
    data = packed(log) if is_packed else log.data
    decoder = reader(Room(3000, partial(SpillFile, folder), pack_bytes=1000))
    view = memoryview(data)
    _, used = decoder.feed_file(view, len(data))
    with pytest.raises(StateError, match="gone"):
        decoder.feed_file(view[used:], len(data) - used)
    folder.mkdir()
    made, _ = decoder.feed_file(view[used:], len(data) - used)

    assert [change.after for change in made[0].changes] == [
        (number, "a note") for number in (*range(40), *range(200, 220))
    ]


def packed(log: Log) -> bytes:
    """The same log with its first transaction's events in one TRANSACTION_PAYLOAD."""
    first_xid = next(at for at, event in enumerate(log.events) if event[4] == EventType.XID)
    inner = b"".join(bare(event) for event in log.events[2 : first_xid + 1])
    held = zstandard.ZstdCompressor().compress(inner)
    fields = b"\x02" + lenenc(1) + b"\x00" + b"\x01" + lenenc(3) + b"\xfc" + len(held).to_bytes(2, "little") + b"\x00"
    out = Log()
    out.events += log.events[:2]
    out.put(EventType.TRANSACTION_PAYLOAD, fields + held)
    out.events += log.events[first_xid + 1 :]
    return out.data


def bare(event: bytes) -> bytes:
    """An event as it stands in a payload: without checksum."""
    assert zlib.crc32(event[:-4]) == int.from_bytes(event[-4:], "little")
    return event[:9] + (len(event) - 4).to_bytes(4, "little") + event[13:-4]
