"""Columns in the state: as of a position, and nothing rendered while they are only assumed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cdc.model import Position, TableSchema
from cdc.replica import table_schemas
from tests.kit.toy import insert, outbox_rows, position, toy_engine, transaction


def a_schema(columns: str, *, exists: bool = True, lost: tuple[str, ...] = (), until: int = 0) -> TableSchema:
    return TableSchema("m2_orders", "orders", columns, position(until) if until else None, exists, lost)


def test_what_held_at_a_position_is_given_back(tmp_path: Path) -> None:
    """A reader that begins earlier gets the older columns."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group([replace(transaction(100), schemas=(a_schema("one"),))])
        engine.apply_group([replace(transaction(200), schemas=(a_schema("two"),))])

    found = {
        at: [one.columns for one in engine.stale_tables.schemas_at(position(at))] for at in (99, 100, 199, 200, 300)
    }
    assert found == {99: [], 100: ["one"], 199: ["one"], 200: ["two"], 300: ["two"]}


def test_nothing_is_rendered_while_columns_are_assumed(tmp_path: Path) -> None:
    """Rows may bear wrong names until the log has passed the position where the server was asked."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        told = (a_schema("one", until=300),)
        engine.apply_group([replace(transaction(100, insert("orders", 5, None, "9.00")), schemas=told)])
        assert not engine.work()
        assert outbox_rows(engine) == {}
        engine.apply_group([transaction(300)])
        while engine.work():
            pass

    assert list(outbox_rows(engine)) == ["order-5"]


def test_what_the_shop_lost_is_told_until_it_is_back(tmp_path: Path) -> None:
    """A dropped table or column of the mapping."""
    engine = toy_engine(tmp_path)
    said = []
    with engine.store.transaction():
        for offset, schema in (
            (100, a_schema("one", lost=("total",))),
            (200, a_schema("", exists=False)),
            (300, a_schema("one")),
        ):
            engine.apply_group([replace(transaction(offset), schemas=(schema,))])
            said.append(table_schemas.missing(engine.store))

    assert said == [["column orders.total is gone"], ["table orders is gone"], []]


def test_a_new_log_knows_nothing(tmp_path: Path) -> None:
    """Definitions in a gap were not read."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group([replace(transaction(100), schemas=(a_schema("one"),))])
        engine.apply_group([replace(transaction(4), is_new_log=True)])

    assert engine.stale_tables.schemas_at(position(900)) == []


def test_a_start_by_gtid_knows_nothing_of_columns(tmp_path: Path) -> None:
    """Its place is the file's head, and the server passes over what the set has, definitions too."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group([replace(transaction(100), schemas=(a_schema("one"),))])
        engine.apply_group([replace(transaction(4, number=2), schemas=(a_schema("two"),))])
        engine.moves.rewind(position(4, number=2), by_gtid=True)

    assert engine.stale_tables.schemas_at(position(4, number=2)) == []


@pytest.mark.parametrize(
    ("to", "is_new_log", "expected"),
    [
        (position(300), False, []),
        (position(200), False, ["two"]),
        (position(150), False, ["one"]),
        (position(300), True, []),
        (replace(position(300), server="other"), False, []),
    ],
    ids=["ahead", "right here", "replay", "new log", "other server"],
)
def test_columns_from_before_what_is_skipped_do_not_hold(
    tmp_path: Path, to: Position, expected: list[str], *, is_new_log: bool
) -> None:
    """A definition in what is never read would give later rows wrong names; a replay still begins with what held."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        for offset, columns in ((100, "one"), (200, "two")):
            end = replace(position(offset), server="one")
            engine.apply_group([replace(transaction(offset), end=end, schemas=(a_schema(columns),))])
        engine.moves.rewind(to, is_new_log=is_new_log)

        assert [one.columns for one in engine.stale_tables.schemas_at(to)] == expected
