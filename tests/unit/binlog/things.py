"""A decoder of one small table, and the transactions of a log that it is fed."""

from __future__ import annotations

from cdc.binlog.decoder import LogDecoder
from cdc.binlog.events import EventType
from cdc.model import Position, TableSpec, Transaction
from tests.unit.binlog.build import (
    TWO_COLUMNS,
    Log,
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
