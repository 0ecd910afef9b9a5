"""The log decoded in a process of its own: the same transactions, errors and end as without."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from cdc import errors
from cdc.binlog.events import MAGIC, EventType
from cdc.change_codec import changes_of, pack_changes, unpack, unpack_changes
from cdc.errors import CdcError, PositionLostError, SinkThrottledError, SourceStoppedError
from cdc.model import (
    ABSENT,
    Change,
    Image,
    Op,
    Position,
    StaleTable,
    Start,
    StartKind,
    TableSchema,
    TableSpec,
    Transaction,
    Xa,
    XaStep,
)
from cdc.settings.source import SourceSettings
from cdc.source import reconnect
from cdc.source.decoding import frames
from cdc.source.decoding.job import Job
from cdc.source.decoding.process import DecodingProcess
from cdc.source.decoding.worker import Sender, Worker, _log_to
from cdc.source.files import FilesSource
from cdc.source.spill import SpillFile
from cdc.source.start_positions import NotExecutedError
from tests.unit.binlog.build import TWO_COLUMNS, Log, thing

THINGS = TableSpec("things", ("id",), ("id", "note"))
EARLIEST = Start(StartKind.EARLIEST)
CELLS = st.tuples(
    st.integers(-(1 << 63), (1 << 64) - 1),
    st.none() | st.text() | st.binary() | st.floats(allow_nan=False) | st.just(ABSENT),
)
CHANGES = st.builds(
    Change,
    st.just("things"),
    st.sampled_from(Op),
    st.none() | CELLS,
    st.none() | CELLS,
    st.booleans(),
    st.sampled_from(Image),
)
POSITIONS = st.builds(
    Position, st.just("binlog.000007"), st.integers(4, 1 << 40), st.text(), st.text(), st.integers(0, 1 << 32)
)
TRANSACTIONS = st.builds(
    Transaction,
    st.lists(CHANGES, max_size=3),
    st.builds(
        Position, st.just("binlog.000007"), st.integers(4, 1 << 40), st.text(), st.text(), st.integers(0, 1 << 32)
    ),
    st.integers(0, 1 << 45),
    st.integers(0, 1 << 30),
    stale=st.sampled_from([(), (StaleTable("things", "a definition"),)]),
    xa=st.sampled_from([None, Xa("X'1',X'',1", XaStep.PREPARE)]),
    schemas=st.sampled_from([(), (TableSchema("things", "things", "[]"),)]),
    keys_of=st.sampled_from([(), ("things",)]),
    count=st.integers(1, 9),
)


@given(made=st.lists(TRANSACTIONS, max_size=4))
def test_transactions_pass_the_socket_as_they_are(made: list[Transaction]) -> None:
    """Every field of a transaction and every kind of cell comes out equal, the born time of a position included."""
    packed = frames.pack_transactions([frames.plain_transaction(one) for one in made])

    found = list(frames.unpack_transactions(packed))

    assert found == made
    assert [one.end.born for one in found] == [one.end.born for one in made]


@given(made=st.lists(CHANGES))
def test_changes_on_disk_are_read_back_equal(made: list[Change]) -> None:
    """Absent cells stay absent, and no other value becomes one."""
    found = unpack_changes(pack_changes(made))

    assert found == made
    assert [type(one.op) for one in found] == [Op] * len(made)


def test_errors_pass_the_socket_with_kind_and_hint() -> None:
    """Every kind of error of ours keeps its kind, its text, its hint and its fields; any other one is a fault."""
    error = PositionLostError("the log begins later", hint="repair")
    found = frames.unpack_error(frames.pack_error(error))
    assert (type(found), str(found), found.hint, vars(found)) == (type(error), str(error), error.hint, vars(error))

    throttled = SinkThrottledError("too many", retry_after_s=3.0)
    other = frames.unpack_error(frames.pack_error(throttled))
    assert isinstance(other, SinkThrottledError)
    assert other.retry_after_s == throttled.retry_after_s

    own = frames.unpack_error(frames.pack_error(NotExecutedError("the server was restored", hint="repair")))
    assert (type(own), own.message, own.hint) == (PositionLostError, "the server was restored", "repair")

    stranger = frames.unpack_error(frames.pack_error(ZeroDivisionError("x", threading.Lock())))
    assert type(stranger) is CdcError
    assert "ZeroDivisionError" in str(stranger)
    assert "ZeroDivisionError" not in vars(errors)


def _write(folder: Path, numbers: range, note: bytes = b"x" * 10) -> Path:
    log = Log()
    log.format()
    for number in numbers:
        log.gtid(number)
        log.query("BEGIN")
        log.table_map(9, TWO_COLUMNS)
        log.rows(EventType.WRITE_ROWS, 9, b"\x02\x03" + thing(number % 120, note.decode()))
        log.xid()
    path = folder / "binlog.000001"
    path.write_bytes(MAGIC + log.data)
    return path


@pytest.fixture
def states() -> list[tuple[str, Mapping[str, object]]]:
    """What the process said of the source."""
    return []


@pytest.fixture
def reader(tmp_path: Path, states: list[tuple[str, Mapping[str, object]]]) -> Iterator[DecodingProcess]:
    """A process that reads the files of the folder."""
    settings = SourceSettings(kind="files", files=(str(tmp_path / "binlog.*"),), database="shop")
    job = Job(settings, (THINGS,), Position("", 0), (), tmp_path)
    made = DecodingProcess(job, stop=threading.Event(), on_state=lambda *state: states.append(state))
    yield made
    made.close()


def _expected(path: Path) -> list[Transaction]:
    return list(FilesSource([str(path)], [THINGS], database="shop").transactions(EARLIEST))


def test_a_process_gives_what_the_source_gives(tmp_path: Path, reader: DecodingProcess) -> None:
    """The same transactions in the same order, then the end; the counters are those of the decoder."""
    path = _write(tmp_path, range(1, 900))

    assert list(reader.transactions(EARLIEST)) == _expected(path)
    assert reader.counters
    assert _children() == []


def test_a_process_that_dies_is_started_again_behind_the_last_transaction(
    tmp_path: Path,
    reader: DecodingProcess,
    states: list[tuple[str, Mapping[str, object]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """kill -9 of the process loses nothing and repeats nothing; the source's state says so meanwhile."""
    monkeypatch.setattr(reconnect, "RETRY_FIRST_S", 0.001)
    path = _write(tmp_path, range(1, 3000), b"y" * 100)
    found = []
    for transaction in reader.transactions(EARLIEST):
        found.append(transaction)
        if len(found) in (1, 1700):
            for child in _children():
                os.kill(child, signal.SIGKILL)

    assert found == _expected(path)
    assert [name for name, _ in states] == ["disconnected"] * len(states)
    assert 1 <= len(states) <= 2


def test_a_process_that_cannot_be_started_is_tried_again(
    tmp_path: Path,
    reader: DecodingProcess,
    states: list[tuple[str, Mapping[str, object]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine without memory for one more process may have some a second later."""
    monkeypatch.setattr(reconnect, "RETRY_FIRST_S", 0.001)
    python = sys.executable
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    path = _write(tmp_path, range(1, 5))

    def heal(name: str, details: Mapping[str, object]) -> None:
        states.append((name, details))
        monkeypatch.setattr(sys, "executable", python)

    monkeypatch.setattr(reader, "_on_state", heal)

    assert list(reader.transactions(EARLIEST)) == _expected(path)
    [(name, details)] = states
    assert (name, details["reason"]) == (
        "disconnected",
        "the decoding process could not be started: No such file or directory",
    )


def test_the_process_imports_nothing_from_the_present_folder(
    tmp_path: Path, reader: DecodingProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can write into the folder in which a daemon was started must not run code as that daemon."""
    path = _write(tmp_path, range(1, 5))
    (tmp_path / "pickle.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)

    assert list(reader.transactions(EARLIEST)) == _expected(path)


@pytest.mark.parametrize("fault", [KeyError("bob@example.com"), PermissionError(13, "denied")])
def test_a_fault_of_the_program_ends_the_reading(tmp_path: Path, fault: Exception) -> None:
    """A new process would meet it again, for ever. Its text may hold values of rows, so only its kind is told."""
    settings = SourceSettings(kind="files", files=(str(_write(tmp_path, range(1, 5))),), database="shop")
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as stream:
        worker = Worker(Job(settings, (THINGS,), EARLIEST, (), tmp_path), Sender(theirs))
        good = worker._transactions()

        def read() -> Iterator[Transaction]:
            yield next(good)
            raise fault

        worker._transactions = read
        worker.run()
        theirs.close()
        read_frames = list(iter(lambda: frames.read_frame(stream), None))

    assert [kind for kind, _ in read_frames] == [frames.Kind.TRANSACTIONS, frames.Kind.COUNTS, frames.Kind.ERROR]
    told = str(frames.unpack_error(read_frames[-1][1]))
    assert type(fault).__name__ in told
    assert "example.com" not in told


def test_the_process_ends_when_the_daemon_wants_no_more(tmp_path: Path, reader: DecodingProcess) -> None:
    """After ``close`` the transactions end, and the process is gone, however much of the log is left."""
    _write(tmp_path, range(1, 3000), b"y" * 100)
    transactions = reader.transactions(EARLIEST)
    next(transactions)
    assert len(_children()) == 1

    reader.close()

    assert len(list(transactions)) < 2999
    assert _children() == []


def test_the_source_fault_reaches_the_daemon_behind_the_good_transactions(
    tmp_path: Path, reader: DecodingProcess
) -> None:
    """A log that is cut off, or a start that files cannot give: the same error as without a process."""
    path = _write(tmp_path, range(1, 5))
    whole = path.read_bytes()
    path.write_bytes(whole[:-40] + b"\xff" * 40)
    found: list[Transaction] = []
    with pytest.raises(SourceStoppedError) as told:
        found.extend(reader.transactions(EARLIEST))
    with pytest.raises(SourceStoppedError) as expected:
        _expected(path)
    assert str(told.value) == str(expected.value)
    assert len(found) == 3

    with pytest.raises(PositionLostError, match=r"binlog\.000009"):
        list(reader.transactions(Start(StartKind.FILE_OFFSET, Position("binlog.000009", 4))))


def test_changes_in_a_file_are_read_once_when_they_are_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that is larger than memory is sent in time that grows with its length, and arrives whole."""
    reads: list[int] = []
    decode = SpillFile._pack

    def counted(file: SpillFile, number: int) -> list[Change]:
        reads.append(number)
        return decode(file, number)

    monkeypatch.setattr(SpillFile, "_pack", counted)
    spilled = SpillFile(tmp_path)
    made = [Change("things", Op.INSERT, None, (number, "a note")) for number in range(9000)]
    for at in range(0, len(made), 3000):
        spilled.add(made[at : at + 3000])
    spilled.finish([made[0]])
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as stream:
        sender = threading.Thread(target=Sender(theirs).add, args=(Transaction(spilled, Position("b.1", 4), 0),))
        sender.start()
        found: list[Change] = []
        while (read := frames.read_frame(stream)) is not None and read[0] is frames.Kind.PACK:
            found += changes_of(unpack(read[1]))
        sender.join()

    assert found == [*made, made[0]]
    assert reads == [0, 1, 2]


def test_lines_of_the_process_reach_the_daemons_log(tmp_path: Path, reader: DecodingProcess) -> None:
    """The process writes nowhere itself: the daemon's log hides secrets and knows its stream."""
    with structlog.testing.capture_logs() as lines:
        reader._take(frames.Kind.LOG, pickle.dumps(("warning", "source_disconnected", {"reason": "x", "errno": 3})))

    assert lines == [{"event": "source_disconnected", "log_level": "warning", "reason": "x", "errno": 3}]


def test_the_process_sends_lines_of_every_level() -> None:
    """SIGHUP may ask for more lines than at the start; the daemon drops those that its level does not want."""
    before = structlog.get_config()
    ours, theirs = socket.socketpair()
    try:
        with ours, theirs, ours.makefile("rb") as stream:
            _log_to(Sender(theirs))
            structlog.get_logger().debug("a_line", count=3)
            read = frames.read_frame(stream)
    finally:
        structlog.configure(**before)

    assert read is not None
    assert (read[0], frames.unpack_object(read[1])) == (frames.Kind.LOG, ("debug", "a_line", {"count": 3}))


def _children() -> list[int]:
    """The decoding processes of this process that have not ended."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return [child for child in found if b"decoding.worker" in Path(f"/proc/{child}/cmdline").read_bytes()]
