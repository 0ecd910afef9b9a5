"""Whether rows of the server are what the replica holds: equal, newer, missing, or not to be told yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc.engine.engine import Engine
from cdc.engine.row_check import differing
from cdc.model import ABSENT, Cells, Change, Op, Position, StaleTable, Transaction
from cdc.replica.load_state import Phase
from cdc.replica.unread import UnreadRow
from cdc.settings.mapping import MappingSettings
from cdc.source.unlogged import SampledRow
from mappers.mapping import MagentoMapping
from tests.kit.toy import FixedClock

TABLE = "sales_invoice"
APPLIED = Position("binlog.000001", 500)


def cells(number: int, state: int = 1) -> Cells:
    """An invoice as the log and the loader give it: entity_id, order_id, state, created_at."""
    return (number, 1, state, "2026-01-02 03:04:05")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A complete replica that holds invoice 1, applied up to ``APPLIED``."""
    made = Engine(tmp_path, MagentoMapping(MappingSettings()), (), FixedClock(0))
    with made.store.transaction():
        made.moves.begin(Position("binlog.000001", 4), Phase.COMPLETE)
        made.apply_group([Transaction((Change(TABLE, Op.INSERT, None, cells(1)),), APPLIED, 0)])
    yield made
    made.close()


def told(engine: Engine, *rows: Cells, at: int = 500) -> list[object] | None:
    """The keys that differ, read at this offset of the log."""
    sampled = [SampledRow(TABLE, int(str(row[0])), row) for row in rows]
    found = differing(engine, sampled, Position("binlog.000001", at))
    return None if found is None else [row.key for row in found]


def test_a_row_that_is_as_the_server_has_it_is_no_news(engine: Engine) -> None:
    """Equal values, and columns that the server does not have."""
    assert told(engine, cells(1), (1, 1, ABSENT, "2026-01-02 03:04:05")) == []


def test_a_row_that_the_log_should_have_told_of_differs(engine: Engine) -> None:
    """Another value, or no row at all."""
    assert told(engine, cells(1, state=2), cells(9)) == [1, 9]


def test_a_row_that_the_log_has_changed_since_is_newer(engine: Engine) -> None:
    """What was read before the position of the replica's version says nothing of it."""
    assert told(engine, cells(1, state=2), at=499) == []


def test_nothing_is_told_while_the_log_is_behind_or_tables_are_read(engine: Engine) -> None:
    """The answer would be about something that is still to come."""
    assert told(engine, cells(9), at=501) is None
    assert differing(engine, [], Position("binlog.000001", 500, server="another")) == []
    with engine.store.transaction():
        engine.stale_tables.read_again([StaleTable(TABLE, "a test")], APPLIED)
    assert told(engine, cells(9)) is None


def test_a_row_that_waits_to_be_read_is_known_to_be_behind(engine: Engine) -> None:
    """It was told in part, and the rest is asked for already."""
    with engine.store.transaction():
        engine.unread.add(UnreadRow(TABLE, (9,), 400, 0))

    assert told(engine, cells(9)) == []
