"""What is newer is told by records, never by the moment at which a member reads them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from cdc.kafka.column_types import known_types
from cdc.kafka.debezium import DebeziumReader
from cdc.kafka.debezium_values import ValueModes
from cdc.kafka.foreign import Tables
from cdc.kafka.row_order import MOST_SOURCES, PositionsExhaustedError, RowOrder, parse_gtid
from cdc.model import Op, Position, ReportedPosition
from tests.kit.foreign import Connector, Debezium
from tests.unit.kafka.test_foreign_shop import (
    OPS,
    Message,
    Outbox,
    as_row,
    outbox_of,
    recorded,
    shuffled,
    specs,
    transactions,
    types,
)

UUIDS = ("3e11fa47-71ca-11e1-9e33-c80aa9429562", "8a94f357-aab4-11df-86ab-c80aa9429562")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Outbox:
    """The outbox of the recorded day, read in the order of the log."""
    return outbox_of(tmp_path_factory.mktemp("log"), transactions(told(), reader()), unordered=True)


def reader() -> Any:
    return DebeziumReader(Tables.of([*specs().values()], "magento", ""), known_types({}), ValueModes()).read


class Log(NamedTuple):
    """A log of the source: from which change of the day on, how its files begin, and what its events name."""

    since: int
    file: str
    server: int
    uuid: str = ""


def told(logs: Sequence[Log] = (Log(0, "binlog.000007", 4201),), snapshot_at: int = 0) -> list[Message]:
    """The day as Debezium writes it. Changes before ``snapshot_at`` are told by snapshot rows, which name server 0."""
    writer, changes = Debezium(Connector(schemas=False), types=types()), recorded()
    made: list[Message] = []

    def add(table: str, op: str, before: Any, after: Any, number: int, ms: int, **source: Any) -> None:
        log = [one for one in logs if one.since <= number][-1]
        position = log.file, 400 + 10 * (number - log.since)
        row = after if after is not None else before
        key = writer.key(table, specs()[table].key, row) if row is not None else None
        gtid = f"{log.uuid}:{number + 1}" if log.uuid and "server_id" not in source else None
        source = {"server_id": log.server, "gtid": gtid} | source
        made.append((writer.topic(table), key, writer.value(table, op, before, after, position, ms, **source)))
        if op == "d":
            made.append((writer.topic(table), key, None))

    for table, rows in _state(snapshot_at).items():
        for row in rows:
            ms = changes[snapshot_at - 1][2] + snapshot_at
            add(table, "r", None, row, snapshot_at, ms, server_id=0, snapshot="true")
    for number, (change, _, ms) in enumerate(changes):
        if number >= snapshot_at:
            images = as_row(change, change.before), as_row(change, change.after)
            add(change.table, OPS[change.op], *images, number, ms + number)
    return made


def _state(count: int) -> dict[str, list[dict[str, Any]]]:
    """The rows that are there after so many changes of the day."""
    held: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
    for change, _, _ in recorded()[:count]:
        rows, width = held.setdefault(change.table, {}), len(specs()[change.table].key)
        if change.op is Op.TRUNCATE:
            rows.clear()
            continue
        for image in (change.before, change.after):
            if image is not None:
                rows.pop(tuple(image[:width]), None)
        row = as_row(change, change.after)
        if row is not None and change.after is not None:
            rows[tuple(change.after[:width])] = row
    return {table: list(rows.values()) for table, rows in held.items()}


def children_last(messages: Sequence[Message]) -> list[Message]:
    """Topics one after the other, those with changes of the log first."""

    def is_snapshot(message: Message) -> bool:
        return b'"snapshot": "true"' in (message[2] or b"")

    topics = {topic: [m for m in messages if m[0] == topic] for topic in {m[0] for m in messages}}
    order = sorted(topics, key=lambda topic: (is_snapshot(topics[topic][0]), topic))
    return [message for topic in order for message in topics[topic]]


@pytest.mark.parametrize("seed", range(4))
def test_snapshot_rows_are_older_than_changes_whichever_topic_is_read_first(
    seed: int, expected: Outbox, tmp_path: Path
) -> None:
    """Snapshot rows name server 0 and the log's own position: a change read before them stays newer."""
    messages = told(snapshot_at=len(recorded()) // 2)
    mixed = shuffled(messages, seed) if seed else children_last(messages)

    assert outbox_of(tmp_path, transactions(mixed, reader()), unordered=True) == expected


FAILOVERS = {
    "lower file": (Log(0, "binlog.000500", 1), Log(300, "binlog.000003", 2)),
    "same file": (Log(0, "binlog.000007", 1), Log(300, "binlog.000007", 2)),
    "higher file": (Log(0, "binlog.000003", 1), Log(300, "binlog.000700", 2)),
    "other name": (Log(0, "mysql-bin.000500", 1), Log(300, "binlog.000003", 2)),
    "another replica of one server": (Log(0, "binlog.000500", 1), Log(300, "binlog.000003", 1)),
    "there and back": (Log(0, "binlog.000500", 1), Log(200, "binlog.000003", 2), Log(360, "binlog.000501", 1)),
    "there and back by GTID": (
        Log(0, "binlog.000500", 1, UUIDS[0]), Log(200, "binlog.000003", 2, UUIDS[1]),
        Log(360, "binlog.000400", 1, UUIDS[0]),
    ),
    "events of several servers in one log": tuple(
        Log(number, f"binlog.{7 + number // 20:06d}", 1 + number // 20 % 3) for number in range(0, 500, 20)
    ),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("logs", FAILOVERS.values(), ids=FAILOVERS)
def test_a_failover_is_followed_in_any_order_of_topics(
    logs: tuple[Log, ...], seed: int, expected: Outbox, tmp_path: Path
) -> None:
    """What the tool read of another server's log is newer, whatever its files are called and whoever is read first."""
    mixed = shuffled(told(logs), seed)

    assert outbox_of(tmp_path, transactions(mixed, reader()), unordered=True) == expected


def test_a_connector_made_anew_after_a_reset_snapshots_again(expected: Outbox, tmp_path: Path) -> None:
    """The second snapshot's positions lie before those told so far, and its rows are newer all the same."""
    half = len(recorded()) // 2
    first = [message for message in told((Log(0, "binlog.000500", 1),))[:half] if message[2] is not None]
    again = told((Log(0, "binlog.000001", 1),), snapshot_at=half)

    assert outbox_of(tmp_path, transactions([*first, *again], reader()), unordered=True) == expected


def test_a_restart_of_the_tool_repeats_what_is_known(expected: Outbox, tmp_path: Path) -> None:
    """Repetitions begin no epoch, also when all that came before is repeated twice."""
    messages = told()
    third = len(messages) // 3
    repeated = [*messages[: 2 * third], *messages[third : 2 * third], *messages[third:]]

    assert outbox_of(tmp_path, transactions(repeated, reader()), unordered=True) == expected
    order = RowOrder()
    for at in reported(repeated):
        order.lsn(at)
    assert order.epochs == 1


def reported(messages: Sequence[Message]) -> Iterator[ReportedPosition]:
    for transaction in transactions(list(messages), reader()):
        assert transaction.feed is not None
        if transaction.feed.rows_at is not None:  # the last one holds the sample of rows alone
            yield transaction.feed.rows_at


def test_two_connectors_on_one_log_end_right(expected: Outbox, tmp_path: Path) -> None:
    """A second connector that snapshots into the same topics and lags behind: the newest change stays."""
    half = len(recorded()) // 2
    first, second = told(), told(snapshot_at=half)
    rng = random.Random(11)
    queues, mixed = [first[half:][::-1], second[::-1]], first[:half]
    while any(queues):
        queue = rng.choice([queue for queue in queues if queue])
        mixed += [queue.pop() for _ in range(min(len(queue), rng.randint(1, 40)))]

    assert outbox_of(tmp_path, transactions(mixed, reader()), unordered=True) == expected


def at(file: str, offset: int, ms: int, *, topic: str = "t/0", server: str = "1", gtid: str = "") -> ReportedPosition:
    return ReportedPosition(topic, Position(file, offset, gtid, server), ms)


def test_a_partition_never_counts_its_newest_record_as_older() -> None:
    """Positions, times and servers drawn by lot: a record that was not told before gets no LSN below the last one."""
    rng = random.Random(5)
    for _ in range(300):
        order, ms, highest = RowOrder(), 1000, -1
        for _ in range(40):
            ms += rng.randint(1, 5000)
            lsn = order.lsn(
                at(f"binlog.{rng.randint(1, 9):06d}", rng.randint(4, 500), ms, server=str(rng.randint(1, 3)))
            )
            assert lsn >= highest
            highest = lsn


def test_what_was_kept_goes_on_as_if_nothing_had_happened() -> None:
    """A member that is started again gives every record the LSN that it would have had."""
    records = [*reported(shuffled(told(FAILOVERS["there and back"]), 2))]
    whole, order = RowOrder(), RowOrder()
    for number, record in enumerate(records):
        if number % 97 == 0:
            order = RowOrder(orjson.loads(orjson.dumps(order.dump())))
        assert order.lsn(record) == whole.lsn(record)


def test_a_server_whose_clock_is_behind_is_known_by_its_gtid() -> None:
    """A failover within the difference of two clocks: the GTID was never told, so the record is no repetition."""
    order = RowOrder()
    before = order.lsn(at("binlog.000009", 500, 100_000, gtid=f"{UUIDS[0]}:7"))
    after = order.lsn(at("binlog.000002", 40, 99_000, gtid=f"{UUIDS[1]}:1"))

    assert after > before
    assert order.lsn(at("binlog.000002", 30, 99_000, gtid=f"{UUIDS[1]}:1")) < after  # that one was told


def test_a_tombstone_is_as_new_as_the_record_before_it() -> None:
    """Also in a repetition: there it must not be newer than rows that came since."""
    order = RowOrder()
    deleted = order.lsn(at("binlog.000001", 10, 1000))
    assert order.lsn(ReportedPosition("t/0", None)) == deleted
    again = order.lsn(at("binlog.000001", 90, 9000))
    order.lsn(at("binlog.000001", 10, 1000))

    assert order.lsn(ReportedPosition("t/0", None)) == deleted < again


def test_without_time_and_gtid_the_partition_alone_orders() -> None:
    """A position that goes back may be a repetition or another server: the record is as new as the one before it."""
    order = RowOrder()
    first = order.lsn(at("binlog.000009", 500, 0))

    assert order.lsn(at("binlog.000002", 40, 0)) == first
    assert order.lsn(at("binlog.000009", 600, 0)) > first


def test_without_positions_the_moment_of_writing_orders() -> None:
    """Also among topics, and whoever is read first; a position that is told from some record on is above all that."""
    order, now = RowOrder(), 1_800_000_000_000
    late = order.lsn(ReportedPosition("parent/0", None, written_ms=now + 500))
    early = order.lsn(ReportedPosition("child/0", None, written_ms=now))
    told = order.lsn(at("binlog.000001", 4, now, topic="child/0"))

    assert early < late < told
    assert order.lsn(ReportedPosition("child/0", None, written_ms=now + 900)) == told


def test_what_is_remembered_has_a_bound() -> None:
    """GTID sources, servers and snapshots that never end: the oldest are forgotten, the state stays small."""
    order = RowOrder()
    for number in range(5 * MOST_SOURCES):
        uuid = f"{number:08x}-71ca-11e1-9e33-c80aa9429562"
        order.lsn(at("binlog.000001", number, number, gtid=f"{uuid}:{number}", server=str(number + 1)))
        order.lsn(ReportedPosition("s/0", Position("binlog.000001", number), number, is_snapshot=True))

    assert len(orjson.dumps(order.dump())) < 20_000


def test_epochs_without_end_are_refused() -> None:
    """Two tools that read different servers into one topic use up all LSNs: that ends with an error."""
    order = RowOrder()
    for number in range(3):
        order.lsn(at(f"binlog.{9_000_000 - number}", 4, 1000 * number + 1))
    with pytest.raises(PositionsExhaustedError):
        order.lsn(at("binlog.8000000", 4, 9000))


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        (f"{UUIDS[0]}:17", (UUIDS[0], 17)),
        (f"{UUIDS[0]}:tag:18", (f"{UUIDS[0]}:tag", 18)),
        ("0-1-4711", ("0", 4711)),
        ("", None),
        ("nothing", None),
        (f"{UUIDS[0]}:1-5", None),
        (f"{UUIDS[0]}:{'9' * 400}", None),
    ],
)
def test_gtids_of_both_servers(text: str, parsed: tuple[str, int] | None) -> None:
    """A transaction's own GTID is read in both notations; anything else is no evidence."""
    assert parse_gtid(text) == parsed


@pytest.mark.parametrize("positions", [True, False])
def test_topics_read_from_their_beginning_again_give_the_same_lsns(positions: bool) -> None:
    """A changed mapping reads all topics once more: no row of theirs becomes newer than it was."""
    records = [*reported(shuffled(told(FAILOVERS["lower file"]), 2))]
    if not positions:
        records = [record._replace(position=None) for record in records]
    order = RowOrder()
    for record in records:
        order.lsn(record)
    order.begin_again()
    first = [order.lsn(record) for record in records]
    order.begin_again()

    assert [order.lsn(record) for record in records] == first
