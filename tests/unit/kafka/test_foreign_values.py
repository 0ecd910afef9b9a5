"""Values of other tools' messages are what SELECT shows, in every mode in which the tool can be set up."""

from __future__ import annotations

from itertools import product
from typing import Any

import orjson
import pytest

from cdc.kafka.column_types import known_types, parse_type
from cdc.kafka.debezium import DebeziumReader
from cdc.kafka.debezium_values import ValueModes
from cdc.kafka.foreign import BadRecordError, Tables
from cdc.kafka.maxwell import MaxwellReader
from cdc.model import ABSENT, Op, TableSpec
from tests.kit.foreign import Connector, Debezium, maxwell
from tests.kit.schema import tables

GRID: dict[str, tuple[str, tuple[Any, ...]]] = {
    "big": ("bigint unsigned", (0, 1, 2**63, 2**64 - 1)),
    "small": ("int", (0, -1, 2**31 - 1)),
    "money": ("decimal(20,4)", ("0.0000", "59.9000", "-59.9000", "9999999999999999.9999", "-0.0001")),
    "whole": ("decimal(10,0)", ("0", "12", "-7")),
    "ratio": ("double", (0.5, -1e20, 3.0)),
    "day": ("date", ("2026-01-31", "1000-01-01", "9999-12-31")),
    "moment": ("datetime", ("2026-01-31 23:59:58", "1000-01-01 00:00:00", "9999-12-31 23:59:59")),
    "moment3": ("datetime(3)", ("2026-01-31 23:59:58.120", "1969-12-31 23:59:59.999")),
    "moment6": ("datetime(6)", ("2026-01-31 23:59:58.123456", "1969-12-31 23:59:59.000001")),
    "lsn": ("timestamp", ("2026-01-31 23:59:58", "1970-01-01 00:00:01")),
    "stamp6": ("timestamp(6)", ("2026-01-31 23:59:58.123456", "2026-01-31 23:59:58.000000")),
    "clock": ("time", ("12:34:56", "-00:00:01", "838:59:59", "-838:59:59")),
    "clock3": ("time(3)", ("12:34:56.500", "-00:00:00.500")),
    "year": ("year", (2026, 1901)),
    "flag": ("bit(1)", (0, 1)),
    "bits": ("bit(9)", (0, 257)),
    "raw": ("varbinary(300)", (b"", b"\x00\xff", b"abcd")),
    "text": ("varchar(40)", ("", "é€😀", "MTIz", "2026-01-31T10:00:00Z")),
    "label": ("enum('a','b')", ("a", "")),
    "labels": ("set('x','y')", ("", "x", "x,y")),
}
SPEC = TableSpec("grid", ("id",), ("id", *GRID), optional=frozenset({"big"}))
TYPES = {"id": "int", **{name: kind for name, (kind, _) in GRID.items()}}
TABLES = Tables.of([SPEC], "magento", "")
KNOWN = {"grid": {name: parse_type(kind) for name, kind in TYPES.items()}}
POSITION = ("binlog.000007", 1234)

CONNECTORS = [
    Connector(schemas, decimal, time, bigint, binary)
    for schemas, decimal, time, bigint, binary in product(
        (True, False), ("precise", "string"), ("adaptive_time_microseconds", "connect", "isostring"),
        ("long", "precise"), ("bytes", "hex"),
    )
]  # fmt: skip


def rows() -> list[dict[str, Any]]:
    longest = max(len(values) for _, values in GRID.values())
    full = [
        {"id": number, **{name: values[number % len(values)] for name, (_, values) in GRID.items()}}
        for number in range(longest)
    ]
    return [*full, {"id": 99, **dict.fromkeys(GRID)}]


def modes(connector: Connector) -> ValueModes:
    return ValueModes(connector.decimal, connector.time, connector.bigint, connector.binary)  # type: ignore[arg-type]


def shown(connector: Connector, name: str, value: Any) -> Any:
    """What can be known: milliseconds are all that ``connect`` keeps."""
    if connector.time == "connect" and name == "moment6" and value is not None:
        return value[:-3] + "000"
    return value


@pytest.mark.parametrize("connector", CONNECTORS, ids=str)
def test_debezium_values_are_what_select_shows(connector: Connector) -> None:
    """Every column type reads as SELECT shows it, with and without schema, in each of the connector's modes."""
    reader = DebeziumReader(TABLES, KNOWN, modes(connector))
    writer = Debezium(connector, types={"grid": TYPES})
    for row in rows():
        [found] = reader.read("shop.magento.grid", None, writer.value("grid", "c", None, row, POSITION))

        assert found.change.after == tuple(shown(connector, name, row[name]) for name in SPEC.columns)
        assert (found.position.file, found.position.offset) == POSITION if found.position else False


def test_a_schema_is_enough_without_types() -> None:
    """With schemas nobody has to name types; only the digits of a fraction are as few as the value needs."""
    reader = DebeziumReader(TABLES, {}, ValueModes())
    writer = Debezium(Connector(), types={"grid": TYPES})
    row = rows()[0] | {"whole": None, "big": 5, "stamp6": "2026-01-31 23:59:58.123456"}

    [found] = reader.read("shop.magento.grid", None, writer.value("grid", "c", None, row, POSITION))

    expected = row | {"moment3": "2026-01-31 23:59:58.12", "clock3": "12:34:56.5"}
    assert found.change.after == tuple(expected[name] for name in SPEC.columns)


def test_a_double_for_a_decimal_is_told() -> None:
    """decimal.handling.mode=double gives the column's digits, and the reader says that some may be lost."""
    told: list[str] = []
    for schemas in (True, False):
        connector = Connector(schemas=schemas, decimal="double")
        reader = DebeziumReader(TABLES, KNOWN, ValueModes("double", on_double=lambda: told.append("double")))
        row = dict.fromkeys(TYPES) | {"id": 1, "money": "59.9000"}
        value = Debezium(connector, types={"grid": TYPES}).value("grid", "c", None, row, POSITION)
        [found] = reader.read("shop.magento.grid", None, value)

        assert found.change.after is not None
        assert found.change.after[SPEC.columns.index("money")] == "59.9000"
    assert told == ["double", "double"]


def test_an_unavailable_value_is_no_value() -> None:
    """The placeholder of a value that the connector did not have leaves the column as it is held."""
    reader = DebeziumReader(TABLES, KNOWN, ValueModes())
    row = dict.fromkeys(TYPES) | {"id": 1, "text": "__debezium_unavailable_value"}
    value = Debezium(Connector(), types={"grid": TYPES}).value("grid", "u", None, row, POSITION)

    [found] = reader.read("shop.magento.grid", None, value)

    assert found.change.after is not None
    assert found.change.after[SPEC.columns.index("text")] is ABSENT


def test_maxwell_values_are_what_select_shows() -> None:
    """Maxwell's JSON reads as SELECT shows it: all digits of a DECIMAL, a SET's labels, bytes."""
    reader = MaxwellReader(TABLES, KNOWN)
    for row in rows():
        value = maxwell("grid", "insert", None, row, POSITION, 1_770_000_000, TYPES)
        [found] = reader.read("maxwell", None, value)

        assert found.change.after == tuple(row[name] for name in SPEC.columns)
        assert found.commit_ms == 1_770_000_000_000


def test_shapes_of_debezium() -> None:
    """Snapshot reads, truncations, halves of a key's change, tombstones and deletions without image."""
    writer = Debezium(Connector(schemas=False), types={"grid": TYPES})
    reader = DebeziumReader(TABLES, KNOWN, ValueModes())
    row = rows()[0]
    key = writer.key("grid", ("id",), row)

    [read] = reader.read("t.magento.grid", key, writer.value("grid", "r", None, row, POSITION))
    [gone] = reader.read("t.magento.grid", key, writer.value("grid", "d", None, None, POSITION))
    [moved] = reader.read(
        "t.magento.grid", key, writer.value("grid", "d", row, None, POSITION), [("__debezium.newkey", b"{}")]
    )
    [tombstone] = reader.read("t.magento.grid", key, None)
    [emptied] = reader.read("t.magento.grid", None, writer.value("grid", "t", None, None, POSITION))

    assert (read.change.op, gone.change.op, emptied.change.op) == (Op.INSERT, Op.DELETE, Op.TRUNCATE)
    assert gone.change.before is not None
    assert gone.change.before[0] == row["id"]
    assert (gone.change.cascades, moved.change.cascades) == (True, False)
    assert (tombstone.change.op, tombstone.position) == (Op.DELETE, None)
    assert reader.read("t", None, b'{"ts_ms": 1}') == []
    assert reader.read("t", None, b'{"source": {}, "databaseName": "magento", "ddl": "CREATE TABLE x"}') == []


@pytest.mark.parametrize("schemas", [True, False])
@pytest.mark.parametrize("added", [(), ("op", "table", "source.db", "source.file", "source.pos", "source.ts_ms")])
def test_flattened_messages(added: tuple[str, ...], schemas: bool) -> None:
    """ExtractNewRecordState's rows say what became of them by __op or __deleted, and where, if asked to."""
    writer = Debezium(Connector(schemas=schemas, flatten=added), types={"grid": TYPES})
    reader = DebeziumReader(TABLES, KNOWN, ValueModes())
    row = rows()[0]

    [made] = reader.read("shop.magento.grid", None, writer.value("grid", "c", None, row, POSITION, 5))
    [gone] = reader.read("shop.magento.grid", None, writer.value("grid", "d", row, None, POSITION, 5))

    assert (made.change.op, made.change.after) == (Op.INSERT, tuple(row[name] for name in SPEC.columns))
    assert gone.change.op is Op.DELETE
    assert (made.position is not None) == bool(added)
    assert made.commit_ms == (5 if added else 0)


@pytest.mark.parametrize(
    "value",
    [
        b"no json", b"[]", b'{"op": "x", "source": {}}', b'{"op": "c", "source": {"db": "magento", "table": "grid"}}',
        b'{"op": "c", "source": {"db": "magento", "table": "grid"}, "after": {"small": 1}}',
        b'{"op": "c", "source": {"db": "magento", "table": "grid"}, "after": {"id": 1, "day": "nonsense"}}',
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_without_its_values(value: bytes) -> None:
    """A malformed record is refused by a sentence that holds none of its values."""
    with pytest.raises(BadRecordError) as caught:
        DebeziumReader(TABLES, KNOWN, ValueModes()).read("shop.magento.grid", None, value)

    assert "nonsense" not in str(caught.value)


def test_maxwell_ignores_what_is_no_row() -> None:
    """Bootstrap marks, definitions and other databases say nothing; unknown types are refused."""
    reader = MaxwellReader(TABLES, KNOWN)

    assert reader.read("m", None, b'{"type": "bootstrap-start", "database": "magento", "table": "grid"}') == []
    assert reader.read("m", None, b'{"type": "insert", "database": "other", "table": "grid", "data": {"id": 1}}') == []
    with pytest.raises(BadRecordError, match="type is 'odd'"):
        reader.read("m", None, b'{"type": "odd", "database": "magento", "table": "grid"}')


def test_core_types_are_those_of_magento() -> None:
    """The shipped list of column types is what Magento's tables are made with."""
    schema = tables()
    for table, columns in known_types({}).items():
        for column, kind in columns.items():
            assert parse_type(schema[table].columns[column]) == kind, f"{table}.{column}"


@pytest.mark.parametrize("tool", ["envelopes", "flattened", "maxwell"])
def test_columns_that_rows_come_without_are_told_once_per_table(tool: str) -> None:
    """Mapped columns that a whole row lacks are named, once per table; deletions and optional columns do not count."""
    specs = [TableSpec(name, ("id",), ("id", "a", "b", "own"), optional=frozenset({"own"})) for name in ("t", "u")]
    told: list[tuple[str, list[str]]] = []
    tables = Tables.of(specs, "magento", "mg_", on_lack=lambda table, columns: told.append((table, list(columns))))

    def read(table: str, row: dict[str, Any], *, is_gone: bool = False) -> None:
        if tool == "maxwell":
            kind = "delete" if is_gone else "insert"
            message = {"type": kind, "database": "magento", "table": f"mg_{table}", "data": row}
            MaxwellReader(tables, {}).read("m", None, orjson.dumps(message))
            return
        message = {**row, "__op": "d" if is_gone else "c", "__deleted": str(is_gone).lower()}
        if tool == "envelopes":
            source = {"db": "magento", "table": f"mg_{table}"}
            rows = {"before": row, "op": "d"} if is_gone else {"after": row, "op": "c"}
            message = {**rows, "source": source}
        DebeziumReader(tables, {}, ValueModes()).read(f"shop.magento.mg_{table}", None, orjson.dumps(message))

    read("t", {"id": 1}, is_gone=True)
    read("t", {"id": 1, "a": None, "b": 2})
    assert told == []
    read("t", {"id": 1})
    read("t", {"id": 2})
    read("u", {"id": 1, "b": 2, "own": 3})

    assert told == [("t", ["a", "b"]), ("u", ["a"])]
