"""Every event that is read is counted by its type, however it comes."""

from __future__ import annotations

from cdc.binlog.decoder import LogDecoder
from cdc.binlog.events import ACTIONS, Action, EventType
from cdc.model import Position, TableSpec
from tests.unit.binlog.build import TWO_COLUMNS, Log, lenenc, packet, thing

THINGS = TableSpec("things", ("id",), ("id", "note"))


def _decoder() -> LogDecoder:
    return LogDecoder([THINGS], database="shop", schemas=None, start=Position("binlog.000001", 4))


def _log() -> Log:
    """A transaction, a compressed one, and each type of event that says nothing to us."""
    log = Log()
    log.format()
    for number in (1, 2):
        inside = Log(checksum=False)
        inside.query("BEGIN")
        inside.table_map(9, TWO_COLUMNS)
        inside.rows(EventType.WRITE_ROWS, 9, b"\x02\x03" + thing(number, "new"))
        inside.xid()
        log.gtid(number)
        if number == 2:
            method = b"\x02\x03" + lenenc(255)
            log.put(EventType.TRANSACTION_PAYLOAD, method + b"\0" + inside.data)
        else:
            for event in inside.events:
                log.put(event[4], event[19:])
    for kind, action in ACTIONS.items():
        if action is Action.IGNORE:
            log.put(kind, b"")
    return log


def test_events_are_counted_in_a_stream_a_file_and_packets() -> None:
    """The counts are equal whichever way the events come, and hold those inside of compressed transactions."""
    log = _log()
    stream, file, network = _decoder(), _decoder(), _decoder()
    for event in log.events:
        stream.feed(memoryview(event))
    file.feed_file(memoryview(log.data), len(log.data))
    data = b"".join(packet(b"\0" + event) for event in log.events)
    network.feed_packets(memoryview(data), len(data))

    ignored = {kind.name: 1 for kind, action in ACTIONS.items() if action is Action.IGNORE}
    assert stream.counters == ignored | {
        "FORMAT_DESCRIPTION": 1, "GTID": 2, "TRANSACTION_PAYLOAD": 1, "QUERY": 2, "TABLE_MAP": 2, "WRITE_ROWS": 2,
        "XID": 2, "rows_decoded": 2, "rows_unchanged": 0, "rows_events_skipped": 0,
    }  # fmt: skip
    assert file.counters == network.counters == stream.counters
