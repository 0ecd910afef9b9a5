"""Rows that are read ahead for many objects are the rows that each look-up alone would find."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.model import Kind, ObjectRef, Row, RowsUsed, TableSpec, Value
from cdc.protocols import RowReader
from cdc.replica.rows import ReplicaRows
from cdc.replica.rows_ahead import RowsAhead
from cdc.state.store import Store
from tests.kit.example_count import example_count

ORDERS: Final = TableSpec("orders", ("id",), ("id", "buyer"), indexes=(("buyer",),))
LINES: Final = TableSpec("lines", ("id",), ("id", "order_id", "product"), indexes=(("order_id",), ("product",)))
LINKS: Final = TableSpec("links", ("a", "product"), ("a", "product", "name"), indexes=(("product",),))
CODES: Final = TableSpec("codes", ("code",), ("code", "buyer"), indexes=(("buyer",),), integer_key=False)
SPECS: Final = (ORDERS, LINES, LINKS, CODES)
USED: Final = {
    Kind.ORDER: (RowsUsed("orders", "id"), RowsUsed("lines", "order_id"), RowsUsed("codes", "buyer")),
    Kind.ITEM: (RowsUsed("lines", "id"), RowsUsed("orders", "id", named_in=("lines", "order_id"))),
    Kind.PRODUCT: (RowsUsed("links", "product"), RowsUsed("lines", "product")),
    Kind.GUEST: (RowsUsed("orders", "buyer"),),
}

_IDS: Final = st.integers(0, 5)
_CELLS: Final[st.SearchStrategy[Value]] = st.one_of(
    st.none(), _IDS, st.sampled_from(["1", "2", "ab12", "", "a b"]), st.just(1.0), st.just(b"1"), st.just(str(1 << 64))
)
_REFS: Final = st.one_of(
    st.builds(ObjectRef, st.sampled_from([Kind.ORDER, Kind.ITEM, Kind.PRODUCT]), _IDS),
    st.builds(ObjectRef, st.just(Kind.GUEST), st.sampled_from(["ab12", "1", "a b"])),
    st.just(ObjectRef(Kind.CUSTOMER, 1)),
)


def used(kind: Kind) -> Sequence[RowsUsed]:
    """What rendering looks up; nothing is known of customers."""
    return USED.get(kind, ())


def answers(rows: RowReader) -> list[Row | Sequence[Row] | None]:
    """The answers to every look-up that there is, also to those that nobody named. 1.0 finds what 1 finds."""
    values: list[Value] = [*range(7), 1.0, "1", "ab12", "a b"]
    found: list[Row | Sequence[Row] | None] = [
        rows.get(table, key) for table in ("orders", "lines", "codes") for key in values
    ]
    found += [rows.get("links", a, b) for a in range(3) for b in range(3)]
    columns = [
        ("orders", "buyer"),
        ("lines", "order_id"),
        ("lines", "product"),
        ("links", "product"),
        ("codes", "buyer"),
    ]
    found += [[*rows.find(table, column, value)] for table, column in columns for value in values]
    return found


@given(st.data(), st.lists(_REFS, max_size=8), st.booleans())
@settings(max_examples=example_count(150), deadline=None)
def test_every_look_up_finds_what_it_finds_alone(data: st.DataObject, refs: list[ObjectRef], keeps: bool) -> None:
    """Whatever is read ahead, each answer is the replica's: for rows not yet written, missing rows, and odd values."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), SPECS)
        rows = ReplicaRows(store, SPECS, keeps=keeps)
        ahead = RowsAhead(rows, used)
        with store.transaction(), rows.gathering():
            for _ in range(data.draw(st.integers(0, 25))):
                table = rows.tables[data.draw(st.sampled_from([spec.name for spec in SPECS]))]
                cells = [data.draw(_IDS if name in table.spec.key else _CELLS) for name in table.columns]
                if data.draw(st.integers(0, 9)):
                    table.put(cells, 1)
                else:
                    table.delete(table.key_of(tuple(cells)))
            with ahead.reading(refs):
                made = answers(ahead)
            assert made == answers(rows) == answers(ahead)
        store.close()


def test_rows_of_many_objects_take_one_statement_for_each_look_up(tmp_path: Path) -> None:
    """Two hundred lines and their orders are read by two statements, and looking at them takes no more."""
    store = Store(tmp_path, SPECS)
    rows = ReplicaRows(store, SPECS)
    for number in range(200):
        rows.tables["lines"].put((number, number % 50, 7), 1)
        rows.tables["orders"].put((number, "ab12"), 1)
    ahead = RowsAhead(rows, used)
    statements: list[str] = []
    store.db.set_trace_callback(statements.append)

    with ahead.reading(ObjectRef(Kind.ITEM, number) for number in range(200)):
        orders = [ahead.get("orders", (ahead.get("lines", number) or {})["order_id"]) for number in range(200)]

    assert [row["id"] for row in orders if row is not None] == [number % 50 for number in range(200)]
    assert len(statements) == 2
    store.close()


def test_nothing_is_at_hand_behind_the_block(tmp_path: Path) -> None:
    """Rows change between two slices of rendering, so what was read ahead ends with its block, also by an error."""
    store = Store(tmp_path, SPECS)
    rows = ReplicaRows(store, SPECS)
    rows.tables["orders"].put((1, "before"), 1)
    ahead = RowsAhead(rows, used)
    try:
        with ahead.reading([ObjectRef(Kind.ORDER, 1)]):
            raise LookupError
    except LookupError:
        rows.tables["orders"].put((1, "after"), 2)

    assert ahead.get("orders", 1) == {"id": 1, "buyer": "after"}
    store.close()
