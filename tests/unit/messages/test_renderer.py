"""Render, compare, outbox: what is sent, what is not, and with which time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cdc.engine.engine import Engine
from cdc.messages import render_queue
from cdc.model import Change, Kind, ObjectRef
from cdc.replica.load_state import Phase
from tests.kit.toy import (
    KEYS,
    TABLES,
    FixedClock,
    ToyMapper,
    delete,
    insert,
    outbox_rows,
    position,
    toy_engine,
    transaction,
    update,
)


def apply(engine: Engine, offset: int, *changes: Change, commit_ms: int = 0) -> None:
    """One group of one transaction."""
    with engine.store.transaction():
        engine.apply_group([transaction(offset, *changes, commit_ms=commit_ms)])


def settle(engine: Engine) -> None:
    """Pretend that everything in the outbox was sent and accepted."""
    db = engine.store.db
    with engine.store.transaction():
        db.execute(
            "UPDATE ledger_line SET accepted_hash = o.hash, accepted_after = o.changed_at - rendered_at,"
            " tried_after = 0, accepted_delete = o.action = 'DELETE' FROM outbox o"
            " WHERE o.kind = ledger_line.kind AND o.id = ledger_line.id"
        )
        db.execute("DELETE FROM outbox")


def test_a_change_becomes_messages_in_the_same_commit(tmp_path: Path) -> None:
    """Everything a transaction touches is rendered with it, and only non-empty properties of new objects go out."""
    engine = toy_engine(tmp_path)
    apply(engine, 100, insert("customers", 1, "a@example.com", 1), insert("orders", 5, 1, "9.00"))

    rows = outbox_rows(engine)
    assert {name: row[:2] for name, row in rows.items()} == {
        "customer-1": ("UPSERT", '{"email":"a@example.com"}'),
        "order-5": ("UPSERT", '{"items":"0","total":"9.00"}'),
    }


def test_what_compares_equal_is_not_sent(tmp_path: Path) -> None:
    """A change that renders to the same message leaves no trace in the outbox."""
    engine = toy_engine(tmp_path)
    apply(engine, 100, insert("orders", 5, None, "9.00"))
    settle(engine)
    apply(engine, 200, insert("items", 50, 5, "x"), delete("items", 50, 5, "x"))

    assert outbox_rows(engine) == {}


def test_a_change_that_goes_back_before_it_was_sent_is_taken_back(tmp_path: Path) -> None:
    """If HubSpot holds just what is now to be said, and nothing else was tried, nothing is sent."""
    engine = toy_engine(tmp_path)
    apply(engine, 100, insert("orders", 5, None, "9.00"))
    settle(engine)
    apply(engine, 200, update("orders", (5, None, "9.00"), (5, None, "8.00")))
    assert "order-5" in outbox_rows(engine)
    apply(engine, 300, update("orders", (5, None, "8.00"), (5, None, "9.00")))

    assert outbox_rows(engine) == {}


def test_a_tried_change_is_never_taken_back(tmp_path: Path) -> None:
    """If the version in between may have reached HubSpot, the old state must be sent again."""
    engine = toy_engine(tmp_path)
    apply(engine, 100, insert("orders", 5, None, "9.00"))
    settle(engine)
    apply(engine, 200, update("orders", (5, None, "9.00"), (5, None, "8.00")))
    with engine.store.transaction():
        engine.store.db.execute("UPDATE ledger_line SET tried_after = -accepted_after")
    apply(engine, 300, update("orders", (5, None, "8.00"), (5, None, "9.00")))

    assert outbox_rows(engine)["order-5"][1] == '{"items":"0","total":"9.00"}'


def test_changed_at_strictly_rises_even_when_the_clock_stands(tmp_path: Path) -> None:
    """Two changes with one commit time get two times."""
    engine = toy_engine(tmp_path)
    apply(engine, 100, insert("orders", 5, None, "9.00"), commit_ms=1_700_000_000_000)
    first = outbox_rows(engine)["order-5"][2]
    apply(engine, 200, update("orders", (5, None, "9.00"), (5, None, "8.00")), commit_ms=1_700_000_000_000)

    assert (first, outbox_rows(engine)["order-5"][2]) == (1_700_000_000_000, 1_700_000_000_001)


def test_an_emptied_value_is_cleared_only_if_it_ever_held_something(tmp_path: Path) -> None:
    """Empty is left out until the property was once rendered with a value; then it is sent as ""."""
    engine = toy_engine(tmp_path)
    apply(engine, 100, insert("customers", 1, None, 1))
    assert outbox_rows(engine)["customer-1"][1] == "{}"
    apply(engine, 200, update("customers", (1, None, 1), (1, "a@example.com", 1)))
    apply(engine, 300, update("customers", (1, "a@example.com", 1), (1, None, 1)))

    assert outbox_rows(engine)["customer-1"][1] == '{"email":""}'


def test_an_object_that_nobody_heard_of_vanishes_silently(tmp_path: Path) -> None:
    """A deletion before the first sending takes the message back instead of sending a DELETE."""
    engine = toy_engine(tmp_path)
    apply(engine, 100, insert("orders", 5, None, "9.00"))
    apply(engine, 200, delete("orders", 5, None, "9.00"))

    assert outbox_rows(engine) == {}


def test_an_object_that_came_back_unsent_and_went_again_is_not_deleted_twice(tmp_path: Path) -> None:
    """Its last DELETE was accepted and nothing was tried since: the receiver holds nothing to delete."""
    engine = toy_engine(tmp_path)
    apply(engine, 100, insert("orders", 5, None, "9.00"))
    settle(engine)
    apply(engine, 200, delete("orders", 5, None, "9.00"))
    settle(engine)
    apply(engine, 300, insert("orders", 5, None, "9.00"))
    assert "order-5" in outbox_rows(engine)

    apply(engine, 400, delete("orders", 5, None, "9.00"))

    assert outbox_rows(engine) == {}


def test_a_deleted_object_that_was_sent_is_deleted(tmp_path: Path) -> None:
    """A DELETE is rendered for what HubSpot holds, children before and with their parent's cascade."""
    engine = toy_engine(tmp_path)
    apply(engine, 100, insert("orders", 5, None, "9.00"), insert("items", 50, 5, "x"))
    settle(engine)
    apply(engine, 200, delete("orders", 5, None, "9.00"))

    assert {name: row[0] for name, row in outbox_rows(engine).items()} == {"order-5": "DELETE", "item-50": "DELETE"}


def test_what_is_deleted_leaves_none_of_its_values(tmp_path: Path) -> None:
    """Neither replica, outbox, ledger nor dead letters hold anything of a customer who is gone."""
    engine = toy_engine(tmp_path)
    apply(engine, 100, insert("customers", 1, "ann@example.com", 1))
    settle(engine)
    apply(engine, 200, update("customers", (1, "ann@example.com", 1), (1, "ann.lee@example.com", 1)))
    with engine.store.transaction():
        engine.store.db.execute(
            "INSERT INTO dead_letter (kind, id, action, changed_at, at_ms, reason, detail, position)"
            " VALUES ('customer', 1, 'UPSERT', 1, 1, 'INVALID_EMAIL', 'ann@example.com is wrong', '')"
        )
        engine.store.db.execute(
            "INSERT INTO waiting_for_parent (kind, id, changed_at, since_ms, reason, detail)"
            " VALUES ('customer', 1, 1, 1, 'MISSING', 'nobody has ann@example.com')"
        )

    apply(engine, 300, delete("customers", 1, "ann.lee@example.com", 1))

    assert {name: row[0] for name, row in outbox_rows(engine).items()} == {"customer-1": "DELETE"}
    assert [line for line in engine.store.db.iterdump() if "example.com" in line] == []


def test_one_object_that_cannot_be_rendered_stops_no_other(tmp_path: Path) -> None:
    """A RenderError becomes a dead letter with its reason; the rest of the group goes out."""
    engine = toy_engine(tmp_path)
    apply(engine, 100, insert("orders", 5, None, "bad"), insert("orders", 6, None, "1.00"))

    letters = engine.store.db.execute("SELECT kind, id, reason, detail FROM dead_letter").fetchall()
    assert letters == [("order", 5, "render", "the total is no number")]
    assert list(outbox_rows(engine)) == ["order-6"]


def test_an_object_that_can_be_rendered_again_loses_its_dead_letter(tmp_path: Path) -> None:
    """A dead letter of rendering goes with the fault, also when the object renders to what was sent before."""
    engine = toy_engine(tmp_path)
    apply(engine, 100, insert("orders", 5, None, "9.00"))
    settle(engine)
    apply(engine, 200, update("orders", (5, None, "9.00"), (5, None, "bad")))
    apply(engine, 300, update("orders", (5, None, "bad"), (5, None, "9.00")))

    assert engine.store.db.execute("SELECT count(*) FROM dead_letter").fetchone() == (0,)
    assert outbox_rows(engine) == {}


def test_a_renamed_group_reaches_its_customers_behind_live_work(tmp_path: Path) -> None:
    """A reference row's change invalidates the objects that use it in bulk, as history."""
    engine = toy_engine(tmp_path)
    apply(engine, 100, insert("groups", 1, "General"))
    apply(engine, 200, insert("customers", 1, "a@example.com", 1), insert("customers", 2, "b@example.com", 2))
    settle(engine)
    apply(engine, 300, update("groups", (1, "General"), (1, "Wholesale")))
    assert outbox_rows(engine) == {}
    with engine.store.transaction():
        while engine.work():
            pass

    assert {n: r[1] for n, r in outbox_rows(engine).items()} == {
        "customer-1": '{"email":"a@example.com","group":"Wholesale"}'
    }
    urgency = engine.store.db.execute("SELECT urgency FROM outbox").fetchone()[0]
    assert urgency == 1


def test_a_replay_renders_only_after_the_highest_position_ever_applied(tmp_path: Path) -> None:
    """While old changes pass by again, nothing old is ever sent."""
    engine = toy_engine(tmp_path)
    first = transaction(100, insert("orders", 5, None, "9.00"))
    second = transaction(200, update("orders", (5, None, "9.00"), (5, None, "8.00")))
    with engine.store.transaction():
        engine.apply_group([first, second])
    settle(engine)
    with engine.store.transaction():
        engine.store.db.execute("UPDATE ledger_line SET accepted_hash = x'00', rendered_hash = x'00'")
        engine.moves.rewind(position(4))
        engine.apply_group([first])
        assert not engine.work()
        engine.apply_group([second])
        while engine.work():
            pass

    assert outbox_rows(engine)["order-5"][1] == '{"items":"0","total":"8.00"}'


def test_a_live_object_is_pulled_before_it_is_rendered_while_the_load_runs(tmp_path: Path) -> None:
    """An object whose rows are not known to be complete waits for its pull and for the position noted after it."""
    engine = toy_engine(tmp_path, phase=Phase.FETCHING_REFERENCES)
    order = ObjectRef(Kind.ORDER, 5)
    with engine.store.transaction():
        engine.ingest.references_read()
        engine.apply_group([transaction(200, update("orders", (5, 1, "1.00"), (5, 1, "2.00")))])
        assert engine.ingest.to_fetch(10) == [order]
        engine.ingest.take_fetched([("orders", [(5, 1, "2.00")]), ("items", [(50, 5, "x")])], position(150))
        engine.ingest.fetched([order], position(300), frozenset(engine.ingest.fetches_for([order], frozenset())))
        assert not engine.work()
        engine.apply_group([transaction(300)])
        engine.work()

    assert outbox_rows(engine)["order-5"][1] == '{"items":"1","total":"2.00"}'
    assert render_queue.to_fetch(engine.store, 10) == [ObjectRef(Kind.CUSTOMER, 1)]


def test_the_end_of_the_load_renders_everything_as_history(tmp_path: Path) -> None:
    """When all chunks are in, every object is rendered once the log has passed the position noted then."""
    engine = toy_engine(tmp_path, phase=Phase.LOADING_REFERENCES)
    with engine.store.transaction():
        engine.ingest.references_read()
        engine.ingest.load_chunk("orders", [(n, None, f"{n}.00") for n in range(1, 4)], position(4), "[3]", done=True)
        engine.ingest.load_done(position(500))
        assert not engine.work()
        engine.apply_group([transaction(500)])
        while engine.work():
            pass

    assert list(outbox_rows(engine)) == ["order-1", "order-2", "order-3"]


class WiderMapper(ToyMapper):
    """The toy mapper after somebody mapped another column of orders."""

    version = "toy-2"
    tables = tuple(replace(spec, columns=(*spec.columns, "note")) if spec.name == "orders" else spec for spec in TABLES)


def test_a_mapping_that_asks_for_another_column_loads_its_table_again(tmp_path: Path) -> None:
    """No object is rendered, let alone deleted, from a table that waits to be loaded again."""
    engine = toy_engine(tmp_path)
    apply(engine, 100, insert("orders", 5, None, "9.00"), insert("items", 50, 5, "x"))
    settle(engine)
    engine.close()
    wider = Engine(tmp_path, WiderMapper(), KEYS, FixedClock())
    with wider.store.transaction():
        assert wider.stale_tables.reopen()
        wider.rendering.resume_mapping()
    apply(wider, 200, update("items", (50, 5, "x"), (50, 5, "y")))
    with wider.store.transaction():
        while wider.work():
            pass
    assert outbox_rows(wider) == {}
    with wider.store.transaction():
        wider.ingest.load_chunk("orders", [(5, None, "9.00", "a note")], position(150), "[5]", done=True)
        wider.ingest.load_done(position(200))
        while wider.work():
            pass

    assert {name: row[:2] for name, row in outbox_rows(wider).items()} == {"item-50": ("UPSERT", '{"sku":"y"}')}


def test_a_sweep_during_the_load_asks_for_pulls(tmp_path: Path) -> None:
    """Objects that a reference row's change names are pulled too while their rows are not known to be complete."""
    engine = toy_engine(tmp_path, phase=Phase.FETCHING_REFERENCES)
    with engine.store.transaction():
        engine.ingest.references_read()
        engine.ingest.load_chunk("customers", [(1, "a@example.com", 1)], position(50), "[1]", done=True)
    apply(engine, 100, update("groups", (1, "General"), (1, "Wholesale")))
    with engine.store.transaction():
        while engine.work():
            pass

    assert outbox_rows(engine) == {}
    assert render_queue.to_fetch(engine.store, 10) == [ObjectRef(Kind.CUSTOMER, 1)]
