"""Deletions told by topics of other tools are remembered for a day after everything of their time was read."""

from __future__ import annotations

from pathlib import Path

from cdc.engine.engine import Engine
from cdc.kafka.row_order import RowOrder
from cdc.model import Cells, Change, Feed, Op, Position, ReportedPosition, Transaction
from cdc.replica.cascades import core_foreign_keys
from cdc.replica.load_state import Phase
from cdc.settings.config import Settings
from mappers.mapping import MagentoMapping
from tests.kit.toy import FixedClock

HOUR_MS = 3_600_000
START_MS = 1_700_000_000_000
ORDER = "sales_order"


class Topic:
    """A member of one topic, hour by hour: in each, an order comes and goes."""

    def __init__(self, folder: Path) -> None:
        self.clock = FixedClock(START_MS)
        self.engine = Engine(
            folder, MagentoMapping(Settings().mapping), core_foreign_keys(), self.clock, has_server=False
        )
        self.engine.applier.is_unordered = True
        self._number = 0
        with self.engine.store.transaction():
            self.engine.moves.begin(Position("arrival.0", 0), Phase.COMPLETE)

    def row(self, number: int) -> Cells:
        """An order's."""
        columns = self.engine.rows.tables[ORDER].spec.columns
        values = {"entity_id": number, "increment_id": f"{number:09}"}
        return tuple(values.get(column) for column in columns)  # type: ignore[misc]

    def take(self, change: Change | None, feed: Feed) -> None:
        """One transaction."""
        self._number += 1
        changes = (change,) if change is not None else ()
        with self.engine.store.transaction():
            self.engine.apply_group([Transaction(changes, Position("arrival.0", self._number), 0, feed=feed)])

    def tell(self, change: Change, offset: int) -> None:
        """A record of the topic, at this position of the source's log."""
        at = ReportedPosition("orders/0", Position("binlog.000001", offset), self.clock.now_ms())
        self.take(change, Feed(rows_at=at))

    def hour(self, number: int, *, caught_up: bool = True) -> None:
        """An order came and went; then everything is read."""
        self.clock.ms = START_MS + number * HOUR_MS
        self.tell(Change(ORDER, Op.INSERT, None, self.row(number + 1)), 1000 * number + 500)
        self.tell(Change(ORDER, Op.DELETE, self.row(number + 1), None), 1000 * number + 600)
        if caught_up:
            self.take(None, Feed(is_caught_up=True))

    @property
    def remembered(self) -> int:
        """How many deletions are held."""
        count: int = self.engine.store.db.execute("SELECT count(*) FROM tombstone").fetchone()[0]
        return count


def test_deletions_are_forgotten_a_day_after_everything_was_read(tmp_path: Path) -> None:
    """The table stays as large as a day's deletions, however long the member runs."""
    topic = Topic(tmp_path)
    counts = []
    for hour in range(100):
        topic.hour(hour)
        counts.append(topic.remembered)
    topic.engine.close()

    assert counts[:24] == [*range(1, 25)]
    assert max(counts) <= 26


def test_nothing_is_forgotten_while_a_partition_is_not_read(tmp_path: Path) -> None:
    """What was not caught up may hold a child of the deleted row still."""
    topic = Topic(tmp_path)
    for hour in range(60):
        topic.hour(hour, caught_up=False)
    assert topic.remembered == 60
    topic.engine.close()


def test_a_late_child_of_the_last_day_does_not_outlive_its_parent(tmp_path: Path) -> None:
    """An item that another topic brings hours after its order's deletion goes along."""
    topic = Topic(tmp_path)
    for hour in range(30):
        topic.hour(hour)
    columns = topic.engine.rows.tables["sales_order_item"].spec.columns
    item = tuple({"item_id": 7, "order_id": 29}.get(column) for column in columns)
    at = ReportedPosition("items/0", Position("binlog.000001", 28_550), topic.clock.now_ms())
    topic.take(Change("sales_order_item", Op.INSERT, None, item), Feed(rows_at=at))
    assert topic.engine.rows.tables["sales_order_item"].get((7,)) is None
    topic.engine.close()


def test_partitions_of_two_kinds_of_order_have_no_newest_record() -> None:
    """LSNs made of positions and of moments of writing cannot be compared: nothing is forgotten by them."""
    order = RowOrder()
    assert order.newest() is None
    first = order.lsn(ReportedPosition("a/0", Position("binlog.000001", 500), 1000))
    assert order.newest() == first
    order.lsn(ReportedPosition("b/0", None, 0, written_ms=START_MS))
    assert order.newest() is None
