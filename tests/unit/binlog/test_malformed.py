"""Whatever bytes come, the reader reads on or ends with an error of ours that says where; no hang, no crash."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.binlog.decoder import LogDecoder
from cdc.binlog.events import EventType
from cdc.binlog.values.json_binary import json_text
from cdc.errors import LogFormatError, SourceDisconnectedError, SourceStoppedError
from cdc.model import Position, TableSpec
from tests.unit.binlog.build import TWO_COLUMNS, Log, packet, thing

THINGS = TableSpec("things", ("id",), ("id", "note"))


def _decoder() -> LogDecoder:
    return LogDecoder([THINGS], database="shop", schemas=None, start=Position("binlog.000001", 4))


def _log() -> Log:
    log = Log(checksum=False)  # else every change would end at the checksum
    log.format()
    log.gtid(1)
    log.query("BEGIN")
    log.table_map(9, TWO_COLUMNS)
    log.rows(EventType.WRITE_ROWS, 9, b"\x02\x03" + thing(1, "one") + thing(2, None))
    log.rows(EventType.UPDATE_ROWS, 9, b"\x02\x03\x03" + thing(1, "one") + thing(1, "two"))
    log.xid()
    log.put(EventType.HEARTBEAT_V2, b"\x01\x05hello\x02\x01\x09\x00")
    log.put(EventType.PREVIOUS_GTIDS, bytes(8))
    log.put(EventType.MARIADB_GTID_LIST, bytes(4))
    log.rotate("binlog.000002")
    return log


_DATA = _log().data


def _says_where(error: SourceStoppedError) -> None:
    assert ":" in error.position


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_damaged_file_ends_with_a_typed_error_and_its_position(data: st.DataObject) -> None:
    """Bytes changed, cut out or put in: the reader reads on, or says where it stopped."""
    raw = bytearray(_DATA)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        what = data.draw(st.integers(0, 3))
        if what == 0:
            del raw[at : at + data.draw(st.integers(1, 40))]
        elif what == 1:
            raw[at:at] = data.draw(st.binary(max_size=20))
        else:
            raw[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFB, 0xFC, 0xFE, 0xFF, raw[at] ^ 1]))
        if not raw:
            raw = bytearray(b"\0")
    reader = _decoder()
    held = bytes(raw)
    try:
        while True:
            _, used = reader.feed_file(memoryview(held), len(held))
            held = held[used:]
            if not used:
                break
    except SourceStoppedError as error:
        _says_where(error)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 255))
def test_any_body_of_any_type_is_read_or_refused(body: bytes, kind: int) -> None:
    """Each handler meets arbitrary bytes, inside a transaction with a mapped table."""
    log = Log(checksum=False)
    log.format()
    log.gtid(1)
    log.query("BEGIN")
    log.table_map(9, TWO_COLUMNS)
    log.put(kind, body)
    log.put(kind, (9).to_bytes(6, "little") + b"\x01\x00" + body)
    reader = _decoder()
    for event in log.events:
        try:
            reader.feed(memoryview(event))
        except SourceStoppedError as error:
            _says_where(error)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_packets_are_cut_or_refused(raw: bytes) -> None:
    """Arbitrary bytes from the network: whole packets, waiting for more, or an error of ours."""
    with contextlib.suppress(SourceStoppedError, SourceDisconnectedError):
        _decoder().feed_packets(memoryview(raw), len(raw))


def test_an_event_does_not_borrow_from_the_next_one() -> None:
    """A table map or rows event that is cut short is refused in a file, too, where other bytes follow it."""
    for kind, body in ((EventType.TABLE_MAP, bytes(8) + b"\x28shop"), (EventType.WRITE_ROWS, b"\x09")):
        log = Log(checksum=False)
        log.format()
        log.gtid(1)
        log.query("BEGIN")
        log.put(kind, body)
        log.put(EventType.ROWS_QUERY, bytes(200))
        reader = _decoder()
        reader.feed_file(memoryview(log.data), len(log.data))
        with pytest.raises(LogFormatError, match="cut short"):
            reader.feed_file(memoryview(b"".join(log.events[3:])), len(b"".join(log.events[3:])))


def test_an_impossible_length_is_an_error_and_not_a_wait() -> None:
    """An event that says it has 5 bytes, or 3 GB, does not make the reader wait for more."""
    log = _log()
    for length in (5, 3 << 30):
        raw = bytearray(log.events[0])
        raw[9:13] = length.to_bytes(4, "little")
        with pytest.raises(LogFormatError, match=f"an event of {length} bytes at binlog.000001:4"):
            _decoder().feed_file(memoryview(raw), len(raw))


def test_a_packet_that_is_no_event_is_an_error() -> None:
    """A packet whose first byte is none of the three, or whose length and event disagree."""
    for payload in (b"\x07abc", b"\0" + _log().events[0][:-1], b""):
        with pytest.raises(LogFormatError):
            _decoder().feed_packets(memoryview(packet(payload)), len(packet(payload)))


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=120))
def test_any_bytes_are_json_or_a_value_error(raw: bytes) -> None:
    """Binary JSON from any bytes: text of a bounded length, or a ValueError."""
    with contextlib.suppress(ValueError):
        assert len(json_text(raw)) <= 100 * (len(raw) + 10)


def test_json_that_unfolds_itself_is_refused() -> None:
    """Arrays whose elements all point at the next array double with each level: refused early."""
    document = b"\x02"
    for _ in range(60):
        document += (2).to_bytes(2, "little") + (10).to_bytes(2, "little") + (b"\x02\x0a\x00") * 2
    with pytest.raises(ValueError, match="JSON"):
        json_text(document + bytes(10))
