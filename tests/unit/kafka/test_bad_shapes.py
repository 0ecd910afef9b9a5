"""Whatever a record holds, it is read or it is a bad record: nothing from a topic ends a member with a traceback."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.kafka.column_types import known_types
from cdc.kafka.debezium import DebeziumReader
from cdc.kafka.debezium_values import ValueModes, reader_of
from cdc.kafka.foreign import BadRecordError, Read, Tables, understood
from cdc.kafka.maxwell import MaxwellReader
from cdc.kafka.record import BadRecordError as BadRelayRecordError
from cdc.kafka.record import KafkaRecord, Origin, RowChange, decode, encode
from cdc.members.handover import ObjectState
from cdc.members.object_states import pack_state, unpack_state
from cdc.members.records import Leader, leader_value, object_key, read_key, read_leader
from cdc.messages.refs import Link
from cdc.model import Kind, ObjectRef, Position, Value
from tests.kit.example_count import example_count
from tests.kit.foreign import Connector
from tests.unit.kafka.test_foreign_shop import by_debezium, by_maxwell, specs

SCALARS: list[Any] = [
    None, True, 0, -1, 1 << 63, (1 << 64) - 1, 0.5, 1e308, "", "x", "é", "AAAA", "1e999999999", "9" * 400, [], {}, [[]],
    {"value": "AA==", "scale": 1 << 40}, {"schema": 1, "payload": 2}, [{"field": 1}],
]  # fmt: skip


def paths(tree: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a document."""
    yield here
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, below in pairs:
        yield from paths(below, (*here, name))


def changed(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The document with another value there."""
    if not path:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = changed(tree[path[0]], path[1:], value)
    return copy


def mutated(text: bytes, rng: random.Random) -> bytes:
    """The document with something else in one to three positions."""
    tree = orjson.loads(text)
    for _ in range(rng.randint(1, 3)):
        tree = changed(tree, rng.choice([*paths(tree)]), rng.choice(SCALARS))
    return orjson.dumps(tree)


def readers() -> dict[str, tuple[Read, list[tuple[str, bytes | None, bytes | None]]]]:
    tables = Tables.of([*specs().values()], "magento", "")
    types = known_types({})
    debezium = understood(DebeziumReader(tables, types, ValueModes()).read)
    return {
        "envelopes": (debezium, by_debezium(Connector(schemas=False))),
        "schemas": (debezium, by_debezium(Connector())),
        "flattened": (debezium, by_debezium(Connector(schemas=False, flatten=("op", "source.file", "source.pos")))),
        "maxwell": (understood(MaxwellReader(tables, types).read), by_maxwell(positions=True)),
    }


@pytest.mark.parametrize("tool", ["envelopes", "schemas", "flattened", "maxwell"])
def test_any_shape_is_read_or_refused(tool: str) -> None:
    """Real messages with something else anywhere: changes that fit their table, or BadRecordError."""
    rng = random.Random(7)
    read, messages = readers()[tool]
    refused: list[str] = []
    for _ in range(example_count(1500)):
        topic, key, value = rng.choice(messages)
        try:
            found = read(topic, key and mutated(key, rng), value and mutated(value, rng), ())
        except BadRecordError as error:
            refused.append(str(error))
            continue
        for change in (one.change for one in found):
            for cells in (change.before, change.after):
                assert cells is None or len(cells) == len(specs()[change.table].columns)
    assert len(refused) > 100
    assert max(map(len, refused)) < 400


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("decimal(20,4)", "1e999999999"),
        ("decimal(20,4)", "NaN"),
        ("decimal(20,4)", {"scale": -(10**9), "value": "AQ=="}),
        ("datetime", 1 << 62),
        ("date", 1 << 62),
        ("bigint unsigned", "9" * 5000),
    ],
)
def test_values_that_would_take_all_memory_are_refused(kind: str, value: Any) -> None:
    """A decimal of a thousand million digits is four characters of JSON."""
    types = known_types({"t.c": kind})["t"]["c"]
    with pytest.raises((ValueError, ArithmeticError)):
        reader_of(None, types, ValueModes("string"))(value)


def test_half_a_character_is_no_text() -> None:
    """JSON allows lone surrogates, the state does not."""
    tables = Tables.of([*specs().values()], "magento", "")
    read = understood(MaxwellReader(tables, {}).read)
    row = '{"type":"insert","database":"magento","table":"store","data":{"store_id":1,"code":"\\ud800"}}'
    with pytest.raises(BadRecordError):
        read("m", None, row.encode(), ())


@pytest.mark.parametrize("identity", [1 << 63, (1 << 64) - 1])
def test_keys_beyond_64_bits_are_refused(identity: int) -> None:
    """The state cannot look such a row up."""
    tables = Tables.of([*specs().values()], "magento", "")
    value = b'{"entity_id":%d}' % identity
    with pytest.raises(BadRecordError):
        understood(DebeziumReader(tables, {}, ValueModes()).read)("shop.sales_order", b"{}", value, ())


def state() -> ObjectState:
    return ObjectState(
        ObjectRef(Kind.ORDER, 7), b"\x01" * 16, 1000, False, (Link(ObjectRef(Kind.CUSTOMER, 3), "901"),), b"\x02" * 16,
        ("name",), (), ("UPSERT", 1, 2, "why", "detail", "binlog.000001:4"), (1, 2, "why", "detail"),
        "binlog.000001:4@s", b"", 0,
    )  # fmt: skip


def test_any_receipt_is_taken_whole_or_refused() -> None:
    """A receipt's fields anywhere else than they belong: BadRecordError, and never a number that SQLite refuses."""
    rng = random.Random(8)
    whole = pack_state(state())
    assert unpack_state(state().ref, whole) == state()
    refused = 0
    for _ in range(example_count(1500)):
        try:
            found = unpack_state(state().ref, mutated(whole, rng))
        except BadRecordError:
            refused += 1
            continue
        numbers = [found.accepted_at, found.email_at, *(v for v in (*(found.letter or ()), *(found.waiting or ())))]
        assert all(isinstance(v, str) or 0 <= v < 1 << 63 for v in numbers)
    assert refused > 500
    for value in (None, b"", b"[]", b"null"):
        with pytest.raises(BadRecordError):
            unpack_state(state().ref, value)


@given(st.one_of(st.none(), st.binary(max_size=40), st.from_regex(rb"(order|guest|x)/[0-9a-f]{0,45}", fullmatch=True)))
@pytest.mark.parametrize("read", [read_key, read_leader])
def test_any_key_of_a_receipt_is_read_or_refused(read: Callable[[bytes | None], Any], key: bytes | None) -> None:
    """Keys and leaders: what is not theirs is BadRecordError."""
    try:
        found = read(key)
    except BadRecordError:
        return
    assert read_key(object_key(found)) == found


def test_a_leader_is_read_back() -> None:
    """What a leader writes of itself."""
    leader = Leader("m", 3, "v1")
    assert read_leader(leader_value(leader)) == leader
    with pytest.raises(BadRecordError):
        read_leader(b'{"member":"m","generation":%d,"mapping":"v"}' % (1 << 63))


def test_any_record_of_the_relay_is_read_or_refused() -> None:
    """The relay's own records with something else anywhere."""
    rng = random.Random(9)
    row: dict[str, Value] = {"entity_id": 1, "status": "new", "total": "1.0000", "raw": b"\x00"}
    origin = Origin(Position("binlog.000001", 4, "", "s"), 5, 6)
    whole = encode(RowChange("sales_order", (1,), None, row, origin, "tx", 1, True))
    assert whole.value is not None
    for _ in range(example_count(1500)):
        broken = KafkaRecord(whole.key, mutated(whole.value, rng), whole.headers)
        try:
            decode(broken)
        except BadRelayRecordError:
            continue
