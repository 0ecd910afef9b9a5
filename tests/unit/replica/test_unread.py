"""Rows that the log tells only in part: merged where they are held, read where they are not, right in the end."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.engine.engine import Engine
from cdc.errors import UnsupportedEventError
from cdc.model import ABSENT, Absent, Cells, Change, Image, Kind, ObjectRef, Op, Row, Transaction, Value
from cdc.protocols import RowReader
from cdc.replica.load_state import Phase
from cdc.replica.unread import UnreadRow
from tests.kit.example_count import example_count
from tests.kit.toy import (
    KEYS,
    TABLES,
    FixedClock,
    ToyMapper,
    contents,
    delete,
    insert,
    outbox_rows,
    position,
    toy_engine,
    transaction,
)
from tests.unit.engine.test_convergence import Shop, _stream, expected, history, shop_of

_SLOW = [HealthCheck.too_slow, HealthCheck.large_base_example]


def part(table: str, key: int, *cells: Value | Absent, image: Image = Image.PARTIAL, moved_to: int = 0) -> Change:
    """An UPDATE with MINIMAL images: the key before, the key and what changed after."""
    before: Cells = (key, *[ABSENT] * len(cells))
    return Change(table, Op.UPDATE, before, (moved_to or key, *cells), True, image)


def apply(engine: Engine, *changes: Change, at: int) -> None:
    """One transaction that ends at this position."""
    with engine.store.transaction():
        engine.apply_group([transaction(at, *changes)])


def unread(engine: Engine) -> list[UnreadRow]:
    """What has to be read now."""
    return engine.ingest.unread_rows(100)[0]


def arrive(engine: Engine, *rows: Cells | None, seen: int) -> None:
    """The server's answers to all that has to be read, in its order."""
    asked, lsn = engine.ingest.unread_rows(100)
    with engine.store.transaction():
        engine.ingest.take_unread(list(zip(asked, rows, strict=True)), lsn, position(seen))


# ------------------------------------------------------------------------------------------------ one by one


def test_a_row_that_is_not_held_is_read(tmp_path: Path) -> None:
    """Half a row never gets into the replica; the whole one does when it is read."""
    engine = toy_engine(tmp_path)
    apply(engine, part("orders", 5, ABSENT, "8.00"), at=100)
    assert contents(engine)["orders"] == []
    assert [(row.table, row.key) for row in unread(engine)] == [("orders", (5,))]

    arrive(engine, (5, None, "8.00"), seen=100)

    assert contents(engine)["orders"] == [(5, None, "8.00")]
    assert unread(engine) == []


def test_what_a_read_row_bears_on_is_rendered_once_the_log_has_passed_the_read(tmp_path: Path) -> None:
    """The row may be ahead of the log, and other rows are not."""
    engine = toy_engine(tmp_path)
    apply(engine, part("orders", 5, ABSENT, "8.00"), at=100)
    arrive(engine, (5, None, "9.00"), seen=200)
    with engine.store.transaction():
        engine.work()
    assert outbox_rows(engine) == {}

    apply(engine, part("orders", 5, ABSENT, "9.00"), at=200)
    with engine.store.transaction():
        engine.work()

    assert [row[1] for row in outbox_rows(engine).values()] == ['{"items":"0","total":"9.00"}']


def test_a_held_row_stays_until_what_is_unknown_is_read(tmp_path: Path) -> None:
    """UNKNOWN: some columns have values that the log does not tell; the old row is whole, half of a new one is not."""
    engine = toy_engine(tmp_path)
    apply(engine, insert("orders", 5, None, "1.00"), at=100)
    apply(engine, part("orders", 5, ABSENT, ABSENT, image=Image.UNKNOWN), at=200)
    apply(engine, part("orders", 5, ABSENT, "3.00"), at=300)
    assert contents(engine)["orders"] == [(5, None, "1.00")]

    arrive(engine, (5, 7, "3.00"), seen=300)

    assert contents(engine)["orders"] == [(5, 7, "3.00")]


def test_a_row_that_the_log_tells_of_meanwhile_is_read_again(tmp_path: Path) -> None:
    """What was read before the log's last word may lack it."""
    engine = toy_engine(tmp_path)
    apply(engine, part("orders", 5, ABSENT, "2.00"), at=100)
    asked, lsn = engine.ingest.unread_rows(100)
    apply(engine, part("orders", 5, ABSENT, "3.00"), at=200)
    with engine.store.transaction():
        engine.ingest.take_unread([(asked[0], (5, None, "2.00"))], lsn, position(200))

    assert contents(engine)["orders"] == []
    assert [row.lsn for row in unread(engine)] == [engine.positions.lsn(position(200))]


@pytest.mark.parametrize("last", ["insert", "delete", "truncate", "no row"])
def test_a_row_that_is_told_whole_or_gone_need_not_be_read(tmp_path: Path, last: str) -> None:
    """An INSERT of all columns, a DELETE, a TRUNCATE and a read that finds no row end the wait."""
    engine = toy_engine(tmp_path)
    apply(engine, part("orders", 5, ABSENT, "2.00"), at=100)
    if last == "insert":
        apply(engine, insert("orders", 5, None, "4.00"), at=200)
    elif last == "delete":
        apply(engine, delete("orders", 5, None, "2.00"), at=200)
    elif last == "truncate":
        apply(engine, Change("orders", Op.TRUNCATE, None, None), at=200)
    else:
        arrive(engine, None, seen=100)

    assert unread(engine) == []
    assert contents(engine)["orders"] == ([(5, None, "4.00")] if last == "insert" else [])


def test_a_read_row_whose_parent_went_meanwhile_goes_along(tmp_path: Path) -> None:
    """The cascade was below the log, and the row was not held when it happened."""
    engine = toy_engine(tmp_path)
    apply(engine, insert("orders", 5, None, "1.00"), at=100)
    apply(engine, part("items", 50, ABSENT, "x"), at=200)
    asked, lsn = engine.ingest.unread_rows(100)
    apply(engine, delete("orders", 5, None, "1.00"), at=300)
    with engine.store.transaction():
        engine.ingest.take_unread([(asked[0], (50, 5, "x"))], lsn, position(300))

    assert contents(engine)["items"] == []
    assert engine.store.db.execute("SELECT count(*) FROM tombstone").fetchone()[0] == 0


def test_a_row_whose_parent_is_unknown_does_not_follow_the_one_it_had(tmp_path: Path) -> None:
    """It may belong to another by now, and go or stay with that one: what is read decides."""
    engine = toy_engine(tmp_path)
    orders = [insert("orders", key, None, "1.00") for key in (5, 6)]
    apply(engine, *orders, insert("items", 50, 5, "x"), insert("items", 60, 6, "y"), at=100)
    apply(engine, part("items", 50, ABSENT, ABSENT, image=Image.UNKNOWN), at=200)
    apply(engine, part("items", 60, ABSENT, ABSENT, image=Image.UNKNOWN), at=210)
    apply(engine, delete("orders", 5, None, "1.00"), at=300)
    assert [row[0] for row in contents(engine)["items"]] == [50, 60]

    arrive(engine, None, (50, 6, "x"), seen=300)  # 60 went to order 5, and with it; 50 went to order 6

    assert contents(engine)["items"] == [(50, 6, "x")]


def test_a_partial_change_with_a_new_key_takes_the_rest_along(tmp_path: Path) -> None:
    """A moved row keeps what the image does not carry; one that is not held is read under its new key."""
    engine = toy_engine(tmp_path)
    apply(engine, insert("orders", 5, 7, "1.00"), at=100)
    apply(engine, part("orders", 5, ABSENT, ABSENT, moved_to=6), at=200)
    apply(engine, part("orders", 8, ABSENT, ABSENT, moved_to=9), at=300)

    assert contents(engine)["orders"] == [(6, 7, "1.00")]
    assert [row.key for row in unread(engine)] == [(9,)]


def test_what_a_pulled_row_bore_on_is_rendered_although_the_log_does_not_tell_it(tmp_path: Path) -> None:
    """A pull ahead of the log hides where a row was, and the before-image that comes later holds just its key."""
    engine = toy_engine(tmp_path, phase=Phase.FETCHING_REFERENCES)
    with engine.store.transaction():
        engine.ingest.references_read()
    apply(engine, insert("items", 50, 5, "x"), part("orders", 9, ABSENT, "1.00"), at=100)
    with engine.store.transaction():
        engine.store.db.execute("DELETE FROM render_queue")
        engine.ingest.take_fetched([("items", [(50, 6, "x")])], position(100 + 1))
    apply(engine, part("items", 50, 6, ABSENT), at=200)

    assert ObjectRef(Kind.ORDER, 5) in engine.ingest.to_fetch(10)


class Choosy(ToyMapper):
    """Keeps orders of customer 7 only."""

    tables = tuple(replace(t, kept_by=frozenset({"customer_id"})) if t.name == "orders" else t for t in TABLES)

    def keep(self, table: str, row: Row, rows: RowReader) -> bool:
        return table != "orders" or row["customer_id"] == 7


@pytest.mark.parametrize(("change", "is_read"), [
    (part("orders", 5, ABSENT, "2.00"), False),  # whatever was not kept stays so
    (part("orders", 5, 7, ABSENT), True),
    (part("orders", 5, 8, ABSENT), False),
    (part("orders", 5, ABSENT, ABSENT, image=Image.UNKNOWN), True),
])  # fmt: skip
def test_rows_that_are_not_kept_are_not_read(tmp_path: Path, change: Change, is_read: bool) -> None:
    """Only what may make a row one to keep asks for it: else every value of an unmapped attribute would be read."""
    engine = Engine(tmp_path, Choosy(), KEYS, FixedClock())
    with engine.store.transaction():
        engine.moves.begin(position(4), Phase.COMPLETE)
    apply(engine, insert("orders", 5, 1, "1.00"), at=100)

    apply(engine, change, at=200)

    assert bool(unread(engine)) == is_read


def test_rows_that_may_just_not_be_loaded_are_read(tmp_path: Path) -> None:
    """Until everything is loaded, a row that is not held may be one to keep."""
    engine = Engine(tmp_path, Choosy(), KEYS, FixedClock())
    with engine.store.transaction():
        engine.moves.begin(position(4), Phase.FETCHING_REFERENCES)
    apply(engine, part("orders", 5, ABSENT, "2.00"), at=100)

    assert [row.key for row in unread(engine)] == [(5,)]


def test_without_a_server_a_part_of_a_row_stops(tmp_path: Path) -> None:
    """Files alone cannot tell the rest: that is said, with advice, and nothing is passed over."""
    engine = Engine(tmp_path, ToyMapper(), KEYS, FixedClock(), has_server=False)
    with engine.store.transaction():
        engine.moves.begin(position(4), Phase.COMPLETE)

    with pytest.raises(UnsupportedEventError, match="orders") as caught:
        apply(engine, part("orders", 5, ABSENT, "2.00"), at=100)
    assert "through the server" in caught.value.hint


def test_what_has_to_be_read_survives_a_restart(tmp_path: Path) -> None:
    """The keys are in the state, with the position."""
    engine = toy_engine(tmp_path)
    apply(engine, part("orders", 5, ABSENT, "2.00"), at=100)
    engine.close()

    again = toy_engine(tmp_path)

    assert again.unread.any
    assert [row.key for row in unread(again)] == [(5,)]


# ---------------------------------------------------------------------------------------------- any interleaving


def degraded(change: Change, image: Image) -> Change:
    """The change as a server writes it that logs little."""
    before = (change.before[0], *[ABSENT] * (len(change.before) - 1)) if change.before is not None else None
    if change.after is None or image is Image.WHOLE:
        return change._replace(before=before)
    if image is Image.UNKNOWN:
        return change._replace(before=before, after=(change.after[0], *[ABSENT] * (len(change.after) - 1)), image=image)
    if change.before is None:
        return change
    after = [new if new != old else ABSENT for old, new in zip(change.before, change.after, strict=True)]
    return change._replace(before=before, after=(change.after[0], *after[1:]), image=image)


def degrade(data: st.DataObject, shop: Shop) -> None:
    """Give each change an image of any kind."""
    images = st.sampled_from([Image.WHOLE, Image.PARTIAL, Image.PARTIAL, Image.UNKNOWN])
    for number, found in enumerate(shop.log):
        shop.log[number] = replace(found, changes=[degraded(c, data.draw(images)) for c in found.changes])


class Reads:
    """Reads on their way: asked for at one moment, answered with a later state than was applied then, taken later."""

    def __init__(self, data: st.DataObject, engine: Engine, shop: Shop) -> None:
        self._data, self._engine, self._shop = data, engine, shop
        self._on_the_way: list[tuple[list[tuple[UnreadRow, Cells | None]], int, int]] = []

    def ask(self, applied: int) -> None:
        """A locking read shows all that the log has told, and perhaps more."""
        rows, lsn = self._engine.ingest.unread_rows(self._data.draw(st.integers(1, 3)))
        shown = self._data.draw(st.integers(applied, len(self._shop.log)), label="read shows")
        seen: dict[str, dict[Value, Cells]] = self._shop.seen[shown]  # type: ignore[assignment]  # keys are numbers
        answers = [(row, seen[row.table].get(row.key[0])) for row in rows]
        if answers:
            self._on_the_way.append((answers, lsn, shown))

    def take(self) -> None:
        """The oldest answer arrives."""
        if self._on_the_way:
            answers, lsn, shown = self._on_the_way.pop(0)
            with self._engine.store.transaction():
                self._engine.ingest.take_unread(answers, lsn, _end(self._shop.log, shown))

    def finish(self) -> None:
        """All that is to be read is."""
        while self._on_the_way or self._engine.unread.any:
            self.ask(len(self._shop.log))
            self.take()


def _end(log: list[Transaction], count: int):  # type: ignore[no-untyped-def]  # a Position
    return log[count - 1].end if count else position(4)


@given(history, st.data())
@settings(max_examples=example_count(25), deadline=None, suppress_health_check=_SLOW)
def test_partial_images_end_as_whole_ones_do(
    transactions: list[list[tuple[str, str, int, int, int]]], data: st.DataObject
) -> None:
    """Whatever the log leaves out and whenever rows are read, with a replay or without: the replica is the database."""
    shop = shop_of(transactions)
    degrade(data, shop)
    with tempfile.TemporaryDirectory() as folder:
        engine = toy_engine(Path(folder))
        reads = Reads(data, engine, shop)
        for is_replay in (False, True):
            applied = 0
            while applied < len(shop.log):
                applied = data.draw(st.integers(applied, len(shop.log)), label="stream applied")
                _stream(engine, shop, applied)
                if data.draw(st.booleans()):
                    reads.ask(applied)
                if data.draw(st.booleans()):
                    reads.take()
            reads.finish()
            assert contents(engine) == expected(shop)
            if not is_replay and shop.log:
                with engine.store.transaction():
                    engine.moves.rewind(_end(shop.log, data.draw(st.integers(0, len(shop.log)), label="replay from")))
        engine.close()


@given(history, st.data())
@settings(max_examples=example_count(25), deadline=None, suppress_health_check=_SLOW)
def test_a_load_under_partial_images_ends_as_the_database(
    transactions: list[list[tuple[str, str, int, int, int]]], data: st.DataObject
) -> None:
    """Chunks of any moment, rows read by key and a log of partial images together lose and invent nothing."""
    shop = shop_of(transactions)
    if not shop.log:
        return
    degrade(data, shop)
    with tempfile.TemporaryDirectory() as folder:
        engine = toy_engine(Path(folder), phase=Phase.LOADING_REFERENCES)
        start = applied = shown = data.draw(st.integers(0, len(shop.log)), label="stream starts at")
        with engine.store.transaction():
            engine.moves.rewind(_end(shop.log, start))
        reads = Reads(data, engine, shop)
        for table, keys in [(spec.name, keys) for spec in TABLES for keys in ([1, 2], [3, 4, 11, 12, 13])]:
            shown = data.draw(st.integers(shown, len(shop.log)), label="SELECT shows")
            safe = data.draw(st.integers(start, shown), label="safe position")
            applied = data.draw(st.integers(applied, len(shop.log)), label="stream applied")
            _stream(engine, shop, applied)
            if data.draw(st.booleans()):
                reads.ask(applied)
            rows: list[Cells] = [shop.seen[shown][table][k] for k in keys if k in shop.seen[shown][table]]
            with engine.store.transaction():
                engine.ingest.load_chunk(table, rows, _end(shop.log, safe), None, done=keys[0] == 3)
            if data.draw(st.booleans()):
                reads.take()
        _stream(engine, shop, len(shop.log))
        reads.finish()

        assert contents(engine) == expected(shop)
        engine.close()
