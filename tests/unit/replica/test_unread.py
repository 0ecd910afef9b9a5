"""Rows that the log tells only in part: merged where they are held, read where they are not, right in the end."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.engine.engine import Replica
from cdc.errors import UnsupportedEventError
from cdc.model import ABSENT, Absent, Cells, Change, Image, Kind, ObjectRef, Op, Row, Transaction, Value
from cdc.protocols import RowReader
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
    toy_replica,
    transaction,
)
from tests.unit.engine.test_convergence import Shop, _stream, expected, history, shop_of

_SLOW = [HealthCheck.too_slow, HealthCheck.large_base_example]


def part(table: str, key: int, *cells: Value | Absent, image: Image = Image.PARTIAL, moved_to: int = 0) -> Change:
    """An UPDATE with MINIMAL images: the key before, the key and what changed after."""
    before: Cells = (key, *[ABSENT] * len(cells))
    return Change(table, Op.UPDATE, before, (moved_to or key, *cells), True, image)


def apply(replica: Replica, *changes: Change, at: int) -> None:
    """One transaction that ends at this place."""
    with replica.store.transaction():
        replica.apply_group([transaction(at, *changes)])


def unread(replica: Replica) -> list[UnreadRow]:
    """What has to be read now."""
    return replica.unread_rows(100)[0]


def arrive(replica: Replica, *rows: Cells | None, seen: int) -> None:
    """The server's answers to all that has to be read, in its order."""
    asked, lsn = replica.unread_rows(100)
    with replica.store.transaction():
        replica.take_unread(list(zip(asked, rows, strict=True)), lsn, position(seen))


# ------------------------------------------------------------------------------------------------ one by one


def test_a_row_that_is_not_held_is_read(tmp_path: Path) -> None:
    """Half a row never gets into the replica; the whole one does when it is read."""
    replica = toy_replica(tmp_path)
    apply(replica, part("orders", 5, ABSENT, "8.00"), at=100)
    assert contents(replica)["orders"] == []
    assert [(row.table, row.key) for row in unread(replica)] == [("orders", (5,))]

    arrive(replica, (5, None, "8.00"), seen=100)

    assert contents(replica)["orders"] == [(5, None, "8.00")]
    assert unread(replica) == []


def test_what_a_read_row_bears_on_is_rendered_once_the_log_has_passed_the_read(tmp_path: Path) -> None:
    """The row may be ahead of the log, and other rows are not."""
    replica = toy_replica(tmp_path)
    apply(replica, part("orders", 5, ABSENT, "8.00"), at=100)
    arrive(replica, (5, None, "9.00"), seen=200)
    with replica.store.transaction():
        replica.work()
    assert outbox_rows(replica) == {}

    apply(replica, part("orders", 5, ABSENT, "9.00"), at=200)
    with replica.store.transaction():
        replica.work()

    assert [row[1] for row in outbox_rows(replica).values()] == ['{"items":"0","total":"9.00"}']


def test_a_held_row_stays_until_what_is_unknown_is_read(tmp_path: Path) -> None:
    """UNKNOWN: some columns have values that the log does not tell; the old row is whole, half of a new one is not."""
    replica = toy_replica(tmp_path)
    apply(replica, insert("orders", 5, None, "1.00"), at=100)
    apply(replica, part("orders", 5, ABSENT, ABSENT, image=Image.UNKNOWN), at=200)
    apply(replica, part("orders", 5, ABSENT, "3.00"), at=300)
    assert contents(replica)["orders"] == [(5, None, "1.00")]

    arrive(replica, (5, 7, "3.00"), seen=300)

    assert contents(replica)["orders"] == [(5, 7, "3.00")]


def test_a_row_that_the_log_tells_of_meanwhile_is_read_again(tmp_path: Path) -> None:
    """What was read before the log's last word may lack it."""
    replica = toy_replica(tmp_path)
    apply(replica, part("orders", 5, ABSENT, "2.00"), at=100)
    asked, lsn = replica.unread_rows(100)
    apply(replica, part("orders", 5, ABSENT, "3.00"), at=200)
    with replica.store.transaction():
        replica.take_unread([(asked[0], (5, None, "2.00"))], lsn, position(200))

    assert contents(replica)["orders"] == []
    assert [row.lsn for row in unread(replica)] == [replica.places.lsn(position(200))]


@pytest.mark.parametrize("last", ["insert", "delete", "truncate", "no row"])
def test_a_row_that_is_told_whole_or_gone_need_not_be_read(tmp_path: Path, last: str) -> None:
    """An INSERT of all columns, a DELETE, a TRUNCATE and a read that finds no row end the wait."""
    replica = toy_replica(tmp_path)
    apply(replica, part("orders", 5, ABSENT, "2.00"), at=100)
    if last == "insert":
        apply(replica, insert("orders", 5, None, "4.00"), at=200)
    elif last == "delete":
        apply(replica, delete("orders", 5, None, "2.00"), at=200)
    elif last == "truncate":
        apply(replica, Change("orders", Op.TRUNCATE, None, None), at=200)
    else:
        arrive(replica, None, seen=100)

    assert unread(replica) == []
    assert contents(replica)["orders"] == ([(5, None, "4.00")] if last == "insert" else [])


def test_a_read_row_whose_parent_went_meanwhile_goes_along(tmp_path: Path) -> None:
    """The cascade was below the log, and the row was not held when it happened."""
    replica = toy_replica(tmp_path)
    apply(replica, insert("orders", 5, None, "1.00"), at=100)
    apply(replica, part("items", 50, ABSENT, "x"), at=200)
    asked, lsn = replica.unread_rows(100)
    apply(replica, delete("orders", 5, None, "1.00"), at=300)
    with replica.store.transaction():
        replica.take_unread([(asked[0], (50, 5, "x"))], lsn, position(300))

    assert contents(replica)["items"] == []
    assert replica.store.db.execute("SELECT count(*) FROM tombstone").fetchone()[0] == 0


def test_a_row_whose_parent_is_unknown_does_not_follow_the_one_it_had(tmp_path: Path) -> None:
    """It may belong to another by now, and go or stay with that one: what is read decides."""
    replica = toy_replica(tmp_path)
    orders = [insert("orders", key, None, "1.00") for key in (5, 6)]
    apply(replica, *orders, insert("items", 50, 5, "x"), insert("items", 60, 6, "y"), at=100)
    apply(replica, part("items", 50, ABSENT, ABSENT, image=Image.UNKNOWN), at=200)
    apply(replica, part("items", 60, ABSENT, ABSENT, image=Image.UNKNOWN), at=210)
    apply(replica, delete("orders", 5, None, "1.00"), at=300)
    assert [row[0] for row in contents(replica)["items"]] == [50, 60]

    arrive(replica, None, (50, 6, "x"), seen=300)  # 60 went to order 5, and with it; 50 went to order 6

    assert contents(replica)["items"] == [(50, 6, "x")]


def test_a_partial_change_with_a_new_key_takes_the_rest_along(tmp_path: Path) -> None:
    """A moved row keeps what the image does not carry; one that is not held is read under its new key."""
    replica = toy_replica(tmp_path)
    apply(replica, insert("orders", 5, 7, "1.00"), at=100)
    apply(replica, part("orders", 5, ABSENT, ABSENT, moved_to=6), at=200)
    apply(replica, part("orders", 8, ABSENT, ABSENT, moved_to=9), at=300)

    assert contents(replica)["orders"] == [(6, 7, "1.00")]
    assert [row.key for row in unread(replica)] == [(9,)]


def test_what_a_pulled_row_bore_on_is_rendered_although_the_log_does_not_tell_it(tmp_path: Path) -> None:
    """A pull ahead of the log hides where a row was, and the before-image that comes later holds just its key."""
    replica = toy_replica(tmp_path, complete=False)
    with replica.store.transaction():
        replica.references_done()
    apply(replica, insert("items", 50, 5, "x"), part("orders", 9, ABSENT, "1.00"), at=100)
    with replica.store.transaction():
        replica.store.db.execute("DELETE FROM dirty")
        replica.pull([("items", [(50, 6, "x")])], position(100 + 1))
    apply(replica, part("items", 50, 6, ABSENT), at=200)

    assert ObjectRef(Kind.ORDER, 5) in replica.to_pull(10)


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
    replica = Replica(tmp_path, Choosy(), KEYS, FixedClock())
    with replica.store.transaction():
        replica.begin(position(4), complete=True)
    apply(replica, insert("orders", 5, 1, "1.00"), at=100)

    apply(replica, change, at=200)

    assert bool(unread(replica)) == is_read


def test_rows_that_may_just_not_be_loaded_are_read(tmp_path: Path) -> None:
    """Until everything is loaded, a row that is not held may be one to keep."""
    replica = Replica(tmp_path, Choosy(), KEYS, FixedClock())
    with replica.store.transaction():
        replica.begin(position(4), complete=False)
    apply(replica, part("orders", 5, ABSENT, "2.00"), at=100)

    assert [row.key for row in unread(replica)] == [(5,)]


def test_without_a_server_a_part_of_a_row_stops(tmp_path: Path) -> None:
    """Files alone cannot tell the rest: that is said, with advice, and nothing is passed over."""
    replica = Replica(tmp_path, ToyMapper(), KEYS, FixedClock(), has_server=False)
    with replica.store.transaction():
        replica.begin(position(4), complete=True)

    with pytest.raises(UnsupportedEventError, match="orders") as caught:
        apply(replica, part("orders", 5, ABSENT, "2.00"), at=100)
    assert "through the server" in caught.value.hint


def test_what_has_to_be_read_survives_a_restart(tmp_path: Path) -> None:
    """The keys are in the state, with the position."""
    replica = toy_replica(tmp_path)
    apply(replica, part("orders", 5, ABSENT, "2.00"), at=100)
    replica.close()

    again = toy_replica(tmp_path)

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

    def __init__(self, data: st.DataObject, replica: Replica, shop: Shop) -> None:
        self._data, self._replica, self._shop = data, replica, shop
        self._on_the_way: list[tuple[list[tuple[UnreadRow, Cells | None]], int, int]] = []

    def ask(self, applied: int) -> None:
        """A locking read shows all that the log has told, and perhaps more."""
        rows, lsn = self._replica.unread_rows(self._data.draw(st.integers(1, 3)))
        shown = self._data.draw(st.integers(applied, len(self._shop.log)), label="read shows")
        seen: dict[str, dict[Value, Cells]] = self._shop.seen[shown]  # type: ignore[assignment]  # keys are numbers
        answers = [(row, seen[row.table].get(row.key[0])) for row in rows]
        if answers:
            self._on_the_way.append((answers, lsn, shown))

    def take(self) -> None:
        """The oldest answer arrives."""
        if self._on_the_way:
            answers, lsn, shown = self._on_the_way.pop(0)
            with self._replica.store.transaction():
                self._replica.take_unread(answers, lsn, _end(self._shop.log, shown))

    def finish(self) -> None:
        """All that is to be read is."""
        while self._on_the_way or self._replica.unread.any:
            self.ask(len(self._shop.log))
            self.take()


def _end(log: list[Transaction], count: int):  # type: ignore[no-untyped-def]  # a Position
    return log[count - 1].end if count else position(4)


@given(history, st.data())
@settings(max_examples=example_count(50), deadline=None, suppress_health_check=_SLOW)
def test_partial_images_end_as_whole_ones_do(
    transactions: list[list[tuple[str, str, int, int, int]]], data: st.DataObject
) -> None:
    """Whatever the log leaves out and whenever rows are read, with a replay or without: the replica is the database."""
    shop = shop_of(transactions)
    degrade(data, shop)
    with tempfile.TemporaryDirectory() as folder:
        replica = toy_replica(Path(folder))
        reads = Reads(data, replica, shop)
        for is_replay in (False, True):
            applied = 0
            while applied < len(shop.log):
                applied = data.draw(st.integers(applied, len(shop.log)), label="stream applied")
                _stream(replica, shop, applied)
                if data.draw(st.booleans()):
                    reads.ask(applied)
                if data.draw(st.booleans()):
                    reads.take()
            reads.finish()
            assert contents(replica) == expected(shop)
            if not is_replay and shop.log:
                with replica.store.transaction():
                    replica.rewind(_end(shop.log, data.draw(st.integers(0, len(shop.log)), label="replay from")))
        replica.close()


@given(history, st.data())
@settings(max_examples=example_count(50), deadline=None, suppress_health_check=_SLOW)
def test_a_load_under_partial_images_ends_as_the_database(
    transactions: list[list[tuple[str, str, int, int, int]]], data: st.DataObject
) -> None:
    """Chunks of any moment, rows read by key and a log of partial images together lose and invent nothing."""
    shop = shop_of(transactions)
    if not shop.log:
        return
    degrade(data, shop)
    with tempfile.TemporaryDirectory() as folder:
        replica = toy_replica(Path(folder), complete=False)
        start = applied = shown = data.draw(st.integers(0, len(shop.log)), label="stream starts at")
        with replica.store.transaction():
            replica.rewind(_end(shop.log, start))
        reads = Reads(data, replica, shop)
        for table, keys in [(spec.name, keys) for spec in TABLES for keys in ([1, 2], [3, 4, 11, 12, 13])]:
            shown = data.draw(st.integers(shown, len(shop.log)), label="SELECT shows")
            safe = data.draw(st.integers(start, shown), label="safe place")
            applied = data.draw(st.integers(applied, len(shop.log)), label="stream applied")
            _stream(replica, shop, applied)
            if data.draw(st.booleans()):
                reads.ask(applied)
            rows: list[Cells] = [shop.seen[shown][table][k] for k in keys if k in shop.seen[shown][table]]
            with replica.store.transaction():
                replica.load_chunk(table, rows, _end(shop.log, safe), None, done=keys[0] == 3)
            if data.draw(st.booleans()):
                reads.take()
        _stream(replica, shop, len(shop.log))
        reads.finish()

        assert contents(replica) == expected(shop)
        replica.close()
