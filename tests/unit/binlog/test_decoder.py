"""Transactions, positions and marks: what the decoder makes of a sequence of events."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from cdc.binlog.decoder import LogDecoder
from cdc.binlog.events import ACTIONS, EventType
from cdc.binlog.gtid import GtidSet
from cdc.errors import LogFormatError, PositionLostError, SourceDisconnectedError, UnsupportedEventError
from cdc.model import Change, Op, Position, TableSpec, Transaction, Xa, XaStep
from tests.unit.binlog.build import (
    COMMIT_S,
    MARIADB,
    SOURCE,
    TWO_COLUMNS,
    Log,
    packet,
    thing,
)

THINGS = TableSpec("things", ("id",), ("id", "note"))
ROW_HEAD = b"\x02\x03"


def decoder(**options: object) -> LogDecoder:
    settings: dict[str, object] = {"database": "shop", "schemas": None, "start": Position("binlog.000001", 4)}
    return LogDecoder([THINGS], **(settings | options))  # type: ignore[arg-type]


def one_insert(log: Log, number: int = 1, *, table_id: int = 9) -> None:
    """A whole MySQL transaction that inserts one thing."""
    log.gtid(number)
    log.query("BEGIN")
    log.table_map(table_id, TWO_COLUMNS)
    log.rows(EventType.WRITE_ROWS, table_id, ROW_HEAD + thing(number, "new"))
    log.xid()


def feed_all(reader: LogDecoder, log: Log) -> list[Transaction]:
    """One event at a time, as a stream: transactions and marks."""
    return [made for event in log.events if (made := reader.feed(memoryview(event))) is not None]


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
