"""What a changes topic holds, as a reader of committed records sees it, and what it folds to."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from cdc.kafka.record import Item, KafkaRecord, Mark, RowChange, TableRecord, decode
from cdc.model import Value
from tests.kit.broker import Broker

Rows = Mapping[str, Mapping[tuple[Value, ...], Mapping[str, Value]]]


@dataclass(frozen=True)
class Read:
    """A topic as it was read: its items in order."""

    items: Sequence[Item]

    @property
    def changes(self) -> list[RowChange]:
        return [item for item in self.items if isinstance(item, RowChange)]

    @property
    def marks(self) -> list[Mark]:
        return [item for item in self.items if isinstance(item, Mark)]

    @property
    def tables(self) -> list[TableRecord]:
        return [item for item in self.items if isinstance(item, TableRecord)]

    def rows(self) -> Rows:
        """The last row of each key, by table."""
        found: dict[str, dict[tuple[Value, ...], Mapping[str, Value]]] = {}
        for change in self.changes:
            rows = found.setdefault(change.table, {})
            if change.after is None:
                rows.pop(change.key, None)
            else:
                rows[change.key] = change.after
        return {table: rows for table, rows in found.items() if rows}


async def read(broker: Broker, topic: str, isolation: str = "read_committed") -> Read:
    """All there is now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, isolation_level=isolation, enable_auto_commit=False)
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        items = []
        async with asyncio.timeout(60):
            while await consumer.position(partition) < end:
                for record in (await consumer.getmany(partition, timeout_ms=200)).get(partition, ()):
                    item = decode(KafkaRecord(record.key, record.value, tuple(record.headers), record.timestamp))
                    if item is not None:
                        items.append(item)
        return Read(items)
    finally:
        await consumer.stop()


def read_now(broker: Broker, topic: str) -> Read:
    """``read`` for tests without a loop."""
    return asyncio.run(read(broker, topic))


@contextmanager
def one_commit(state: Path) -> Iterator[sqlite3.Connection]:
    """A state folder's database as one commit left it, whoever has it open: all that is read belongs together."""
    db = sqlite3.connect(f"file:{state / 'state.sqlite3'}?mode=ro", uri=True, isolation_level=None)
    try:
        db.row_factory = sqlite3.Row
        db.execute("BEGIN")
        yield db
    finally:
        db.close()


def replica_rows(state: Path) -> Rows:
    """The rows of a state folder's replica."""
    with one_commit(state) as db:
        return _rows(db)


def settled_rows(state: Path) -> Rows:
    """The same, once nothing waits to be read from the server; {} before.

    Not asked of ``/status``, which shows a look into the state that may be a second old, so older than these rows.
    """
    with one_commit(state) as db:
        for table in ("stale_table", "unread_row"):
            if db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone():
                return {}
        return _rows(db)


def _rows(db: sqlite3.Connection) -> Rows:
    found: dict[str, dict[tuple[Value, ...], Mapping[str, Value]]] = {}
    keys = {row["tbl"]: row["signature"].split("|")[0].split(",") for row in db.execute("SELECT * FROM table_load")}
    for table, key in keys.items():
        rows: dict[tuple[Value, ...], Mapping[str, Value]] = {}
        for row in db.execute(f'SELECT * FROM "r_{table}"'):
            plain: dict[str, Any] = dict(row)
            del plain["lsn"]
            rows[tuple(plain[column] for column in key)] = plain
        if rows:
            found[table] = rows
    return found


def faults_of_order(changes: Iterable[RowChange]) -> list[str]:
    """Where a topic breaks its promise: each change once, effective, in the order of commits."""
    faults = []
    held: dict[tuple[str, tuple[Value, ...]], Mapping[str, Value]] = {}
    tx, row, was_last, lsn = "", 0, True, -1
    seen: set[str] = set()
    for change in changes:
        where = f"{change.tx} row {change.row} ({change.table} {change.key})"
        if change.tx != tx:
            if not was_last:
                faults.append(f"{where} comes before the end of {tx}")
            if change.tx in seen:
                faults.append(f"{where}: the transaction comes again")
            seen.add(change.tx)
            tx, row = change.tx, 0
            if not change.origin.is_read:
                if change.origin.lsn <= lsn:
                    faults.append(f"{where} is older than what came before")
                lsn = change.origin.lsn
        if change.row != row + 1:
            faults.append(f"{where} follows row {row}")
        row, was_last = change.row, change.is_last
        place = (change.table, change.key)
        if change.after is not None and change.before != held.get(place):
            faults.append(f"{where}: before is not what the topic held")
        if change.after == held.get(place):
            faults.append(f"{where} changes nothing")
        if change.after is None:
            held.pop(place, None)
        else:
            held[place] = change.after
    if not was_last:
        faults.append(f"{tx} has no end")
    return faults
