"""A connector that leaves deletions out is noticed by the next INSERT of a key that is still held; nothing else is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from cdc.clock import SystemClock
from cdc.engine.engine import Engine
from cdc.kafka.column_types import known_types
from cdc.kafka.debezium import DebeziumReader
from cdc.kafka.debezium_values import ValueModes
from cdc.kafka.foreign import SourceChange, Tables
from cdc.kafka.maxwell import MaxwellReader
from cdc.model import Feed, Position, ReportedPosition, Transaction
from cdc.replica.cascades import core_foreign_keys
from cdc.replica.load_state import Phase
from cdc.settings.config import Settings
from mappers.mapping import MagentoMapping
from tests.unit.kafka.test_foreign_shop import specs

TOPIC = "shop.magento.customer_group"
HOUR_MS = 3_600_000


def envelope(op: str, place: int | None, code: str, snapshot: str = "false") -> list[SourceChange]:
    """What Debezium tells of group 5."""
    row = {"customer_group_id": 5, "customer_group_code": code}
    source: dict[str, Any] = {"db": "magento", "table": "customer_group", "ts_ms": 1000, "snapshot": snapshot}
    if place is not None:
        source |= {"file": "binlog.000001", "pos": place, "server_id": 1}
    value = {"op": op, "before": row if op == "d" else None, "after": None if op == "d" else row, "source": source}
    tables = Tables.of([*specs().values()], "magento", "")
    reader = DebeziumReader(tables, known_types({}), ValueModes())
    return reader.read(TOPIC, b'{"customer_group_id":5}', orjson.dumps(value))


def maxwell(kind: str, place: int, code: str) -> list[SourceChange]:
    """What Maxwell tells of it."""
    value = {
        "type": kind, "database": "magento", "table": "customer_group", "ts": 1, "position": f"binlog.000001:{place}",
        "data": {"customer_group_id": 5, "customer_group_code": code},
    }  # fmt: skip
    tables = Tables.of([*specs().values()], "magento", "")
    return MaxwellReader(tables, known_types({})).read("maxwell", None, orjson.dumps(value))


def missing(folder: Path, told: list[list[SourceChange]], age_ms: int = 0) -> dict[str, int]:
    """What the member noticed, also after a restart."""
    clock = SystemClock()

    def engine() -> Engine:
        made = Engine(folder, MagentoMapping(Settings().mapping), core_foreign_keys(), clock, has_server=False)
        made.applier.is_unordered = True
        return made

    first = engine()
    group = []
    for number, one in enumerate((one for found in told for one in found), 1):
        written_ms = clock.now_ms() - age_ms + number
        at = ReportedPosition(
            TOPIC, one.position, one.commit_ms, one.is_snapshot, written_ms, is_created=one.is_created
        )
        group.append(Transaction((one.change,), Position("arrival.0", number), one.commit_ms, feed=Feed(rows_at=at)))
    with first.store.transaction():
        first.moves.begin(Position("arrival.0", 0), Phase.COMPLETE)
        first.apply_group(iter(group))
    first.close()
    second = engine()
    found = dict(second.feeds.missing_deletions)
    second.close()
    return found


@pytest.mark.parametrize("before", ["r", "c", "u"])
def test_an_insert_of_a_row_that_is_held_tells_of_a_deletion_left_out(before: str, tmp_path: Path) -> None:
    """After a TRUNCATE that nobody told, keys begin at 1 again: the table is named, and still after a restart."""
    assert missing(tmp_path, [envelope(before, 100, "a"), envelope("c", 200, "b")]) == {"customer_group": 1}


def test_the_same_of_maxwell(tmp_path: Path) -> None:
    """Maxwell never tells a TRUNCATE; rows of its bootstrap are no inserts of the log."""
    told = [maxwell("bootstrap-insert", 100, "a"), maxwell("insert", 200, "b"), maxwell("bootstrap-insert", 300, "c")]

    assert missing(tmp_path, told) == {"customer_group": 1}


@pytest.mark.parametrize(
    "told",
    [
        [envelope("c", 100, "a"), envelope("d", 150, "a"), envelope("c", 200, "b")],
        [envelope("c", 100, "a"), envelope("u", 200, "b"), envelope("c", 100, "a")],
        [envelope("r", 100, "a", "true"), envelope("c", 200, "a")],
        [envelope("r", 100, "a", "true"), envelope("r", 200, "b", "true")],
        [envelope("c", None, "a"), envelope("c", None, "b")],
    ],
    ids=["deleted before", "told again", "read ahead", "two snapshots", "no places"],
)
def test_what_looks_alike_is_no_sign(told: list[list[SourceChange]], tmp_path: Path) -> None:
    """Repetitions, snapshots, and records that nothing but the moment of writing orders."""
    assert missing(tmp_path, told) == {}


def test_what_compaction_may_have_taken_is_no_sign(tmp_path: Path) -> None:
    """A record of an hour ago: the deletion before it may have been in the topic."""
    assert missing(tmp_path, [envelope("c", 100, "a"), envelope("c", 200, "b")], age_ms=HOUR_MS) == {}
