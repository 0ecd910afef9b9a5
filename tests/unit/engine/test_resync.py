"""Tables whose rows changed without row events are read again: only what differs is rendered, and nothing too early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cdc.engine.engine import Engine
from cdc.messages import render_queue
from cdc.model import Cells, Kind, ObjectRef, Position, StaleTable
from cdc.replica.load_state import Phase
from cdc.snapshot.required_position import Snapshot, contains
from tests.kit.toy import contents, delete, insert, outbox_rows, position, toy_engine, transaction, update

ALTERED = replace(transaction(200), stale=(StaleTable("orders", "ALTER TABLE orders"),))


def an_engine(folder: Path) -> Engine:
    """Three orders, rendered; orders are stale since 200."""
    engine = toy_engine(folder)
    with engine.store.transaction():
        engine.apply_group([transaction(100, *(insert("orders", n, None, f"{n}.00") for n in (1, 2, 3)))])
        engine.store.db.execute("DELETE FROM outbox")
        engine.store.db.execute("UPDATE ledger_line SET accepted_hash = 1, accepted_after = 0")
        engine.apply_group([ALTERED])
    return engine


def read(engine: Engine, rows: Sequence[Cells], safe: Position, *, done: bool = True) -> bool:
    required = engine.table_loads.required_positions["orders"]
    return engine.ingest.load_chunk("orders", rows, safe, "[9]", done=done, required=required)


def finish(engine: Engine, seen: Position) -> None:
    engine.ingest.load_done(seen)
    while engine.work():
        pass


def test_only_what_a_read_finds_changed_is_rendered(tmp_path: Path) -> None:
    """Rows with another value are rendered, rows that are gone are deleted, equal ones are left alone."""
    engine = an_engine(tmp_path)
    with engine.store.transaction():
        assert not engine.load.is_complete
        read(engine, [(1, None, "1.00"), (2, None, "2.50")], position(4))
        assert engine.table_loads.states()["orders"].done
        finish(engine, position(200))

    assert engine.load.is_complete
    assert {name: row[:2] for name, row in outbox_rows(engine).items()} == {
        "order-2": ("UPSERT", '{"items":"0","total":"2.50"}'),
        "order-3": ("DELETE", "{}"),
    }


def test_what_a_read_finds_waits_for_the_log(tmp_path: Path) -> None:
    """Rows may be ahead of the log, so nothing is rendered before it has passed the position noted after the last."""
    engine = an_engine(tmp_path)
    with engine.store.transaction():
        read(engine, [(1, None, "9.00")], position(4))
        engine.ingest.load_done(position(300))
        assert not engine.work()
        engine.apply_group([transaction(300)])
        assert engine.work()


def test_a_bulk_change_during_the_read_reaches_its_objects(tmp_path: Path) -> None:
    """A group renamed by the log while stale tables are read: the read finds nothing new, so the fan-out must stay."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group(
            [transaction(100, insert("groups", 7, "Retail"), insert("customers", 1, "a@example.com", 7))]
        )
        engine.store.db.execute("DELETE FROM outbox")
        engine.apply_group([ALTERED])
        engine.apply_group([transaction(300, update("groups", (7, "Retail"), (7, "Wholesale")))])
        read(engine, [], position(4))
        finish(engine, position(300))

    assert outbox_rows(engine)["customer-1"][1] == '{"email":"a@example.com","group":"Wholesale"}'


def test_what_the_log_wrote_later_stays(tmp_path: Path) -> None:
    """A row that the log changed or made after the stale position is newer than what is read, and not dropped."""
    engine = an_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group(
            [
                transaction(
                    300, update("orders", (1, None, "1.00"), (1, None, "1.75")), insert("orders", 4, None, "4.00")
                )
            ]
        )
        engine.apply_group([transaction(310, delete("orders", 2, None, "2.00"))])
        read(engine, [(1, None, "1.50"), (2, None, "2.00"), (3, None, "3.00")], position(4))

    assert contents(engine)["orders"] == [(1, None, "1.75"), (3, None, "3.00"), (4, None, "4.00")]


def test_a_chunk_from_before_the_table_became_stale_again_is_not_taken(tmp_path: Path) -> None:
    """What was read for an older position says nothing of the newer one, and the table begins anew."""
    engine = an_engine(tmp_path)
    older = engine.table_loads.required_positions["orders"]
    with engine.store.transaction():
        engine.apply_group([replace(transaction(300), stale=(StaleTable("orders", "again"),))])
        assert not engine.ingest.load_chunk(
            "orders", [(1, None, "5.00")], position(4), "[1]", done=True, required=older
        )
        assert not engine.ingest.take_fetched([("orders", [(1, None, "5.00")])], position(4), {"orders": older})
        assert engine.table_loads.states()["orders"].cursor is None
        finish(engine, position(300))

    assert not engine.load.is_complete
    assert contents(engine)["orders"][0] == (1, None, "1.00")


def test_a_read_is_gone_on_with_after_a_restart(tmp_path: Path) -> None:
    """Which tables are stale, how far they are read and what was found lies in the state."""
    engine = an_engine(tmp_path)
    with engine.store.transaction():
        read(engine, [(1, None, "1.50")], position(4), done=False)
    engine.close()
    again = toy_engine(tmp_path)
    with again.store.transaction():
        assert (again.load.is_complete, again.table_loads.states()["orders"].cursor) == (False, "[9]")
        read(again, [(2, None, "2.00"), (3, None, "3.00")], position(4))
        finish(again, position(200))

    assert list(outbox_rows(again)) == ["order-1"]


def test_a_table_that_the_server_does_not_have_keeps_its_rows(tmp_path: Path) -> None:
    """A dropped table is no deletion of its rows."""
    engine = an_engine(tmp_path)
    with engine.store.transaction():
        required = engine.table_loads.required_positions["orders"]
        engine.ingest.load_chunk("orders", [], position(4), None, done=True, required=required, exists=False)
        finish(engine, position(200))

    assert (len(contents(engine)["orders"]), outbox_rows(engine)) == (3, {})


@pytest.mark.parametrize("how", [{"by_statement": True}, {"by_rows": True}], ids=["statement", "unreadable rows"])
def test_changes_that_are_not_read_make_child_tables_stale_too(tmp_path: Path, how: dict[str, bool]) -> None:
    """InnoDB cascades below a statement, or below rows that cannot be read, and the log mentions neither."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group([replace(transaction(200), stale=(StaleTable("orders", "DELETE", **how),))])

    assert set(engine.table_loads.required_positions) == {"orders", "items"}


def test_a_replay_asks_for_nothing_twice(tmp_path: Path) -> None:
    """What was stale the first time has been read again since."""
    engine = an_engine(tmp_path)
    with engine.store.transaction():
        read(engine, [(n, None, f"{n}.00") for n in (1, 2, 3)], position(4))
        finish(engine, position(200))
        engine.moves.rewind(position(100))
        engine.apply_group([ALTERED])

    assert engine.load.is_complete


def test_a_new_log_reads_everything_again(tmp_path: Path) -> None:
    """Behind a gap every table is stale, told in one line; a position with a lower number is later than all before."""
    engine = an_engine(tmp_path)
    gap = replace(transaction(4), stale=(StaleTable("orders", "lost"), StaleTable("items", "lost")), is_new_log=True)
    with engine.store.transaction():
        before = engine.positions.high
        with capture_logs() as lines:
            engine.apply_group([gap])
        assert [line["tables"] for line in lines if line["event"] == "tables_stale"] == [["items", "orders"]]
        assert engine.positions.high > before
        read(engine, [(2, None, "2.00")], position(4))

    assert contents(engine)["orders"] == [(2, None, "2.00")]


def test_objects_touched_meanwhile_are_pulled(tmp_path: Path) -> None:
    """Until its tables are read, an object's rows may be wrong: it is read by key before it is rendered."""
    engine = an_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group([transaction(300, update("orders", (1, None, "1.00"), (1, None, "1.75")))])

    assert outbox_rows(engine) == {}
    assert render_queue.to_fetch(engine.store, 10) == [ObjectRef(Kind.ORDER, 1)]


def test_after_a_failover_a_table_is_read_from_the_new_server(tmp_path: Path) -> None:
    """What a read must contain is told as a position of the new server's log: no read of its contains the old one's."""
    engine = toy_engine(tmp_path, phase=Phase.FETCHING_REFERENCES)  # as with start = "latest": nothing ends the doubt
    one, other = replace(position(200), server="one"), replace(position(90), server="other")
    with engine.store.transaction():
        engine.apply_group([replace(ALTERED, end=one)])
        engine.apply_group([replace(transaction(90), end=other)])

    required = engine.table_loads.required_positions["orders"]
    now = replace(position(95), server="other")
    assert contains(Snapshot(now, now, exact=True), required)
    assert contains(Snapshot(replace(now, offset=4), now, exact=False), required)
    engine.reread()
    assert engine.table_loads.required_positions["orders"] == required


def test_what_reads_found_and_why_they_were_made_is_told(tmp_path: Path) -> None:
    """An operator who asked for a repair sees how many objects differed, by kind, and the reason of each read."""
    engine = an_engine(tmp_path)
    with capture_logs() as lines, engine.store.transaction():
        read(engine, [(1, None, "1.00"), (2, None, "2.50")], position(4))
        finish(engine, position(200))

    told = [line for line in lines if line["event"] == "tables_read_again"]
    assert [(line["objects"], line["reasons"]) for line in told] == [({"order": 2}, ["ALTER TABLE orders"])]
