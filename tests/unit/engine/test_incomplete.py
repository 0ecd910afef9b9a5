"""A state that does not have all rows (``start = "latest"``, or a load): affected objects are fetched, not lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.engine.engine import Engine
from cdc.errors import SourceDisconnectedError
from cdc.messages import render_queue
from cdc.model import Change, Kind, ObjectRef, Op, Position
from cdc.replica.load_state import Phase
from tests.kit.toy import (
    FixedClock,
    contents,
    delete,
    insert,
    outbox_rows,
    position,
    toy_engine,
    transaction,
    update,
)

ORDER = ObjectRef(Kind.ORDER, 5)
CUSTOMER = ObjectRef(Kind.CUSTOMER, 1)


def started(folder: Path, clock: FixedClock | None = None) -> Engine:
    """A state that began somewhere in the log, reference tables loaded."""
    engine = toy_engine(folder, phase=Phase.FETCHING_REFERENCES, clock=clock)
    with engine.store.transaction():
        engine.ingest.references_read()
    return engine


def waiting(engine: Engine) -> dict[str, tuple[int, int]]:
    """Object → (pull due, position not before)."""
    rows = engine.store.db.execute("SELECT kind, id, needs_fetch, not_before_lsn FROM render_queue ORDER BY kind, id")
    return {f"{kind}-{key}": (pull, not_before) for kind, key, pull, not_before in rows}


def test_a_change_that_another_objects_pull_brought_is_touched_all_the_same(tmp_path: Path) -> None:
    """Rows read for one object may be past the log's position; when the log gets there, their objects are affected."""
    engine = started(tmp_path)
    with engine.store.transaction():
        engine.ingest.take_fetched([("orders", [(5, 1, "2.00")])], position(300))
        engine.apply_group([transaction(200, update("orders", (5, 1, "1.00"), (5, 1, "2.00")))])

    assert "order-5" in waiting(engine)


def test_a_change_that_finds_its_row_as_it_leaves_it_is_touched_all_the_same(tmp_path: Path) -> None:
    """The same where the rows' safe position is coarse: the change is applied, alters nothing, and still touches."""
    engine = started(tmp_path)
    with engine.store.transaction():
        engine.ingest.take_fetched([("orders", [(5, 1, "2.00")])], position(4))
        engine.apply_group([transaction(200, update("orders", (5, 1, "1.00"), (5, 1, "2.00")))])

    assert "order-5" in waiting(engine)


def test_a_change_of_columns_that_are_not_mapped_pulls_nothing(tmp_path: Path) -> None:
    """An update whose images are equal says nothing of any object."""
    engine = started(tmp_path)
    with engine.store.transaction():
        engine.ingest.take_fetched([("orders", [(5, 1, "2.00")])], position(4))
        engine.apply_group([transaction(200, update("orders", (5, 1, "2.00"), (5, 1, "2.00")))])

    assert waiting(engine) == {}


def test_a_deletion_that_a_pull_was_past_is_touched(tmp_path: Path) -> None:
    """A row deleted and made anew before the pull: the deletion, older than the row held, still touches."""
    engine = started(tmp_path)
    with engine.store.transaction():
        engine.ingest.take_fetched([("orders", [(5, 1, "2.00")])], position(300))
        engine.apply_group([transaction(200, delete("orders", 5, 1, "1.00"))])

    assert "order-5" in waiting(engine)
    assert contents(engine)["orders"] == [(5, 1, "2.00")]


def test_a_sweep_asks_for_pulls_while_rows_may_be_missing(tmp_path: Path) -> None:
    """A renamed group bears on customers whose other rows were never read: they are pulled before they are rendered."""
    engine = started(tmp_path)
    with engine.store.transaction():
        engine.ingest.take_fetched([("customers", [(1, "a@example.com", 7)])], position(100))
        engine.apply_group([transaction(200, insert("groups", 7, "retail"))])
    with engine.store.transaction():
        while engine.work():
            pass

    assert waiting(engine)["customer-1"][0] == 1
    assert outbox_rows(engine) == {}


def test_an_object_is_pulled_again_when_its_rows_ask_for_more(tmp_path: Path) -> None:
    """What changed between the reads and their end may name rows that were not read: then the object waits on."""
    engine = started(tmp_path)
    with engine.store.transaction():
        render_queue.mark(engine.store, ORDER, fetch=True)
        asked = frozenset(engine.ingest.fetches_for([ORDER], frozenset()))
        missing = frozenset(list(asked)[:1])
        engine.ingest.fetched([ORDER], position(100), missing)
    assert waiting(engine)["order-5"] == (1, 0)

    with engine.store.transaction():
        engine.ingest.fetched([ORDER], position(100), asked)
    assert waiting(engine)["order-5"] == (0, engine.positions.lsn(position(100)))


def test_a_chunk_read_before_a_truncate_brings_nothing_back(tmp_path: Path) -> None:
    """TRUNCATE buries the rows that it finds here and those that an older chunk may still bring."""
    engine = started(tmp_path)
    with engine.store.transaction():
        engine.apply_group([transaction(200, Change("orders", Op.TRUNCATE, None, None))])
        engine.ingest.load_chunk("orders", [(5, 1, "1.00")], position(150), "[5]", done=True)
        engine.apply_group([transaction(300, insert("orders", 6, 1, "6.00"))])

    assert contents(engine)["orders"] == [(6, 1, "6.00")]


def test_after_the_load_live_changes_wait_for_the_position_noted_at_its_end(tmp_path: Path) -> None:
    """Chunks show rows ahead of the log; until the log has caught up nothing is rendered of that mixture."""
    engine = started(tmp_path)
    with engine.store.transaction():
        engine.ingest.load_chunk("orders", [(5, 1, "3.00")], position(4), "[5]", done=True)
        engine.ingest.load_done(position(300))
        engine.apply_group([transaction(200, update("orders", (5, 1, "1.00"), (5, 1, "2.00")))])
        engine.work()
    assert outbox_rows(engine) == {}

    with engine.store.transaction():
        engine.apply_group([transaction(300, update("orders", (5, 1, "2.00"), (5, 1, "3.00")))])
        while engine.work():
            pass
    assert '"total":"3.00"' in outbox_rows(engine)["order-5"][1]


def test_rows_of_another_server_are_not_taken(tmp_path: Path) -> None:
    """Rows and log must come from one server: positions of two logs cannot be compared."""
    engine = started(tmp_path)
    with engine.store.transaction():
        engine.moves.rewind(Position("binlog.000001", 100, server="one"))
        with pytest.raises(SourceDisconnectedError, match="from server two"):
            engine.ingest.take_fetched([("orders", [(5, 1, "3.00")])], Position("binlog.000001", 300, server="two"))

    assert contents(engine)["orders"] == []


def test_a_deletion_without_cascade_leaves_the_children_of_later_chunks(tmp_path: Path) -> None:
    """A tombstone takes a chunk's children along only if the deletion cascaded."""
    engine = started(tmp_path)
    with engine.store.transaction():
        engine.apply_group([transaction(200, delete("customers", 1, "a@example.com", 1, cascades=False))])
        engine.ingest.load_chunk("orders", [(5, 1, "9.00")], position(150), "[5]", done=True)

    assert contents(engine)["orders"] == [(5, 1, "9.00")]


def test_a_parent_that_came_anew_before_a_pull_read_it_still_loses_its_old_children(tmp_path: Path) -> None:
    """The deletion is older than the parent held, and newer than the children held."""
    engine = started(tmp_path)
    with engine.store.transaction():
        engine.ingest.take_fetched([("items", [(50, 5, "x")])], position(100))
        engine.ingest.take_fetched([("orders", [(5, None, "2.00")])], position(300))
        engine.apply_group([transaction(200, delete("orders", 5, None, "1.00"))])

    assert contents(engine)["items"] == []


def test_a_changed_mapping_renders_what_was_rendered_though_nothing_is_loaded(tmp_path: Path) -> None:
    """Without a load there are no rows to sweep over: every object in the ledger is pulled and rendered again."""
    engine = started(tmp_path)
    with engine.store.transaction():
        engine.rendering.resume_mapping()
        engine.apply_group([transaction(100, insert("orders", 5, None, "9.00"))])
        engine.ingest.fetched([ORDER], position(100), frozenset(engine.ingest.fetches_for([ORDER], frozenset())))
        engine.work()
        assert waiting(engine) == {}
        engine.store.meta.mapping_version = "toy-0"
        engine.rendering.resume_mapping()

    assert waiting(engine)["order-5"][0] == 1


def test_deletions_are_forgotten_once_no_fetch_can_bring_their_rows(tmp_path: Path) -> None:
    """With start = "latest" nothing is ever complete; each fetch drops the tombstones that later fetches contain."""
    engine = started(tmp_path)
    with engine.store.transaction():
        for number in range(10):
            engine.apply_group([transaction(100 + number, delete("orders", number, 1, "1.00"))])

    def tombstones() -> list[str]:
        return [key for (key,) in engine.store.db.execute("SELECT key FROM tombstone ORDER BY lsn")]

    assert len(tombstones()) == 10
    with engine.store.transaction():
        engine.ingest.take_fetched([("customers", [(1, "a@example.com", None)])], position(107))
    assert tombstones() == ["[8]", "[9]"]
    with engine.store.transaction():  # a row read before its deletion is still kept out
        engine.ingest.take_fetched([("orders", [(9, 1, "1.00")])], position(107))
    assert contents(engine)["orders"] == []


def test_deletions_are_kept_while_tables_are_loaded(tmp_path: Path) -> None:
    """A chunk that was read before a fetch may arrive behind it."""
    engine = toy_engine(tmp_path, phase=Phase.LOADING_REFERENCES)
    with engine.store.transaction():
        engine.ingest.references_read()
        engine.apply_group([transaction(100, delete("orders", 1, 1, "1.00"))])
        engine.ingest.take_fetched([("customers", [(1, "a@example.com", None)])], position(200))
        engine.ingest.load_chunk("orders", [(1, 1, "1.00")], position(50), None, done=False)
    assert contents(engine)["orders"] == []
