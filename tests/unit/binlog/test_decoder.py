"""Transactions, positions and marks: what the decoder makes of a sequence of events."""

from __future__ import annotations

import struct

import pytest

from cdc.binlog.events import ACTIONS, EventType
from cdc.errors import LogFormatError, SourceDisconnectedError, UnsupportedEventError
from cdc.model import Change, Op, Position, Xa, XaStep
from tests.unit.binlog.build import (
    SOURCE,
    TWO_COLUMNS,
    Log,
    packet,
    thing,
)
from tests.unit.binlog.things import ROW_HEAD, decoder, feed_all, one_insert


def test_a_transaction_comes_whole_with_the_resume_point_behind_it() -> None:
    """Nothing comes before XID; then all changes, the position behind XID, the executed set and the bytes read."""
    log = Log()
    log.format()
    log.gtid(1, commit_us=1_700_000_000_123_456)
    log.query("BEGIN")
    log.table_map(9, TWO_COLUMNS)
    log.rows(EventType.WRITE_ROWS, 9, ROW_HEAD + thing(1, "é") + thing(2, None))
    log.rows(EventType.UPDATE_ROWS, 9, b"\x02\x03\x03" + thing(1, "é") + thing(1, "x"), flags=3)
    log.rows(EventType.DELETE_ROWS, 9, ROW_HEAD + thing(2, None))
    log.xid()

    made = feed_all(decoder(start=Position("binlog.000001", 4, gtid=f"{SOURCE}:1-5", server="s")), log)[-1]

    assert made.changes == [
        Change("things", Op.INSERT, None, (1, "é")),
        Change("things", Op.INSERT, None, (2, None)),
        Change("things", Op.UPDATE, (1, "é"), (1, "x"), cascades=False),
        Change("things", Op.DELETE, (2, None), None),
    ]
    assert made.end == Position("binlog.000001", log.offset, gtid=f"{SOURCE}:1-5", server="s")
    assert made.commit_ms == 1_700_000_000_123


def test_rows_whose_children_the_server_logs_cascade_nothing() -> None:
    """With flag 0x10 (MySQL since 9.6) the children's own rows tell what became of them: a REPLACE spares them."""
    log = Log()
    log.format()
    log.gtid(1)
    log.query("BEGIN")
    log.table_map(9, TWO_COLUMNS)
    log.rows(EventType.DELETE_ROWS, 9, ROW_HEAD + thing(2, None), flags=0x10)
    log.rows(EventType.WRITE_ROWS, 9, ROW_HEAD + thing(2, "x"), flags=0x11)
    log.xid()

    made = feed_all(decoder(start=Position("binlog.000001", 4, gtid=f"{SOURCE}:1-5", server="s")), log)[-1]

    assert made.changes == [
        Change("things", Op.DELETE, (2, None), None, cascades=False),
        Change("things", Op.INSERT, None, (2, "x")),
    ]


def test_the_same_transactions_come_from_events_a_file_and_packets_of_any_size() -> None:
    """How the bytes are cut makes no difference; transactions without changes are folded into one mark at the end."""
    log = Log()
    log.format()
    for number in range(1, 30):
        one_insert(log, number)
        if number % 3 == 0:
            log.gtid(100 + number)
            log.query("FLUSH TABLES")
    wanted = [t.changes for t in feed_all(decoder(), log) if t.changes]
    packets = b"".join(packet(b"\0" + event, number) for number, event in enumerate(log.events))

    for size in (1, 7, 50, 333, 1 << 20):
        for data, is_file in ((log.data, True), (packets, False)):
            reader = decoder()
            held, got = b"", []
            for at in range(0, len(data), size):
                held += data[at : at + size]
                feed = reader.feed_file if is_file else reader.feed_packets
                made, used = feed(memoryview(held), len(held))
                held = held[used:]
                got += made
            assert [t.changes for t in got if t.changes] == wanted
            assert (held, got[-1].end.offset, reader.position.offset) == (b"", log.offset, log.offset)


def test_an_event_over_16_mib_is_joined_from_its_packets() -> None:
    """Packets of 0xFFFFFF bytes go on in the next one; nothing is consumed before the last is there."""
    log = Log()
    log.format()
    log.gtid(1)
    log.query("BEGIN")
    big = log.put(EventType.ROWS_QUERY, bytes(17 << 20))
    log.xid()
    data = b"".join(packet(b"\0" + event) for event in log.events)
    reader = decoder()

    first, used = reader.feed_packets(memoryview(data), len(data) - 100_000)
    rest, more = reader.feed_packets(memoryview(data)[used:], len(data) - used)

    assert used < len(big) < used + more == len(data)
    assert (first + rest)[-1].end.offset == log.offset


def test_the_servers_error_packet_comes_after_what_was_complete() -> None:
    """Transactions before an error packet are handed over first; the next call raises it with its number."""
    log = Log()
    log.format()
    one_insert(log)
    error = packet(b"\xff" + struct.pack("<H", 1236) + b"#HY000could not find next log")
    data = b"".join(packet(b"\0" + event) for event in log.events) + error
    reader = decoder()

    made, used = reader.feed_packets(memoryview(data), len(data))
    with pytest.raises(SourceDisconnectedError, match="could not find next log") as caught:
        reader.feed_packets(memoryview(data)[used:], len(data) - used)

    assert made[-1].changes
    assert used == len(data) - len(error)
    assert caught.value.errno == 1236


def test_a_place_inside_a_transaction_is_refused() -> None:
    """Started at any event boundary, the log gives the same end or a refusal; never a part of a transaction."""
    log = Log()
    log.format()
    begins = {log.offset}
    for number in (1, 2):
        one_insert(log, number)
        begins.add(log.offset)
    offset = 4 + len(log.events[0])
    for first, event in enumerate(log.events[1:], 1):
        reader = decoder(start=Position("binlog.000001", offset))
        reader.read_format(memoryview(log.events[0]))
        rest = log.events[first:]
        data = b"".join(rest)
        if offset in begins:
            made, _ = reader.feed_file(memoryview(data), len(data))
            assert [len(t.changes) for t in made if t.changes] == [1] * (2 if first == 1 else 1)
        else:
            with pytest.raises(UnsupportedEventError, match="start at the beginning of a transaction"):
                reader.feed_file(memoryview(data), len(data))
        offset += len(event)


def test_every_type_of_event_has_one_action() -> None:
    """The table of types is closed: each has an action, and numbers that are not in it are unknown."""
    assert set(ACTIONS) == set(EventType)


def test_an_unknown_event_stops_unless_it_may_be_ignored() -> None:
    """An unknown type stops with its number and position; with the ignorable flag it is counted and passed over."""
    log = Log()
    log.format()
    log.put(99, b"new", flags=0x80)
    position = log.offset
    log.put(99, b"new")
    reader = decoder()
    with pytest.raises(UnsupportedEventError, match=f"type 99.* at binlog.000001:{position}"):
        feed_all(reader, log)

    assert reader.counters["UNKNOWN_99"] == 1


@pytest.mark.parametrize("at", [30, -6])
def test_a_wrong_checksum_is_an_error_with_its_position(at: int) -> None:
    """One flipped bit in an event stops the reader there, and again when it is fed again."""
    log = Log()
    log.format()
    position = log.offset
    one_insert(log)
    broken = bytearray(log.events[1])
    broken[at] ^= 0x10
    reader = decoder()
    reader.feed(memoryview(log.events[0]))

    for _ in range(2):
        with pytest.raises(LogFormatError, match=f"checksum.* at binlog.000001:{position};"):
            reader.feed(memoryview(broken))


def test_a_log_without_checksums_reads_alike() -> None:
    """binlog_checksum = NONE: no bytes are taken for a checksum."""
    log = Log(checksum=False)
    log.format()
    one_insert(log)

    assert feed_all(decoder(), log)[-1].changes == [Change("things", Op.INSERT, None, (1, "new"))]


def test_rollbacks_undo_what_they_undo() -> None:
    """ROLLBACK TO drops what came after its savepoint, ROLLBACK everything."""
    log = Log()
    log.format()
    log.gtid(1)
    log.query("BEGIN")
    log.table_map(9, TWO_COLUMNS)
    for number, statement in enumerate(("SAVEPOINT `a`", "SAVEPOINT b", "ROLLBACK TO `a`", "COMMIT")):
        log.rows(EventType.WRITE_ROWS, 9, ROW_HEAD + thing(number, None))
        log.query(statement)
    log.gtid(2)
    log.query("BEGIN")
    log.table_map(9, TWO_COLUMNS)
    log.rows(EventType.WRITE_ROWS, 9, ROW_HEAD + thing(7, None))
    log.query("ROLLBACK")

    first, second = feed_all(decoder(), log)[1:]

    assert [change.after for change in first.changes] == [(0, None), (3, None)]
    assert second.changes == []


def test_truncate_and_definitions_are_told() -> None:
    """TRUNCATE is a change of its own; a changed definition is listed and no change."""
    log = Log()
    log.format()
    for number, statement in enumerate((
        "TRUNCATE TABLE `things`", "ALTER TABLE shop.things ADD x INT", "RENAME TABLE x TO y, _new TO things",
        "TRUNCATE other", "ALTER TABLE things2 ADD y INT", "DROP DATABASE shop",
    ), 1):  # fmt: skip
        log.gtid(number)
        log.query(statement)

    made = feed_all(decoder(), log)[1:]

    assert made[0].changes == [Change("things", Op.TRUNCATE, None, None)]
    assert [[stale_table.table for stale_table in t.stale] for t in made] == [[], ["things"], ["things"], [], [], []]
    assert [[schema.exists for schema in t.schemas] for t in made[-2:]] == [[], [False]]


@pytest.mark.parametrize(
    ("may_repair", "gtid", "expected"),
    [(True, f"{SOURCE}:1-5", True), (True, "", False), (False, f"{SOURCE}:1-5", False)],
)
def test_an_xa_commit_says_whether_tables_may_be_read_again_for_it(
    gtid: str, *, may_repair: bool, expected: bool
) -> None:
    """Only if that is asked for, and a read can tell by a GTID that it contains the COMMIT."""
    log = Log()
    log.format()
    log.gtid(6)
    log.query("XA COMMIT X'61',X'',1")

    made = feed_all(decoder(start=Position("binlog.000001", 4, gtid=gtid), repair_statements=may_repair), log)

    assert made[-1].xa == Xa("X'61',X'',1", XaStep.COMMIT, may_repair=expected)


def test_a_statement_that_changes_rows_of_a_mapped_table_stops() -> None:
    """binlog_format other than ROW loses changes of mapped tables, so it stops with advice; others pass."""
    log = Log()
    log.format()
    log.gtid(1)
    log.query("BEGIN")
    log.query("INSERT INTO log VALUES ('things')")
    position = log.offset
    log.query("UPDATE `things` SET note = 'x'")

    with pytest.raises(
        UnsupportedEventError, match=rf"connection 7 .* at binlog.000001:{position}; a session chose that"
    ):
        feed_all(decoder(), log)


@pytest.mark.parametrize("kind", [EventType.INCIDENT, EventType.LOAD])
def test_events_that_cannot_be_passed_over_stop(kind: EventType) -> None:
    """A gap in the log, pieces of rows, and events of ancient servers stop the reader."""
    log = Log()
    log.format()
    log.put(kind, bytes(20))

    with pytest.raises(UnsupportedEventError, match=r"at binlog\.000001"):
        feed_all(decoder(), log)


def test_a_transaction_cut_off_by_a_crash_is_dropped() -> None:
    """What the server did not finish before it died, it rolled back: the next file's head ends it."""
    log = Log()
    log.format()
    one_insert(log, 1)
    log.events.pop()
    log.format()
    one_insert(log, 2)

    assert [c.after for t in feed_all(decoder(), log) for c in t.changes] == [(2, "new")]
