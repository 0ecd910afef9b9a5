"""Tables whose rows changed without row events are read again: only what differs is rendered, and nothing too early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cdc.engine.engine import Replica
from cdc.messages import render_queue
from cdc.model import Cells, Kind, ObjectRef, Position, StaleTable
from cdc.snapshot.required_position import Snapshot, contains
from tests.kit.toy import contents, delete, insert, outbox_rows, position, toy_replica, transaction, update

ALTERED = replace(transaction(200), stale=(StaleTable("orders", "ALTER TABLE orders"),))


def a_replica(folder: Path) -> Replica:
    """Three orders, rendered; orders are doubtful since 200."""
    replica = toy_replica(folder)
    with replica.store.transaction():
        replica.apply_group([transaction(100, *(insert("orders", n, None, f"{n}.00") for n in (1, 2, 3)))])
        replica.store.db.execute("DELETE FROM outbox")
        replica.store.db.execute("UPDATE ledger SET accepted_hash = rendered_hash, accepted_at = rendered_at")
        replica.apply_group([ALTERED])
    return replica


def read(replica: Replica, rows: Sequence[Cells], safe: Position, *, done: bool = True) -> bool:
    floor = replica.loads.required_positions["orders"]
    return replica.load_chunk("orders", rows, safe, "[9]", done=done, floor=floor)


def finish(replica: Replica, seen: Position) -> None:
    replica.load_done(seen)
    while replica.work():
        pass


def test_only_what_a_read_finds_changed_is_rendered(tmp_path: Path) -> None:
    """Rows with another value are rendered, rows that are gone are deleted, equal ones are left alone."""
    replica = a_replica(tmp_path)
    with replica.store.transaction():
        assert not replica.complete
        read(replica, [(1, None, "1.00"), (2, None, "2.50")], position(4))
        assert replica.load_state()["orders"].done
        finish(replica, position(200))

    assert replica.complete
    assert {name: row[:2] for name, row in outbox_rows(replica).items()} == {
        "order-2": ("UPSERT", '{"items":"0","total":"2.50"}'),
        "order-3": ("DELETE", "{}"),
    }


def test_what_a_read_finds_waits_for_the_log(tmp_path: Path) -> None:
    """Rows may be ahead of the log, so nothing is rendered before it has passed the place noted after the last."""
    replica = a_replica(tmp_path)
    with replica.store.transaction():
        read(replica, [(1, None, "9.00")], position(4))
        replica.load_done(position(300))
        assert not replica.work()
        replica.apply_group([transaction(300)])
        assert replica.work()


def test_what_the_log_wrote_later_stays(tmp_path: Path) -> None:
    """A row that the log changed or made after the doubtful place is newer than what is read, and not dropped."""
    replica = a_replica(tmp_path)
    with replica.store.transaction():
        replica.apply_group(
            [
                transaction(
                    300, update("orders", (1, None, "1.00"), (1, None, "1.75")), insert("orders", 4, None, "4.00")
                )
            ]
        )
        replica.apply_group([transaction(310, delete("orders", 2, None, "2.00"))])
        read(replica, [(1, None, "1.50"), (2, None, "2.00"), (3, None, "3.00")], position(4))

    assert contents(replica)["orders"] == [(1, None, "1.75"), (3, None, "3.00"), (4, None, "4.00")]


def test_a_chunk_from_before_another_doubt_is_not_taken(tmp_path: Path) -> None:
    """What was read for an older place says nothing of the newer one, and the table begins anew."""
    replica = a_replica(tmp_path)
    older = replica.loads.required_positions["orders"]
    with replica.store.transaction():
        replica.apply_group([replace(transaction(300), stale=(StaleTable("orders", "again"),))])
        assert not replica.load_chunk("orders", [(1, None, "5.00")], position(4), "[1]", done=True, floor=older)
        assert not replica.pull([("orders", [(1, None, "5.00")])], position(4), {"orders": older})
        assert replica.load_state()["orders"].cursor is None
        finish(replica, position(300))

    assert not replica.complete
    assert contents(replica)["orders"][0] == (1, None, "1.00")


def test_a_read_is_gone_on_with_after_a_restart(tmp_path: Path) -> None:
    """Which tables are doubtful, how far they are read and what was found lies in the state."""
    replica = a_replica(tmp_path)
    with replica.store.transaction():
        read(replica, [(1, None, "1.50")], position(4), done=False)
    replica.close()
    again = toy_replica(tmp_path)
    with again.store.transaction():
        assert (again.complete, again.load_state()["orders"].cursor) == (False, "[9]")
        read(again, [(2, None, "2.00"), (3, None, "3.00")], position(4))
        finish(again, position(200))

    assert list(outbox_rows(again)) == ["order-1"]


def test_a_table_that_the_server_does_not_have_keeps_its_rows(tmp_path: Path) -> None:
    """A dropped table is no deletion of its rows."""
    replica = a_replica(tmp_path)
    with replica.store.transaction():
        floor = replica.loads.required_positions["orders"]
        replica.load_chunk("orders", [], position(4), None, done=True, floor=floor, exists=False)
        finish(replica, position(200))

    assert (len(contents(replica)["orders"]), outbox_rows(replica)) == (3, {})


def test_a_statement_makes_child_tables_doubtful_too(tmp_path: Path) -> None:
    """InnoDB cascades below a statement as below rows, and the log mentions neither."""
    replica = toy_replica(tmp_path)
    with replica.store.transaction():
        replica.apply_group([replace(transaction(200), stale=(StaleTable("orders", "DELETE", by_statement=True),))])

    assert set(replica.loads.required_positions) == {"orders", "items"}


def test_a_replay_asks_for_nothing_twice(tmp_path: Path) -> None:
    """What was doubtful the first time has been read again since."""
    replica = a_replica(tmp_path)
    with replica.store.transaction():
        read(replica, [(n, None, f"{n}.00") for n in (1, 2, 3)], position(4))
        finish(replica, position(200))
        replica.rewind(position(100))
        replica.apply_group([ALTERED])

    assert replica.complete


def test_a_new_log_reads_everything_again(tmp_path: Path) -> None:
    """Behind a gap every table is doubtful, and a place with a lower number is later than all before."""
    replica = a_replica(tmp_path)
    gap = replace(transaction(4), stale=(StaleTable("orders", "lost"), StaleTable("items", "lost")), is_new_log=True)
    with replica.store.transaction():
        before = replica.places.high
        replica.apply_group([gap])
        assert replica.places.high > before
        read(replica, [(2, None, "2.00")], position(4))

    assert contents(replica)["orders"] == [(2, None, "2.00")]


def test_objects_touched_meanwhile_are_pulled(tmp_path: Path) -> None:
    """Until its tables are read, an object's rows may be wrong: it is read by key before it is rendered."""
    replica = a_replica(tmp_path)
    with replica.store.transaction():
        replica.apply_group([transaction(300, update("orders", (1, None, "1.00"), (1, None, "1.75")))])

    assert outbox_rows(replica) == {}
    assert render_queue.to_pull(replica.store, 10) == [ObjectRef(Kind.ORDER, 1)]


def test_after_a_failover_a_table_is_read_from_the_new_server(tmp_path: Path) -> None:
    """What a read must contain is told as a place of the new server's log: no read of its contains the old one's."""
    replica = toy_replica(tmp_path, complete=False)  # as with start = "latest": nothing ends the doubt
    one, other = replace(position(200), server="one"), replace(position(90), server="other")
    with replica.store.transaction():
        replica.apply_group([replace(ALTERED, end=one)])
        replica.apply_group([replace(transaction(90), end=other)])

    floor = replica.loads.required_positions["orders"]
    now = replace(position(95), server="other")
    assert contains(Snapshot(now, now, exact=True), floor)
    assert contains(Snapshot(replace(now, offset=4), now, exact=False), floor)
    replica.undo()
    assert replica.loads.required_positions["orders"] == floor
