"""What the relay publishes of a replica's changes, and how a state that lost its disk goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from cdc.engine.engine import Engine
from cdc.errors import SetupError
from cdc.kafka.record import KafkaRecord, Mark, RowChange, decode, encode
from cdc.model import Change, Op, Transaction
from cdc.relay import journal
from cdc.relay.journal import Journal
from cdc.relay.local import prepare, published
from cdc.replica.load_state import Phase
from tests.kit.changes_topic import faults_of_order
from tests.kit.toy import KEYS, FixedClock, ToyMapper, contents, delete, insert, position, transaction, update

NAMES = ("customers", "orders", "items")


class Log:
    """A topic in memory: what was published, and its last mark."""

    def __init__(self) -> None:
        self.records: list[KafkaRecord] = []
        self.mark: Mark | None = None

    def publish(self, engine: Engine, name: str, max_bytes: int = 1 << 20, at_most: int = 1 << 30) -> None:
        """What a publisher does, until nothing waits or so many Kafka transactions are written."""
        while at_most > 0:
            after = self.mark.sequence if self.mark else 0
            found = journal.pieces(engine.store, after, max_bytes)
            if not found:
                return
            self.mark = dataclasses.replace(found[-1].mark, sequence=found[-1].sequence, relay=name)
            self.records += [record for piece in found for record in piece.records]
            with engine.store.transaction():
                published(engine, self.mark.sequence)
            at_most -= 1

    @property
    def changes(self) -> list[RowChange]:
        items = [decode(record) for record in self.records]
        return [item for item in items if isinstance(item, RowChange)]


def started(folder: Path, log: Log) -> tuple[Engine, str]:
    """A relay's state on this folder, level with the log; fresh ones begin at the log's start."""
    engine = Engine(folder, ToyMapper(), KEYS, FixedClock())
    name = prepare(engine, log.mark, log.records)
    engine.reread()
    if engine.positions.position is None:
        with engine.store.transaction():
            engine.moves.begin(position(4), Phase.COMPLETE)
    return engine, name


def apply(engine: Engine, *transactions: Transaction) -> None:
    """In one local commit."""
    with engine.store.transaction():
        engine.apply_group(transactions)


def texts(changes: Sequence[RowChange]) -> list[str]:
    """Short: letter, table, key."""
    return [f"{change.op} {change.table} {change.key[0]!r}" for change in changes]


SHOP = (
    transaction(100, insert("customers", 1, "a@example.com", 1), insert("orders", 5, 1, "9.00")),
    transaction(200, insert("items", 50, 5, "x"), insert("items", 51, 5, "y")),
)


def test_cascades_are_changes_of_their_own(tmp_path: Path) -> None:
    """CASCADE and SET NULL, which the log never shows, follow their parent in its transaction."""
    log = Log()
    engine, name = started(tmp_path, log)
    apply(engine, *SHOP)
    apply(engine, transaction(300, delete("customers", 1, "a@example.com", 1), delete("orders", 5, None, "9.00")))
    log.publish(engine, name)

    last = [change for change in log.changes if change.origin.position == position(300)]
    assert texts(last) == ["d customers 1", "u orders 5", "d orders 5", "d items 50", "d items 51"]
    assert [change.row for change in last] == [1, 2, 3, 4, 5]
    assert [change.is_last for change in last] == [False, False, False, False, True]
    assert faults_of_order(log.changes) == []


def test_a_truncate_deletes_every_row(tmp_path: Path) -> None:
    """So that compaction and readers need not know the word."""
    log = Log()
    engine, name = started(tmp_path, log)
    apply(engine, *SHOP, transaction(300, Change("items", Op.TRUNCATE, None, None)))
    log.publish(engine, name)

    assert texts(log.changes)[-2:] == ["d items 50", "d items 51"]


def test_a_moved_key_is_a_deletion_and_an_insert(tmp_path: Path) -> None:
    """Both keys are told, the old one first."""
    log = Log()
    engine, name = started(tmp_path, log)
    apply(engine, *SHOP, transaction(300, update("items", (50, 5, "x"), (60, 5, "x"))))
    log.publish(engine, name)

    assert texts(log.changes)[-2:] == ["d items 50", "c items 60"]


def test_what_changes_nothing_is_not_published(tmp_path: Path) -> None:
    """An update to the same values, a deletion of what is not there, a heartbeat."""
    log = Log()
    engine, name = started(tmp_path, log)
    apply(engine, *SHOP)
    log.publish(engine, name)
    before = len(log.changes)
    apply(engine, transaction(300, update("items", (50, 5, "x"), (50, 5, "x")), delete("items", 99, 5, "z")))
    apply(engine, transaction(400))
    log.publish(engine, name)

    assert len(log.changes) == before
    assert isinstance(engine.journal, Journal)
    assert engine.journal.position().position == position(400)


def test_an_undone_commit_leaves_nothing_behind(tmp_path: Path) -> None:
    """Rows and queue are of one local transaction."""
    log = Log()
    engine, name = started(tmp_path, log)

    def fail() -> None:
        with engine.store.transaction():
            engine.apply_group([SHOP[0]])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    engine.reread()
    apply(engine, *SHOP)
    log.publish(engine, name)

    assert texts(log.changes) == ["c customers 1", "c orders 5", "c items 50", "c items 51"]


def large(rows: int) -> Transaction:
    """One transaction with a new item per row, each then changed once, the first one deleted at the end."""
    first = [insert("items", n, 5, "s" * 300) for n in range(1000, 1000 + rows)]
    then = [update("items", (n, 5, "s" * 300), (n, 5, "t" * 300)) for n in range(1000, 1000 + rows)]
    return transaction(900, *first, *then, delete("items", 1000, 5, "t" * 300))


@pytest.mark.parametrize("written", range(8))
def test_a_disk_lost_within_a_split_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    """The topic says up to which row of the source it is; the rest comes after it, and nothing twice."""
    monkeypatch.setattr(journal, "PIECE_BYTES", 10_000)
    log = Log()
    engine, name = started(tmp_path / "old", log)
    apply(engine, *SHOP)
    apply(engine, large(60))
    log.publish(engine, name, max_bytes=15_000, at_most=written)
    engine.close()

    fresh, name = started(tmp_path / "new", log)
    missed = [
        one
        for one in (*SHOP, large(60))
        if fresh.positions.position is None or one.end.offset > fresh.positions.position.offset
    ]
    apply(fresh, *missed)
    log.publish(fresh, name)

    assert faults_of_order(log.changes) == []
    assert len([change for change in log.changes if change.origin.position == position(900)]) == 121
    rows = {row[0]: row for row in contents(fresh)["items"]}
    folded = {}
    for change in log.changes:
        if change.table == "items" and change.after is not None:
            folded[change.key[0]] = tuple(change.after.values())
        elif change.table == "items":
            folded.pop(change.key[0], None)
    assert folded == rows


def test_a_state_the_topic_does_not_know_is_rebuilt(tmp_path: Path) -> None:
    """Another relay has written since: its topic counts, not what this disk holds."""
    log = Log()
    old, name = started(tmp_path / "old", log)
    apply(old, *SHOP)
    log.publish(old, name)
    apply(old, transaction(300, insert("items", 77, 5, "never published")))
    old.close()
    other, name = started(tmp_path / "other", log)
    apply(other, transaction(300, insert("items", 78, 5, "z")))
    log.publish(other, name)
    other.close()

    again, name = started(tmp_path / "old", log)

    assert [row[0] for row in contents(again)["items"]] == [50, 51, 78]
    assert again.positions.position == position(300)
    apply(again, transaction(400, insert("items", 79, 5, "w")))
    log.publish(again, name)
    assert faults_of_order(log.changes) == []


def test_a_topic_that_was_emptied_is_refused(tmp_path: Path) -> None:
    """This state has published, and the topic knows of nothing: going on would leave readers with a part."""
    log = Log()
    engine, name = started(tmp_path, log)
    apply(engine, *SHOP)
    log.publish(engine, name)
    engine.close()

    with pytest.raises(SetupError, match="the topic holds no position"):
        started(tmp_path, Log())


def test_a_crash_after_the_topics_commit_repeats_nothing(tmp_path: Path) -> None:
    """The pieces are in the topic and still in the queue: the mark says so."""
    log = Log()
    engine, name = started(tmp_path, log)
    apply(engine, *SHOP)
    [*found] = journal.pieces(engine.store, 0, 1 << 20)
    log.records += [record for piece in found for record in piece.records]
    log.mark = dataclasses.replace(found[-1].mark, sequence=found[-1].sequence, relay=name)
    engine.close()  # before it heard of the commit

    engine, name = started(tmp_path, log)
    apply(engine, transaction(300, insert("items", 60, 5, "z")))
    log.publish(engine, name)

    assert faults_of_order(log.changes) == []
    assert texts(log.changes)[-1] == "c items 60"
    assert encode(log.mark).value
