"""The relay's records as transactions: bounded in memory, and nothing that a record holds ends the member badly."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from aiokafka.structs import ConsumerRecord

from cdc.errors import SetupError
from cdc.kafka.record import SCHEMA_KEY, KafkaRecord, Mark, Origin, RowChange, TableRecord, encode
from cdc.model import Position, Row, TableSpec, Transaction
from cdc.source.relayed import RelayDecoder
from cdc.source.spill import SpillFile, room_in
from tests.kit.example_count import example_count
from tests.unit.kafka.test_bad_shapes import mutated

ORDERS = TableSpec("sales_order", ("entity_id",), ("entity_id", "status"))
PLACE = Position("binlog.000001", 400, "", "server-1")
START = Position("shop.changes.0", 0, "", "topic-1")


def a_record(record: KafkaRecord, offset: int) -> ConsumerRecord:
    """As a consumer gives it."""
    return ConsumerRecord(
        topic="shop.changes", partition=0, offset=offset, timestamp=0, timestamp_type=0, key=record.key,
        value=record.value, checksum=None, serialized_key_size=0, serialized_value_size=0, headers=record.headers,
    )  # fmt: skip


def row(number: int, *, is_last: bool, key: tuple[int, ...] | None = None) -> KafkaRecord:
    """One order of a transaction."""
    origin = Origin(PLACE, 7, 1000)
    after: Row = {"entity_id": number, "status": "x" * 1000}
    return encode(RowChange("sales_order", key or (number,), None, after, origin, "tx", number, is_last))


def taken(decoder: RelayDecoder, records: Iterable[KafkaRecord]) -> list[Transaction]:
    """The transactions that these records complete."""
    found = []
    for offset, record in enumerate(records):
        found += [*decoder.take(a_record(record, offset))]
    return found


def test_a_transaction_too_large_for_memory_goes_into_a_file(tmp_path: Path) -> None:
    """The relay splits a transaction into many of Kafka's; a member that gathers it whole stays within its bound."""
    room = room_in(tmp_path, 1)
    decoder = RelayDecoder({"sales_order": ORDERS}, START, stops=True, is_whole=True, room=room)

    [made] = taken(decoder, (row(number, is_last=number == 5000) for number in range(1, 5001)))

    assert isinstance(made.changes, SpillFile)
    assert [change.after[0] for change in made.changes if change.after] == [*range(1, 5001)]
    assert made.size < room.most_bytes + room.pack_bytes
    [small] = taken(decoder, [row(1, is_last=True)])
    assert not isinstance(small.changes, SpillFile)


@pytest.mark.parametrize("key", [(1, 2), (1 << 63,)])
def test_a_key_that_is_not_the_tables_is_a_bad_record(key: tuple[int, ...]) -> None:
    """Another width, or a number that the state cannot look up: set aside, or refused with a sentence."""
    record = row(1, is_last=True, key=key)
    tolerant = RelayDecoder({"sales_order": ORDERS}, START, stops=False, is_whole=True)
    strict = RelayDecoder({"sales_order": ORDERS}, START, stops=True, is_whole=True)

    [made] = taken(tolerant, [record])

    assert made.feed is not None
    assert [bad.offset for bad in made.feed.bad] == [0]
    with pytest.raises(SetupError, match=r"record 0 of shop\.changes/0 cannot be read"):
        taken(strict, [record])


def test_any_record_makes_transactions_or_is_set_aside() -> None:
    """Rows, tables and marks with something else anywhere, keys and headers too: never anything but a bad record."""
    rng = random.Random(11)
    table = TableRecord(
        "sales_order", ("entity_id",), ("entity_id", "status"), "m2_sales_order", "ALTER TABLE", "", True, ("status",),
        {"charset": "utf8mb4", "columns": []}, PLACE, Origin(PLACE, 7, 1000),
    )  # fmt: skip
    whole = [row(1, is_last=True), encode(table), encode(Mark(3, "run", PLACE, 7))]
    keys = [b"", b"/", b"sales_order/~%ff", b"sales_order/nan", b"sales_order/" + b"9" * 5000, SCHEMA_KEY, b"\xff/1"]
    decoder = RelayDecoder({"sales_order": ORDERS}, START, stops=False, is_whole=True)
    set_aside = 0
    for offset in range(example_count(2000)):
        held = rng.choice(whole)
        value = None if not rng.randrange(20) else mutated(held.value or b"{}", rng)
        key = rng.choice(keys) if not rng.randrange(5) else held.key
        headers = tuple(h if rng.randrange(4) else (h[0], rng.choice([b"", b"\xff", b"9" * 400])) for h in held.headers)
        record = KafkaRecord(key, value, headers[rng.randrange(2) :])
        for made in decoder.take(a_record(record, offset)):
            assert made.feed is not None
            set_aside += len(made.feed.bad)
            assert 0 <= made.commit_ms < 1 << 63
            for schema in made.schemas:
                assert isinstance(schema.change + schema.other, str)
                assert all(isinstance(column, str) for column in schema.lost)
    assert set_aside > 500
