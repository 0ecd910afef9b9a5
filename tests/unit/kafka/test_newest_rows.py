"""The replica is held against what the topics' newest records say, by a sample that uses nothing of the rows' order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.clock import SystemClock
from cdc.engine.engine import Engine
from cdc.kafka.newest_records import MOST, NewestRecords
from cdc.model import Cells, Change, Feed, NewestRow, Op, Position, ReportedPosition, Transaction
from cdc.replica.cascades import core_foreign_keys
from cdc.replica.feeds import WrongRows
from cdc.replica.load_state import Phase
from cdc.settings.config import Settings
from mappers.mapping import MagentoMapping

ORDER, ITEM = "sales_order", "sales_order_item"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A member's, filled."""
    made = Engine(tmp_path, MagentoMapping(Settings().mapping), core_foreign_keys(), SystemClock(), has_server=False)
    made.applier.is_unordered = True
    with made.store.transaction():
        made.moves.begin(Position("arrival.0", 0), Phase.COMPLETE)
    yield made
    made.close()


def row(engine: Engine, table: str, **values: object) -> Cells:
    """A row's cells, NULL where nothing is given."""
    return tuple(values.get(column) for column in engine.rows.tables[table].spec.columns)  # type: ignore[misc]


def read(engine: Engine, *told: tuple[Change, str, int]) -> dict[str, WrongRows]:
    """What is found once these records are applied. Each: its change, its partition, its position in the log."""
    newest = NewestRecords()
    group = []
    for number, (change, partition, offset) in enumerate(told, 1):
        newest.note(change, 1, partition)
        at = ReportedPosition(partition, Position("binlog.000001", offset), 1000 + offset)
        group.append(Transaction((change,), Position("arrival.0", number), 0, feed=Feed(rows_at=at)))
    group.append(Transaction((), Position("arrival.0", len(group) + 1), 0, feed=Feed(sample=newest.sample())))
    with engine.store.transaction():
        engine.apply_group(group)
    return dict(engine.feeds.wrong_rows)


def test_rows_that_were_dropped_as_older_are_found(engine: Engine) -> None:
    """A partition's newest record lies before a deletion by its position, so the member drops it: the sample tells."""
    order = row(engine, ORDER, entity_id=7, increment_id="000000007")
    deleted = Change(ORDER, Op.DELETE, order, None)
    inserted = Change(ORDER, Op.INSERT, None, order)

    assert read(engine, (deleted, "orders/0", 900)) == {}
    # No commit time after the deletion's: it counts as a repetition, which is the wrong guess that is looked for.
    assert read(engine, (inserted, "orders/0", 500)) == {ORDER: WrongRows(sampled=1, lacking=1, extra=0)}
    assert engine.rows.tables[ORDER].get((7,)) is None


def test_rows_that_should_be_gone_are_found(engine: Engine) -> None:
    """The newest record is a deletion and the row is held: counted the other way round, and over once it is gone."""
    order = row(engine, ORDER, entity_id=7, increment_id="000000007")
    assert read(engine, (Change(ORDER, Op.INSERT, None, order), "orders/0", 500)) == {}
    sample = (NewestRow(ORDER, (7,), None),)
    with engine.store.transaction():
        engine.apply_group([Transaction((), Position("arrival.0", 8), 0, feed=Feed(sample=sample))])
    assert engine.feeds.wrong_rows == {ORDER: WrongRows(sampled=1, lacking=0, extra=1)}

    assert read(engine, (Change(ORDER, Op.DELETE, order, None), "orders/0", 600)) == {}


def test_rows_that_went_with_their_parent_are_no_difference(engine: Engine) -> None:
    """InnoDB's cascades leave no record, so the newest record of a child says that it is there."""
    order = row(engine, ORDER, entity_id=7, increment_id="000000007")
    item = row(engine, ITEM, item_id=70, order_id=7)
    told = [
        (Change(ORDER, Op.INSERT, None, order), "orders/0", 500),
        (Change(ITEM, Op.INSERT, None, item), "items/0", 510),
        (Change(ORDER, Op.DELETE, order, None), "orders/0", 600),
    ]

    assert read(engine, *told) == {}
    assert engine.rows.tables[ITEM].get((70,)) is None


def test_what_has_no_order_is_not_looked_at() -> None:
    """A key with records in two partitions, and a table that was truncated, say nothing."""
    newest = NewestRecords()
    newest.note(Change("a", Op.INSERT, None, (1, "x")), 1, "a/0")
    newest.note(Change("a", Op.INSERT, None, (2, "x")), 1, "a/0")
    newest.note(Change("a", Op.DELETE, (1, "x"), None), 1, "a/1")
    newest.note(Change("b", Op.INSERT, None, (1, "x")), 1, "b/0")
    newest.note(Change("b", Op.TRUNCATE, None, None), 1, "b/0")
    newest.note(Change("b", Op.INSERT, None, (2, "x")), 1, "b/0")

    assert newest.sample() == (NewestRow("a", (2,), (2, "x")),)


def test_a_changed_key_is_two_rows() -> None:
    """One record that changes a primary key says that the old key is gone and the new key is there."""
    newest = NewestRecords()
    newest.note(Change("a", Op.UPDATE, (1, "x"), (2, "x")), 1, "a/0")

    assert newest.sample() == (NewestRow("a", (1,), None), NewestRow("a", (2,), (2, "x")))


@given(st.lists(st.tuples(st.integers(1, 300), st.booleans()), max_size=600))
def test_the_sample_is_bounded_and_true(told: list[tuple[int, bool]]) -> None:
    """However many keys come, a bounded number is kept, and each of these with its very newest record."""
    newest = NewestRecords()
    truth: dict[int, bool] = {}
    for key, is_there in told:
        change = Change("a", Op.INSERT, None, (key,)) if is_there else Change("a", Op.DELETE, (key,), None)
        newest.note(change, 1, "a/0")
        truth[key] = is_there
    sample = newest.sample()

    assert len(sample) == min(MOST, len(truth))
    assert all(truth[row.key[0]] is (row.cells is not None) for row in sample)  # type: ignore[index]
