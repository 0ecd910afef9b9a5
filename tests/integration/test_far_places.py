"""LogPositions that no dump by file and offset can begin at: those beyond 4 GiB, here with the limit lowered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from cdc.errors import PositionLostError
from cdc.model import Position
from cdc.source import dump
from tests.integration.test_live_source import NO_GTID, NOTE, end_of_log, make_shop, settings_for, write
from tests.kit.follow import Follower
from tests.kit.servers import MySQL, Server

LIMIT = 200
"""Lower than any place used here."""


@pytest.fixture(autouse=True)
def _low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """``dump.by_position`` itself refuses more, so that no test passes without the way around."""
    monkeypatch.setattr(dump, "LAST_OFFSET", LIMIT)


@pytest.fixture(scope="module")
def plain(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A MySQL without GTIDs."""
    request.getfixturevalue("mysql")  # skips where there is none
    with MySQL(NO_GTID) as server:
        yield server


def test_reading_goes_on_behind_a_far_position_exactly(plain: Server) -> None:
    """What lies before the position is not brought, nor does it stop the reader; what lies behind comes once."""
    with plain.database() as database:
        make_shop(plain, database)
        settings = settings_for(plain, database)
        plain.rotate()
        statement = "SET SESSION binlog_format = 'STATEMENT'", "INSERT INTO note VALUES (1)"
        plain.run(*statement, database=database)  # would stop whoever looked at it
        write(plain, database, 2)
        position = end_of_log(settings)
        write(plain, database, 3, 4)
        assert position.offset > LIMIT
        with Follower(settings, [NOTE], position) as log:
            log.wait_for_ids([3, 4])
            write(plain, database, 5)
            log.wait_for_ids([3, 4, 5])
            assert str(log.last) == "{}:{}".format(*plain.log_position())
            assert log.transactions[0].end.offset > position.offset
            plain.rotate()
            write(plain, database, 6)
            log.wait_for_ids([3, 4, 5, 6])


def test_a_far_position_at_the_logs_end_waits_there(plain: Server) -> None:
    """Nothing behind the position yet: the reader gets there and brings what comes."""
    with plain.database() as database:
        make_shop(plain, database)
        settings = settings_for(plain, database, heartbeat_s=0.2)
        write(plain, database, 1)
        with Follower(settings, [NOTE], end_of_log(settings)) as log:
            log.thread.join(0.5)
            write(plain, database, 2)
            log.wait_for_ids([2])


def test_a_far_position_where_nothing_ends_is_lost(plain: Server) -> None:
    """A position inside a transaction is refused, not rounded."""
    with plain.database() as database:
        make_shop(plain, database)
        settings = settings_for(plain, database)
        position = end_of_log(settings)
        write(plain, database, 1)
        inside = Position(position.file, position.offset + 20, server=position.server)
        lost = pytest.raises(PositionLostError, match="no transaction of the log ends")
        with Follower(settings, [NOTE], inside) as log, lost:
            log.wait_for_ids([1])
        with Follower(settings, [NOTE], replace(position, gtid="")) as log:
            log.wait_for_ids([1])
