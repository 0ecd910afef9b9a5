"""Records of the changes topic: what is encoded comes back exactly."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.kafka.record import (
    BadRecordError,
    KafkaRecord,
    Mark,
    Origin,
    RowChange,
    TableRecord,
    decode,
    encode,
)
from cdc.model import Position, Row, Value

NAMES = st.text(min_size=1, max_size=12)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)  # MySQL has neither
VALUES = st.none() | st.integers(-(1 << 63), (1 << 64) - 1) | FLOATS | st.text(max_size=20) | st.binary(max_size=20)
KEYS = st.lists(VALUES.filter(lambda value: value is not None), min_size=1, max_size=3).map(tuple)
ROWS = st.dictionaries(NAMES, VALUES, max_size=5)
POSITIONS = st.builds(Position, st.just("binlog.000123"), st.integers(0, 1 << 40), NAMES, NAMES)
ORIGINS = st.builds(Origin, POSITIONS, st.integers(0, (1 << 63) - 1), st.integers(0, 1 << 42), st.booleans())
NUMBERS = st.integers(0, (1 << 63) - 1)


def change(before: Row | None = None, after: Row | None = None, *, is_read: bool = False) -> RowChange:
    """A change of one order's row."""
    position = Position("binlog.000123", 4567, "uuid:1-9", "uuid")
    origin = Origin(position, 77, 1_700_000_000_000, is_read)
    return RowChange("sales_order", (42,), before, after, origin, "uuid:binlog.000123:4567", 3, True)


def same(one: object, other: object) -> bool:
    """Equal, and of equal types: 1, 1.0 and "1" are three values; -0.0 is not 0.0."""
    return repr(one) == repr(other)


@given(NAMES, KEYS, st.none() | ROWS, ROWS, ORIGINS, st.text(max_size=30), NUMBERS, st.booleans())
def test_a_change_comes_back_exactly(
    table: str,
    key: tuple[Value, ...],
    before: Row | None,
    after: Row,
    origin: Origin,
    tx: str,
    row: int,
    is_last: bool,
) -> None:
    """Every value MySQL can hold, in key and row, any names, any place: what is decoded is what was encoded."""
    given_one = RowChange(table.strip("#") or "t", key, before, after, origin, tx, row, is_last)

    assert same(decode(encode(given_one)), given_one)


@given(NAMES, KEYS, ORIGINS)
def test_a_deletion_is_a_tombstone(table: str, key: tuple[Value, ...], origin: Origin) -> None:
    """It has no value, and says all but the row in key and headers."""
    given_one = RowChange(table.strip("#") or "t", key, None, None, origin, "tx", 1, False)
    record = encode(given_one)

    assert record.value is None
    assert same(decode(record), given_one)


@given(st.lists(KEYS, min_size=2, max_size=6, unique_by=repr))
def test_keys_differ_as_primary_keys_do(keys: list[tuple[Value, ...]]) -> None:
    """Compaction keeps one record a key: two primary keys of a table never share one."""
    texts = {encode(RowChange("t", key, None, None, change().origin, "tx", 1, True)).key for key in keys}

    assert len(texts) == len(keys)


@given(
    st.builds(
        Mark, NUMBERS, NAMES, POSITIONS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.booleans(), st.booleans(), NUMBERS
    )
)
def test_a_position_comes_back_exactly(mark: Mark) -> None:
    """All that a relay without its disk needs to go on."""
    assert decode(encode(mark)) == mark


def test_a_table_comes_back_exactly_and_can_end() -> None:
    """What is published of a table; its tombstone says that it is published no more."""
    position = Position("binlog.000123", 4567, "uuid:1-9", "uuid")
    table = TableRecord(
        "sales_order", ("entity_id",), ("entity_id", "state"), "m2_sales_order", "RENAME TABLE", "_old", False,
        ("state",), {"charset": "utf8mb4", "columns": [{"name": "entity_id"}]}, position, Origin(position, 77,
        1_700_000),
    )  # fmt: skip
    record = encode(table)

    assert decode(record) == table
    assert decode(record._replace(value=None)) is None
    assert decode(encode(TableRecord("t", ("id",), ("id",)))) == TableRecord("t", ("id",), ("id",))


def test_the_form_is_what_the_contract_says() -> None:
    """Key, value and headers are what readers other than ours are told in cdc/kafka/record.py."""
    row: Row = {"entity_id": 42, "grand_total": "59.9000", "hash": b"\xff", "coupon_code": None}
    record = encode(change({"entity_id": 42}, row))

    assert record.key == b"sales_order/42"
    assert record.headers == (("tx", b"uuid:binlog.000123:4567"), ("row", b"3"), ("last", b"1"))
    assert record.timestamp_ms == 1_700_000_000_000
    assert orjson.loads(record.value or b"") == {
        "before": {"entity_id": 42},
        "after": {"entity_id": 42, "grand_total": "59.9000", "hash": {"base64": "/w=="}, "coupon_code": None},
        "op": "u",
        "ts_ms": 1_700_000_000_000,
        "source": {
            "connector": "magento-cdc",
            "table": "sales_order",
            "server": "uuid",
            "file": "binlog.000123",
            "pos": 4567,
            "gtid": "uuid:1-9",
            "lsn": 77,
            "row": 3,
            "ts_ms": 1_700_000_000_000,
            "snapshot": False,
        },
    }


@pytest.mark.parametrize(
    ("given_one", "letter"),
    [
        pytest.param(change(None, {"entity_id": 42}), "c", id="insert"),
        pytest.param(change({"entity_id": 42}, {"entity_id": 42}), "u", id="update"),
        pytest.param(change(None, {"entity_id": 42}, is_read=True), "r", id="read"),
        pytest.param(change({"entity_id": 42}, None), "d", id="delete"),
    ],
)
def test_the_letter_says_what_happened(given_one: RowChange, letter: str) -> None:
    """Debezium's letters."""
    assert given_one.op == letter


GOOD = encode(change(None, {"entity_id": 42}))


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(GOOD._replace(key=b"sales_order"), id="key without primary key"),
        pytest.param(GOOD._replace(key=b"sales_order/x"), id="key that is no value"),
        pytest.param(GOOD._replace(key=b"\xff/1"), id="key that is no text"),
        pytest.param(GOOD._replace(value=b"{"), id="no JSON"),
        pytest.param(GOOD._replace(value=b"[]"), id="no object"),
        pytest.param(GOOD._replace(value=b'{"op":"x"}'), id="unknown op"),
        pytest.param(GOOD._replace(value=(GOOD.value or b"").replace(b"42", b"[42]")), id="a value that is none"),
        pytest.param(GOOD._replace(headers=()), id="no headers"),
        pytest.param(GOOD._replace(value=None), id="tombstone without source"),
        pytest.param(KafkaRecord(b"#position", None), id="position deleted"),
        pytest.param(KafkaRecord(b"#position", b'{"sequence": 1}'), id="position without position"),
        pytest.param(KafkaRecord(b"#schema/t", b'{"table": "t", "key": "id", "columns": []}'), id="names as text"),
    ],
)
def test_a_strange_record_is_refused_in_one_way(record: KafkaRecord) -> None:
    """Whatever somebody else wrote into the topic, it is a BadRecordError that shows no value."""
    with pytest.raises(BadRecordError) as caught:
        decode(record)

    assert "42" not in str(caught.value)
