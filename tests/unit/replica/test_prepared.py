"""XA transactions: what is prepared happens at its COMMIT, once, wherever restarts and replays fall."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.engine.engine import Engine
from cdc.errors import SourceStoppedError
from cdc.model import Change, StaleTable, Transaction, Xa, XaStep
from cdc.replica import prepared
from tests.kit.toy import contents, insert, outbox_rows, position, toy_engine, transaction, update

A, B = "X'61',X'',1", "X'62',X'',1"


def step(offset: int, what: XaStep, xid: str, *changes: Change) -> Transaction:
    """One step of an XA transaction that ends at ``offset``."""
    return Transaction(changes, position(offset), 1_600_000_000_000 + offset, xa=Xa(xid, what))


def prepare(offset: int, xid: str, *changes: Change) -> Transaction:
    return step(offset, XaStep.PREPARE, xid, *changes)


def commit(offset: int, xid: str) -> Transaction:
    return step(offset, XaStep.COMMIT, xid)


def rollback(offset: int, xid: str) -> Transaction:
    return step(offset, XaStep.ROLLBACK, xid)


def apply(engine: Engine, *transactions: Transaction) -> None:
    with engine.store.transaction():
        engine.apply_group(transactions)


def held(engine: Engine) -> int:
    """Components of prepared transactions in the state."""
    return int(engine.store.db.execute("SELECT count(*) FROM prepared_change").fetchone()[0])


def orders(engine: Engine) -> list[tuple[object, ...]]:
    return contents(engine)["orders"]


def test_a_prepared_change_happens_at_its_commit(tmp_path: Path) -> None:
    """Before the COMMIT nothing is seen of it; then it has the COMMIT's time, and nothing is kept any more."""
    engine = toy_engine(tmp_path)
    apply(engine, prepare(100, A, insert("orders", 5, None, "9.00")), transaction(200, insert("orders", 6, None, "1")))
    assert orders(engine) == [(6, None, "1")]
    apply(engine, commit(300, A))

    assert orders(engine) == [(5, None, "9.00"), (6, None, "1")]
    assert outbox_rows(engine)["order-5"][2] == 1_600_000_000_300
    assert held(engine) == 0


def test_a_rolled_back_change_never_happens(tmp_path: Path) -> None:
    """ROLLBACK drops what was prepared; one that nobody knows is nothing to worry about."""
    engine = toy_engine(tmp_path)
    apply(engine, prepare(100, A, insert("orders", 5, None, "9.00")), rollback(200, A), rollback(300, B))

    assert orders(engine) == []
    assert held(engine) == 0


def test_what_is_prepared_outlives_a_restart(tmp_path: Path) -> None:
    """The changes are in the state with the position, so a daemon killed in between has them at the COMMIT."""
    engine = toy_engine(tmp_path)
    apply(engine, prepare(100, A, insert("orders", 5, None, "9.00")))
    engine.close()
    again = toy_engine(tmp_path)
    apply(again, commit(200, A))

    assert orders(again) == [(5, None, "9.00")]


def test_transactions_in_between_are_older_than_the_commit(tmp_path: Path) -> None:
    """A row that another session wrote between PREPARE and COMMIT gets the committed value, in the log's order."""
    engine = toy_engine(tmp_path)
    apply(
        engine,
        transaction(50, insert("orders", 5, None, "1")),
        prepare(100, A, update("orders", (5, None, "1"), (5, None, "2"))),
        transaction(150, insert("orders", 6, None, "7")),
        commit(200, A),
        transaction(250, update("orders", (5, None, "2"), (5, None, "3"))),
    )
    assert orders(engine) == [(5, None, "3"), (6, None, "7")]


LOG = (
    prepare(100, A, insert("orders", 5, None, "first")),
    transaction(150, insert("orders", 6, None, "1")),
    commit(200, A),
    prepare(300, A, update("orders", (5, None, "first"), (5, None, "second"))),
    commit(400, A),
    prepare(500, B, insert("orders", 7, None, "open")),
)


@pytest.mark.parametrize(
    ("reached", "start"),
    [
        (count, start)
        for count in range(1, len(LOG) + 1)
        for start in (4, *(one.end.offset for one in LOG))
        if start <= LOG[count - 1].end.offset
    ],
)
def test_a_replay_from_anywhere_ends_in_the_same_state(tmp_path: Path, reached: int, start: int) -> None:
    """However far reading came and from wherever it is repeated: no change is lost, doubled or given to another id."""
    wanted = toy_engine(tmp_path / "wanted")
    apply(wanted, *LOG)
    engine = toy_engine(tmp_path / "replayed")
    for one in LOG[:reached]:
        apply(engine, one)
    with engine.store.transaction():
        engine.moves.rewind(position(start))
    for one in LOG:
        if one.end.offset > start:
            apply(engine, one)
    assert contents(engine) == contents(wanted)
    assert held(engine) == held(wanted) == 1


def test_a_commit_of_what_was_never_read_stops(tmp_path: Path) -> None:
    """Prepared before reading began: what it changed is in no log that we read, so it is said, with the ways out."""
    engine = toy_engine(tmp_path)
    with pytest.raises(SourceStoppedError, match="prepared before") as caught:
        apply(engine, commit(200, A))

    assert "position set binlog.000001:200" in caught.value.hint
    assert engine.store.meta.position == position(4)


@pytest.mark.parametrize("is_of_another_mapping", [False, True])
def test_a_commit_of_what_is_not_known_may_be_repaired(tmp_path: Path, *, is_of_another_mapping: bool) -> None:
    """Where reads can tell that they contain it, all tables are read again instead, once, and nothing is kept of it."""
    engine = toy_engine(tmp_path)
    if is_of_another_mapping:
        apply(engine, prepare(100, A, insert("orders", 5, None, "9.00")))
        engine.store.db.execute('UPDATE prepared_change SET columns = \'{"orders": ["id", "total"]}\'')
    repairable = Transaction((), position(200), 1_600_000_000_200, xa=Xa(A, XaStep.COMMIT, may_repair=True))
    apply(engine, repairable)

    required_positions = engine.table_loads.required_positions
    assert set(required_positions) == set(engine.store.tables)
    assert all(required.by_statement and required.position == position(200) for required in required_positions.values())
    assert (orders(engine), held(engine), engine.load.is_complete) == ([], 0, False)


def test_statements_of_an_xa_transaction_are_read_again_at_its_commit(tmp_path: Path) -> None:
    """Rows changed by statement show to a read only after the COMMIT: one after the PREPARE would miss them."""
    engine = toy_engine(tmp_path)
    stale_table = StaleTable("orders", "a statement in the log", by_statement=True)
    apply(engine, Transaction((), position(100), 1, stale=(stale_table,), xa=Xa(A, XaStep.PREPARE)))
    assert not engine.table_loads.required_positions
    apply(engine, Transaction((), position(200), 1, xa=Xa(A, XaStep.COMMIT, may_repair=True)))

    assert engine.table_loads.required_positions["orders"].position == position(200)
    assert held(engine) == 0


def test_a_prepare_without_mapped_changes_makes_its_commit_known(tmp_path: Path) -> None:
    """An XA transaction of other tables commits without a word."""
    engine = toy_engine(tmp_path)
    apply(engine, prepare(100, A), commit(200, A))

    assert held(engine) == 0


def test_what_was_prepared_under_another_mapping_stops(tmp_path: Path) -> None:
    """Cells kept in the order of columns that are mapped no more would go into the wrong ones."""
    engine = toy_engine(tmp_path)
    apply(engine, prepare(100, A, insert("orders", 5, None, "9.00")))
    engine.store.db.execute('UPDATE prepared_change SET columns = \'{"orders": ["id", "total"]}\'')
    with pytest.raises(SourceStoppedError, match="another mapping"):
        apply(engine, commit(200, A))


def test_large_ones_are_kept_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All parts come back in their order, and leave together."""
    monkeypatch.setattr(prepared, "PART_CHANGES", 2)
    engine = toy_engine(tmp_path)
    changes = [insert("orders", number, None, str(number)) for number in range(5)]
    changes += [update("orders", (0, None, "0"), (0, None, "new"))]
    apply(engine, prepare(100, A, *changes))
    assert held(engine) == 3
    apply(engine, commit(200, A))

    assert orders(engine) == [(0, None, "new"), *((number, None, str(number)) for number in range(1, 5))]
    assert held(engine) == 0


def test_an_id_used_again_is_a_new_transaction(tmp_path: Path) -> None:
    """A PREPARE whose end was never read (the position was moved over it) does not mix with the next of its id."""
    engine = toy_engine(tmp_path)
    apply(
        engine,
        prepare(100, A, insert("orders", 5, None, "lost")),
        prepare(300, A, insert("orders", 6, None, "kept")),
        commit(400, A),
    )
    assert orders(engine) == [(6, None, "kept")]
    assert held(engine) == 0
