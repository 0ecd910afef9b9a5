"""When a read contains a position of the log that was read before it."""

from __future__ import annotations

import pytest

from cdc.model import Position
from cdc.replica.table_loads import RequiredPosition
from cdc.snapshot.required_position import Snapshot, contains
from tests.kit.toy import position

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"


def a_position(offset: int, gtids: int) -> Position:
    return Position("binlog.000001", offset, f"{UUID}:1-{gtids}" if gtids else "")


@pytest.mark.parametrize(("offset", "expected"), [(499, False), (500, True), (501, True)])
def test_an_exact_snapshot_contains_what_lies_before_it(offset: int, expected: bool) -> None:
    """MariaDB's snapshot position tells, of definitions and statements alike."""
    snapshot = Snapshot(position(offset), position(offset), exact=True)

    assert [contains(snapshot, RequiredPosition(position(500), 501, how)) for how in (False, True)] == [expected] * 2


def test_a_definition_is_contained_once_the_log_showed_it() -> None:
    """It holds the table until the engine has it; an older snapshot is refused by the server."""
    required = RequiredPosition(a_position(500, 0), 501, False)

    assert contains(Snapshot(position(4), a_position(500, 0), exact=False), required)
    assert not contains(Snapshot(position(4), a_position(499, 0), exact=False), required)


@pytest.mark.parametrize(("executed", "wanted", "expected"), [(7, 7, True), (6, 7, False), (7, 0, False)])
def test_a_statement_is_contained_once_it_is_executed(executed: int, wanted: int, expected: bool) -> None:
    """MySQL's log shows a transaction before its engine does, its executed set after."""
    required = RequiredPosition(a_position(500, wanted), 501, True)

    assert contains(Snapshot(position(4), a_position(900, executed), exact=False), required) is expected


def test_a_rotation_contains_everything_before_it() -> None:
    """A rotation waits for the engine's commits, so the start of a later file needs no GTID."""
    later = position(4, number=2)

    assert contains(Snapshot(later, later, exact=False), RequiredPosition(a_position(500, 0), 501, True))


def test_another_server_contains_nothing() -> None:
    """Its places mean something else."""
    other = Position("binlog.000009", 4, "", "other")

    assert not contains(
        Snapshot(other, other, exact=True), RequiredPosition(Position("binlog.000001", 4, "", "one"), 5, False)
    )
