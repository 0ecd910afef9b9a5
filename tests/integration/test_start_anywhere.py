"""From every position of a log, reading on ends in the same state, or the start is refused: no error, no hang."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cdc.errors import LogFormatError, SetupError, SourceStoppedError, UnsupportedEventError
from cdc.model import Position, Start, StartKind, Transaction
from cdc.settings.source import SourceSettings
from cdc.source.binlog import BinlogSource
from cdc.source.files import FilesSource
from tests.kit.follow import Follower
from tests.kit.recorded import TABLES, boundaries, folded, record
from tests.kit.servers import MariaDB, MySQL, Server

_NO_GTID = {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}


def reached(log: Follower, position: tuple[str, int]) -> bool:
    """Whether the log has been followed to this file and offset."""
    return (log.last.file, log.last.offset) >= position


@pytest.fixture(scope="module", params=["mariadb", "mysql", "mysql without gtid", "mariadb without checksums"])
def log(request: pytest.FixtureRequest) -> Iterator[tuple[Path, str]]:
    """A recorded log and its database, of each kind that a transaction may begin in."""
    request.getfixturevalue(request.param.split()[0])  # skips where there is none
    kind: type[Server] = MariaDB if request.param.startswith("mariadb") else MySQL
    options = {"mysql without gtid": _NO_GTID, "mariadb without checksums": {"binlog_checksum": "NONE"}}
    with kind(options.get(request.param, {})) as server, server.database() as database:
        yield record(server, database), database


def _read(path: Path, database: str, offset: int) -> list[Transaction]:
    source = FilesSource([str(path)], TABLES, database=database)
    return list(source.transactions(Start(StartKind.FILE_OFFSET, Position(path.name, offset))))


def test_every_event_boundary(log: tuple[Path, str]) -> None:
    """The state there and what is read from there on make the state of the whole log; inside transactions, refused."""
    path, database = log
    whole = _read(path, database, 4)
    final = folded({}, whole)
    assert len(final) == 4
    begun = 0
    for offset in boundaries(path):
        there = folded({}, (one for one in whole if one.end.offset <= offset))
        with contextlib.suppress(UnsupportedEventError):
            assert folded(there, _read(path, database, offset)) == final, offset
            begun += 1
    assert len(whole) <= begun <= len(boundaries(path)) - 20


def test_positions_inside_of_events(log: tuple[Path, str]) -> None:
    """Next to each boundary and at a thousand other positions: refused."""
    path, database = log
    edges = boundaries(path)
    near = {edge + step for edge in edges[:-1] for step in (1, 4, 13, 19)}
    others = set(random.Random(5).sample(range(edges[-1]), 1000)) | {0, 3}
    for offset in sorted((near | others) - set(edges)):
        with pytest.raises(SourceStoppedError):
            _read(path, database, offset)


def test_a_place_beyond_the_end(log: tuple[Path, str]) -> None:
    """A file does not reach there: refused, not waited for."""
    path, database = log
    with pytest.raises(LogFormatError, match="ends before the position"):
        _read(path, database, path.stat().st_size + 1)


def test_a_cut_file(log: tuple[Path, str], tmp_path: Path) -> None:
    """A copy that was cut off anywhere: whole transactions before the cut, then the error or, between two, an end."""
    path, database = log
    held, edges = path.read_bytes(), boundaries(path)
    whole = [one.end.offset for one in _read(path, database, 4) if one.changes]
    for length in sorted({*edges[1:], *random.Random(6).sample(range(5, len(held)), 60)}):
        copy = tmp_path / path.name
        copy.write_bytes(held[:length])
        got = []
        try:
            for one in FilesSource([str(copy)], TABLES, database=database).transactions(Start(StartKind.EARLIEST)):
                got += [one.end.offset] * bool(one.changes)
        except LogFormatError:
            assert length not in edges
        else:
            assert length in edges
        assert got == [end for end in whole if end <= length]


@pytest.mark.parametrize("kind", [MariaDB, MySQL])
def test_a_sample_of_positions_in_a_live_stream(request: pytest.FixtureRequest, kind: type[Server]) -> None:
    """From a server the same holds: the same state, or the start is refused with advice."""
    request.getfixturevalue(kind.flavor)  # skips where there is none
    with kind() as server, server.database() as database:
        path = record(server, database)
        grants = ["REPLICATION SLAVE ON *.*", "REPLICATION CLIENT ON *.*", f"SELECT ON `{database}`.*"]
        server.create_user("reader", "a password", grants)
        settings = SourceSettings(
            host=server.host,
            port=server.port,
            user="reader",
            password="a password",
            database=database,
            server_id=90_001,
        )
        edges = boundaries(path)
        whole = _read(path, database, 4)
        final, last = folded({}, whole), max(one.end.offset for one in whole if one.changes)
        begun, refused = 0, list[str]()
        source = BinlogSource(settings, TABLES, stop=threading.Event())
        for offset in [*edges[1:-1:8], *(edge + 7 for edge in edges[3:-1:40])]:
            try:
                start = source.resolve(Start(StartKind.FILE_OFFSET, Position(path.name, offset)))
            except SetupError as error:
                refused.append(error.hint)
                continue
            there = folded({}, (one for one in whole if one.end.offset <= offset))
            with Follower(settings, TABLES, start) as log:
                log.wait(partial(reached, log, (path.name, last)))
                assert folded(there, log.transactions) == final, offset
            assert offset in edges
            begun += 1
        source.close()
        assert begun > 1
        assert all("transaction" in hint for hint in refused)
