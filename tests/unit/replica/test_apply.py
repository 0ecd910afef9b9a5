"""The LSN rule, cascades, primary-key moves and tombstones."""

from __future__ import annotations

from pathlib import Path

from cdc.model import ABSENT, Change, Op
from cdc.replica.load_state import Phase
from cdc.replica.rows import SLICE_ROWS
from tests.kit.toy import contents, delete, insert, position, toy_engine, transaction, update


def test_a_replayed_transaction_changes_nothing(tmp_path: Path) -> None:
    """Applying a transaction a second time leaves newer rows alone."""
    engine = toy_engine(tmp_path)
    first = transaction(100, insert("customers", 1, "a@example.com", 1))
    second = transaction(200, update("customers", (1, "a@example.com", 1), (1, "b@example.com", 1)))
    with engine.store.transaction():
        engine.apply_group([first, second])
        engine.moves.rewind(position(4))
        engine.apply_group([first])

    assert contents(engine)["customers"] == [(1, "b@example.com", 1)]


def test_two_changes_of_one_row_in_one_transaction_both_apply(tmp_path: Path) -> None:
    """Within a transaction the last change of a row wins, the first time it is applied."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group(
            [transaction(100, insert("orders", 1, None, "1.00"), update("orders", (1, None, "1.00"), (1, 7, "2.00")))]
        )

    assert contents(engine)["orders"] == [(1, 7, "2.00")]


def test_a_deleted_parent_takes_children_and_nulls_references(tmp_path: Path) -> None:
    """CASCADE and SET NULL, which the log never shows, are applied from the foreign keys."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group(
            [
                transaction(
                    100,
                    insert("customers", 1, "a@example.com", 1),
                    insert("orders", 5, 1, "9.00"),
                    insert("items", 50, 5, "x"),
                    insert("items", 51, 5, "y"),
                ),
                transaction(200, delete("customers", 1, "a@example.com", 1)),
            ]
        )
        assert contents(engine)["orders"] == [(5, None, "9.00")]
        engine.apply_group([transaction(300, delete("orders", 5, None, "9.00"))])

    assert contents(engine)["items"] == []


def test_no_cascade_with_foreign_key_checks_off(tmp_path: Path) -> None:
    """A rows event with the no-foreign-key-checks flag leaves the children, as InnoDB did."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group(
            [
                transaction(100, insert("orders", 5, None, "9.00"), insert("items", 50, 5, "x")),
                transaction(200, delete("orders", 5, None, "9.00", cascades=False)),
            ]
        )

    assert contents(engine)["items"] == [(50, 5, "x")]


def test_a_moved_primary_key_never_cascades(tmp_path: Path) -> None:
    """A primary-key update is a delete and an insert of that row alone."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group(
            [
                transaction(100, insert("orders", 5, None, "9.00"), insert("items", 50, 5, "x")),
                transaction(200, update("orders", (5, None, "9.00"), (6, None, "9.00"))),
            ]
        )

    assert contents(engine) | {"groups": []} == {
        "groups": [],
        "customers": [],
        "orders": [(6, None, "9.00")],
        "items": [(50, 5, "x")],
    }


def test_a_partial_image_keeps_what_it_does_not_carry(tmp_path: Path) -> None:
    """Cells that the log left out stay as they were."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group([transaction(100, insert("orders", 5, 3, "9.00"))])
        partial = Change("orders", Op.UPDATE, (5, ABSENT, ABSENT), (ABSENT, ABSENT, "8.00"))
        engine.apply_group([transaction(200, partial)])

    assert contents(engine)["orders"] == [(5, 3, "8.00")]


def test_truncate_empties_the_table(tmp_path: Path) -> None:
    """TRUNCATE, a statement without rows, removes every row held."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group([transaction(100, insert("items", 1, 1, "x"), insert("items", 2, 1, "y"))])
        engine.apply_group([transaction(200, Change("items", Op.TRUNCATE, None, None))])

    assert contents(engine)["items"] == []


def test_an_older_chunk_never_overwrites_what_the_log_brought(tmp_path: Path) -> None:
    """A chunk's row loses against a row whose LSN is past the chunk's safe position."""
    engine = toy_engine(tmp_path, phase=Phase.FETCHING_REFERENCES)
    with engine.store.transaction():
        engine.apply_group([transaction(200, update("orders", (5, 1, "1.00"), (5, 1, "2.00")))])
        engine.ingest.load_chunk("orders", [(5, 1, "1.00"), (6, 1, "6.00")], position(150), "[6]", done=True)

    assert contents(engine)["orders"] == [(5, 1, "2.00"), (6, 1, "6.00")]


def test_a_chunk_does_not_bring_back_what_was_deleted_since(tmp_path: Path) -> None:
    """Deletions during the load leave tombstones; rows, children and references in older chunks respect them."""
    engine = toy_engine(tmp_path, phase=Phase.FETCHING_REFERENCES)
    with engine.store.transaction():
        engine.apply_group([transaction(200, delete("customers", 1, "a@example.com", 1))])
        engine.apply_group([transaction(210, delete("orders", 5, 1, "9.00"))])
        engine.ingest.load_chunk("customers", [(1, "a@example.com", 1)], position(150), "[1]", done=True)
        engine.ingest.load_chunk("orders", [(5, 1, "9.00"), (6, 1, "6.00")], position(150), "[6]", done=True)
        engine.ingest.load_chunk("items", [(50, 5, "x"), (60, 6, "y")], position(150), "[60]", done=True)

    assert contents(engine) | {"groups": []} == {
        "groups": [],
        "customers": [],
        "orders": [(6, None, "6.00")],
        "items": [(60, 6, "y")],
    }


def test_a_replayed_transaction_that_inserts_and_deletes_a_row_leaves_none(tmp_path: Path) -> None:
    """A row born and gone in one transaction stays gone when that transaction passes by again."""
    engine = toy_engine(tmp_path)
    both = transaction(100, insert("items", 1, 1, "x"), delete("items", 1, 1, "x"))
    with engine.store.transaction():
        engine.apply_group([both])
        engine.moves.rewind(position(4))
        engine.apply_group([both])

    assert contents(engine)["items"] == []


def test_a_replayed_deletion_takes_replayed_children_though_the_parent_came_anew(tmp_path: Path) -> None:
    """A child that only the replay has brought back goes with the deletion that took it the first time."""
    engine = toy_engine(tmp_path)
    log = [
        transaction(100, insert("orders", 3, None, "1.00")),
        transaction(200, insert("items", 1, 3, "x")),
        transaction(300, delete("orders", 3, None, "1.00")),
        transaction(400, insert("orders", 3, None, "2.00")),
    ]
    with engine.store.transaction():
        engine.apply_group(log)
        engine.moves.rewind(position(4))
        for one in log:
            engine.apply_group([one])

    assert contents(engine)["items"] == []


def test_a_partial_image_without_a_key_takes_it_from_the_before_image(tmp_path: Path) -> None:
    """A row that is not held yet still gets its own key, never a new one."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        partial = Change("orders", Op.UPDATE, (5, ABSENT, ABSENT), (ABSENT, 3, "8.00"))
        engine.apply_group([transaction(200, partial)])

    assert contents(engine)["orders"] == [(5, 3, "8.00")]


def test_a_transaction_replayed_twice_ends_the_same(tmp_path: Path) -> None:
    """Rows that a replay wrote are taken up again by the next replay of the same transaction, to the same end."""
    engine = toy_engine(tmp_path)
    made = transaction(
        100,
        insert("orders", 1, None, "1.00"),
        update("orders", (1, None, "1.00"), (1, None, "2.00")),
        insert("orders", 2, None, "5.00"),
        delete("orders", 2, None, "5.00"),
    )
    with engine.store.transaction():
        engine.apply_group([made, transaction(200, delete("orders", 1, None, "2.00"))])
        for _ in range(2):
            engine.moves.rewind(position(4))
            engine.apply_group([made])

    assert contents(engine)["orders"] == [(1, None, "2.00")]


def test_emptying_a_table_reads_it_in_pieces(tmp_path: Path) -> None:
    """TRUNCATE deletes every row, also when there are more than are read at once."""
    engine = toy_engine(tmp_path)
    rows = [insert("orders", number, None, "1.00") for number in range(SLICE_ROWS + 1)]
    with engine.store.transaction():
        engine.apply_group([transaction(100, *rows), transaction(200, Change("orders", Op.TRUNCATE, None, None))])

    assert contents(engine)["orders"] == []
