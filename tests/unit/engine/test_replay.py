"""Replays, new logs, new servers: what was applied before is not rendered again in between, and what is new is."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.engine.engine import Engine
from cdc.errors import PositionLostError
from cdc.messages import render_queue
from cdc.model import Change, Kind, ObjectRef, Position, Transaction
from cdc.replica.load_state import Phase
from tests.kit.toy import contents, delete, insert, outbox_rows, position, toy_engine, transaction, update
from tests.unit.messages.test_renderer import settle

ORDER = ObjectRef(Kind.ORDER, 5)


def on_server(server: str, number: int, offset: int, *changes: Change) -> Transaction:
    """A transaction that ends at this position of this server's log."""
    return Transaction(changes, Position(f"binlog.{number:06d}", offset, "0-1-7", server), 1_600_000_000_000)


def work(engine: Engine) -> None:
    """Render all that is ready."""
    with engine.store.transaction():
        while engine.work():
            pass


def test_nothing_is_rendered_in_the_middle_of_a_replay(tmp_path: Path) -> None:
    """Rows come back that were deleted since: whatever asks for a rendering waits until the replay has passed them."""
    engine = toy_engine(tmp_path)
    item = ObjectRef(Kind.ITEM, 50)
    log = [
        transaction(100, insert("orders", 5, None, "9.00")),
        transaction(150, insert("items", 50, 5, "x")),
        transaction(
            200, delete("orders", 5, None, "9.00", cascades=False), update("items", (50, 5, "x"), (50, 5, "y"))
        ),
    ]
    for one in log:
        with engine.store.transaction():
            engine.apply_group([one])
        settle(engine)
    with engine.store.transaction():
        engine.moves.rewind(position(4))
        engine.apply_group(log[:1])
        render_queue.mark(engine.store, item, force=True)
    work(engine)
    assert outbox_rows(engine) == {}

    with engine.store.transaction():
        engine.apply_group(log[1:])
    work(engine)
    assert outbox_rows(engine)["item-50"][0] == "DELETE"


def test_a_replay_touches_what_the_first_load_covered(tmp_path: Path) -> None:
    """Changes from before the import are left out only while the import is going on."""
    engine = toy_engine(tmp_path, phase=Phase.FETCHING_REFERENCES)
    with engine.store.transaction():
        engine.moves.begin(position(4, number=2), Phase.LOADING_REFERENCES, covered=position(300, number=2))
        engine.ingest.references_read()
        engine.ingest.load_chunk("orders", [(5, None, "9.00")], position(4, number=2), "[5]", done=True)
        engine.ingest.load_done(position(300, number=2))
        engine.apply_group([transaction(300, number=2)])
    work(engine)
    settle(engine)
    with engine.store.transaction():
        engine.store.db.execute("UPDATE ledger_line SET rendered_hash = x'', accepted_hash = x''")
        engine.moves.rewind(position(4, number=2))
        engine.apply_group([transaction(200, update("orders", (5, None, "8.00"), (5, None, "9.00")), number=2)])
        engine.apply_group([transaction(300, number=2)])
    work(engine)

    assert "order-5" in outbox_rows(engine)


def test_a_forced_rendering_is_not_lost_to_a_live_touch(tmp_path: Path) -> None:
    """What has to be sent again, equal or not, is, even if a change touches the object first and alters nothing."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group([transaction(100, insert("orders", 5, None, "9.00"))])
    settle(engine)
    with engine.store.transaction():
        render_queue.mark(engine.store, ORDER, force=True)
        engine.apply_group([transaction(200, insert("items", 50, 5, "x"), delete("items", 50, 5, "x"))])
    work(engine)

    assert "order-5" in outbox_rows(engine)


def test_another_servers_log_is_always_newer(tmp_path: Path) -> None:
    """After a failover the file numbers begin anew; changes there apply and are rendered like any other."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group([on_server("one", 900, 100, insert("orders", 5, None, "9.00"))])
    settle(engine)
    with engine.store.transaction():
        engine.apply_group([on_server("two", 3, 50, update("orders", (5, None, "9.00"), (5, None, "8.00")))])

    assert contents(engine)["orders"] == [(5, None, "8.00")]
    assert '"total":"8.00"' in outbox_rows(engine)["order-5"][1]


def test_after_a_failover_times_rise_from_now(tmp_path: Path) -> None:
    """Two servers' clocks may differ: from a new epoch on ``changed_at`` is never below the moment it began."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group([on_server("one", 1, 100, insert("orders", 5, None, "9.00"))])
        engine.apply_group([on_server("two", 1, 100, insert("orders", 6, None, "9.00"))])

    assert outbox_rows(engine)["order-6"][2] == 1_700_000_000_000


def test_a_failover_during_the_first_load_stops(tmp_path: Path) -> None:
    """What was loaded may be ahead of what the new server has, and nobody could tell."""
    engine = toy_engine(tmp_path, phase=Phase.FETCHING_REFERENCES)
    with engine.store.transaction():
        engine.moves.begin(Position("binlog.000001", 4, "0-1-1", "one"), Phase.LOADING_REFERENCES)
    with pytest.raises(PositionLostError, match="first load began on server one"), engine.store.transaction():
        engine.apply_group([on_server("two", 1, 100, insert("orders", 6, None, "9.00"))])


def test_a_log_begun_anew_is_a_new_epoch(tmp_path: Path) -> None:
    """Going on in a log that no longer holds the old position: low file numbers are news, not a replay."""
    engine = toy_engine(tmp_path)
    with engine.store.transaction():
        engine.apply_group([transaction(100, insert("orders", 5, None, "9.00"), number=900)])
        engine.moves.rewind(position(4), is_new_log=True)
        engine.apply_group([transaction(50, update("orders", (5, None, "9.00"), (5, None, "8.00")))])

    assert contents(engine)["orders"] == [(5, None, "8.00")]
    assert '"total":"8.00"' in outbox_rows(engine)["order-5"][1]
