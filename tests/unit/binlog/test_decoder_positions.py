"""The positions and marks that the decoder gives, from which reading goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdc.binlog.events import EventType
from cdc.binlog.gtid import GtidSet
from cdc.errors import PositionLostError
from cdc.model import Position
from tests.unit.binlog.build import (
    COMMIT_S,
    MARIADB,
    SOURCE,
    TWO_COLUMNS,
    Log,
    thing,
)
from tests.unit.binlog.things import ROW_HEAD, decoder, feed_all, one_insert


def test_another_file_of_the_same_name_is_no_position_to_go_on() -> None:
    """A file that was begun at another time than the one the position is of has taken its name."""
    log = Log()
    log.format()
    log.gtid(1)
    log.query("BEGIN")
    log.xid()
    ended = feed_all(decoder(start=Position("binlog.000001", 4)), log)[-1].end
    later = Log(offset=ended.offset)
    later.format(end=0)  # as the server repeats it to whoever begins inside the file
    younger = Log(offset=ended.offset)
    younger.format(end=0, seconds=ended.born + 1)

    assert feed_all(decoder(start=ended), later) == []
    with pytest.raises(PositionLostError, match="began a new log"):
        feed_all(decoder(start=ended), younger)
    reader = decoder(start=replace(ended, file="binlog.000007"))
    reader.begin_file("binlog.000001", 4)  # by GTID the server chooses the file
    with pytest.raises(PositionLostError, match="began a new log"):
        feed_all(reader, later)


def test_the_executed_set_grows_with_each_transaction() -> None:
    """The GTID set of a resume point holds every transaction before it and no other."""
    log = Log()
    log.format()
    for number in (6, 7, 9):
        one_insert(log, number)

    made = feed_all(decoder(start=Position("binlog.000001", 4, gtid=f"{SOURCE}:1-5")), log)

    assert [t.end.gtid for t in made[1:]] == [f"{SOURCE}:1-6", f"{SOURCE}:1-7", f"{SOURCE}:1-7:9"]


def test_a_start_without_a_set_carries_none_until_the_log_tells_it() -> None:
    """A set that begins in the middle of the log would replay what came before, so there is none at all."""
    log = Log()
    log.format()
    one_insert(log, 5)
    log.put(EventType.PREVIOUS_GTIDS, GtidSet.parse(f"{SOURCE}:1-5").encode())
    one_insert(log, 6)

    made = feed_all(decoder(), log)

    assert [t.end.gtid for t in made] == ["", "", f"{SOURCE}:1-5", f"{SOURCE}:1-6"]


def test_positions_go_beyond_4_gib() -> None:
    """Headers hold 32 bits; counted from the start the position is whole."""
    log = Log(offset=(1 << 32) - 300)
    one_insert(log, 1)
    one_insert(log, 2)
    head = Log()
    head.format(end=0)

    reader = decoder(start=Position("binlog.000001", (1 << 32) - 300))
    made = feed_all(reader, head) + feed_all(reader, log)

    assert [t.end.offset for t in made] == [log.offset // 2 + ((1 << 32) - 300) // 2, log.offset]
    assert log.offset > 1 << 32


def test_zero_end_positions_inside_a_transaction_are_counted() -> None:
    """MariaDB from 11.4 on writes 0 as the end of events inside a transaction; lengths give the position."""
    log = Log(MARIADB)
    log.format()
    log.maria_gtid(1)
    log.put(EventType.TABLE_MAP, (9).to_bytes(6, "little") + b"\1\0" + TWO_COLUMNS, end=0)
    log.put(EventType.WRITE_ROWS_V1, (9).to_bytes(6, "little") + b"\1\0" + ROW_HEAD + thing(3, None), end=0)
    log.put(EventType.XID, bytes(8), end=0)

    made = feed_all(decoder(start=Position("binlog.000001", 4, gtid="0-1-0,1-7-5")), log)[-1]

    assert made.end == Position("binlog.000001", log.offset, gtid="0-1-1,1-7-5")
    assert made.commit_ms == COMMIT_S * 1000


def test_a_stream_that_leaves_transactions_out_is_followed() -> None:
    """By GTID the server passes over what we have: the next event's header says where it stands."""
    log = Log()
    log.format()
    log.offset += 5000
    one_insert(log, 8)

    assert feed_all(decoder(), log)[-1].end.offset == log.offset


def test_rotation_moves_to_the_next_file() -> None:
    """A real ROTATE is a mark at the next file's start; the artificial one after it changes nothing."""
    log = Log()
    log.rotate("binlog.000001", artificial=True)
    log.format()
    log.rotate("binlog.000002")
    log.offset = 4
    log.rotate("binlog.000002", artificial=True)
    log.format()

    assert [str(t.end) for t in feed_all(decoder(), log)] == [
        f"binlog.000001:{log.offset}", "binlog.000002:4", f"binlog.000002:{log.offset}",
    ]  # fmt: skip


def test_a_heartbeat_moves_the_resume_point_only_forward() -> None:
    """At the end of the log a heartbeat says where the server stands; the same position again is no news."""
    log = Log()
    log.format()
    position = log.offset
    for end in (position, position + 700, position + 700):
        log.put(EventType.HEARTBEAT, b"binlog.000001", seconds=0, end=end)

    assert [t.end.offset for t in feed_all(decoder(), log)] == [position, position + 700]


def test_a_checkpoint_at_the_end_of_the_log_is_a_position_to_go_on_from() -> None:
    """On an idle MariaDB nothing follows it, and whoever waits for the end of the log would wait for ever."""
    log = Log(MARIADB)
    log.format()
    log.put(EventType.MARIADB_BINLOG_CHECKPOINT, b"\x0d\0\0\0binlog.000001")

    assert feed_all(decoder(), log)[-1].end.offset == log.offset


def test_a_heartbeat_settles_what_ignored_events_led_up_to() -> None:
    """Events of no meaning move no resume point; the heartbeat behind them does, once."""
    log = Log()
    log.format()
    log.put(EventType.IGNORABLE, b"anything")
    position = log.offset
    for _ in range(2):
        log.put(EventType.HEARTBEAT, b"binlog.000001", seconds=0, end=position)

    assert [t.end.offset for t in feed_all(decoder(), log)][1:] == [position]


def test_noise_moves_the_position_and_carries_nothing() -> None:
    """Rows of other tables and of the same table in another database are not decoded."""
    log = Log()
    log.format()
    log.gtid(1)
    log.query("BEGIN")
    for number, body in enumerate((TWO_COLUMNS.replace(b"shop", b"blog"), TWO_COLUMNS.replace(b"things", b"quotes"))):
        log.table_map(number, body)
        log.rows(EventType.WRITE_ROWS, number, b"not even rows")
    log.xid()
    reader = decoder()

    made = feed_all(reader, log)[-1]

    assert (made.changes, made.end.offset) == ([], log.offset)
    assert (reader.counters["rows_events_skipped"], reader.counters["rows_decoded"]) == (2, 0)
