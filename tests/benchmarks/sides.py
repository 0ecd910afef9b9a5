"""The sides of a comparison of readers, each run in a process of its own: ``measured("files", log)``.

What a side imports is not reading, and is not timed. Each says how many rows it read, its seconds of wall time, and
the most memory its process had.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

from cdc.binlog.assembly import Room
from cdc.binlog.checksums import CRC_OF_ALL
from cdc.binlog.events import EventType
from cdc.clock import SystemClock
from cdc.collector import tune_collector
from cdc.engine.engine import Engine
from cdc.engine.state_thread import TransactionQueue
from cdc.model import Position, Start, StartKind, Transaction
from cdc.replica.cascades import core_foreign_keys
from cdc.replica.load_state import Phase
from cdc.settings.config import ApplySettings
from cdc.settings.mapping import MappingSettings
from cdc.settings.source import SourceSettings, TlsMode, TlsSettings
from cdc.source import dump
from cdc.source.binlog import BinlogSource
from cdc.source.files import FilesSource
from cdc.source.server import connect, rows
from cdc.source.spill import room_in
from mappers.mapping import MagentoMapping
from tests.benchmarks.logs import DATABASE, SPECS
from tests.benchmarks.quiet import no_log
from tests.kit.install import mariadb_programs

_RECEIVE_BYTES = 1 << 20
_TIMEOUT_S = 3600
_ROTATE = int(EventType.ROTATE)


@dataclass(frozen=True, slots=True)
class Measured:
    """``count``: rows, or for the counting sides events."""

    count: int
    seconds: float
    rss_mb: float


def measured(side: str, *arguments: object) -> Measured:
    """Run one side. RuntimeError with its last words when it fails."""
    command = [sys.executable, "-m", "tests.benchmarks.sides", side, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
    if done.returncode:
        raise RuntimeError(f"{side} ended with {done.returncode}: {done.stderr[-1000:]}")
    return Measured(**json.loads(done.stdout))


def fastest(side: str, *arguments: object, runs: int = 3) -> Measured:
    """The best of some runs."""
    return min((measured(side, *arguments) for _ in range(runs)), key=lambda one: one.seconds)


def text_decoder_seconds(log: Path) -> float:
    """``mariadb-binlog -v`` over the file, its text thrown away."""
    command = [str(mariadb_programs()["mariadb-binlog"]), "-v", str(log)]
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=_TIMEOUT_S)
    return time.perf_counter() - began


# ------------------------------------------------------------------------------------------------ ours


def _files(path: str) -> Callable[[], int]:
    source = FilesSource([path], SPECS, database=DATABASE)

    def read() -> int:
        for _ in source.transactions(Start(StartKind.EARLIEST)):
            pass
        return source.counters["rows_decoded"]

    return read


def _socket(port: str, file: str, size: str) -> Callable[[], int]:
    return _live(port, file, size, TlsMode.DISABLED)


def _tls(port: str, file: str, size: str) -> Callable[[], int]:
    return _live(port, file, size, TlsMode.REQUIRED)


def _live(port: str, file: str, size: str, tls: TlsMode) -> Callable[[], int]:
    source = BinlogSource(_settings(port, tls), SPECS, stop=threading.Event())
    source.identity()

    def read() -> int:
        for transaction in source.transactions(Position(file, 4)):
            if transaction.end.file != file or transaction.end.offset >= int(size):
                break
        count = source.counters.get("rows_decoded", 0)
        source.close()
        return count

    return read


def _settings(port: str, tls: TlsMode) -> SourceSettings:
    return SourceSettings(port=int(port), user="root", database=DATABASE, tls=TlsSettings(mode=tls))


def _apply_files(path: str, folder: str) -> Callable[[], int]:
    """Read and apply: what the reader and the state thread do, with the daemon's own bounds."""
    source = FilesSource([path], SPECS, database=DATABASE, room=_room(folder))
    return lambda: _applied(source.transactions(Start(StartKind.EARLIEST)), folder)


def _apply_socket(port: str, file: str, size: str, folder: str) -> Callable[[], int]:
    settings = _settings(port, TlsMode.DISABLED)
    source = BinlogSource(settings, SPECS, stop=threading.Event(), room=_room(folder))

    def transactions() -> Iterator[Transaction]:
        for transaction in source.transactions(Position(file, 4)):
            yield transaction
            if transaction.end.file != file or transaction.end.offset >= int(size):
                source.close()

    return lambda: _applied(transactions(), folder)


def _room(folder: str) -> Room:
    return room_in(Path(folder), SourceSettings().max_transaction_mb)


def _applied(transactions: Iterable[Transaction], folder: str) -> int:
    """Changes applied. A second thread reads ahead, as far as the queue lets it."""
    engine = Engine(Path(folder), MagentoMapping(MappingSettings()), core_foreign_keys(), SystemClock())
    queue = TransactionQueue(SourceSettings().queue_mb << 20)

    def read() -> None:
        for transaction in transactions:
            queue.put(transaction)
        is_read.set()

    is_read = threading.Event()
    with engine.store.transaction():
        engine.moves.begin(Position("binlog.000001", 4), Phase.COMPLETE)
    threading.Thread(target=read, daemon=True).start()
    while not is_read.wait(0.01) or len(queue):
        with engine.store.transaction():
            engine.apply_group(queue.drain(ApplySettings().max_rows, 0.1))
    count = engine.progress.changes
    engine.close()
    return count


# ---------------------------------------------------------------------------------------------- others


def _count_file(path: str) -> Callable[[], int]:
    """The floor for files: read, look at each event's length and type, and verify its checksum."""

    def read() -> int:
        raw = memoryview(Path(path).read_bytes())
        at, count = 4, 0
        kinds = [0] * 256
        while at < len(raw):
            end = at + int.from_bytes(raw[at + 9 : at + 13], "little")
            # The first event of a file that was not closed has a flag that its checksum leaves out.
            if crc32(raw[at:end]) != CRC_OF_ALL and count:
                raise RuntimeError(f"the event at {at} is damaged")
            kinds[raw[at + 4]] += 1
            at = end
            count += 1
        return count

    return read


def _count_socket(port: str, file: str) -> Callable[[], int]:
    """The floor for a server's stream: receive in large pieces, count the packets and verify their checksums."""
    settings = _settings(port, TlsMode.DISABLED)

    def read() -> int:
        connection = connect(settings, database=False)
        for statement in (*dump.session_statements(settings.server_id, 10), *dump.mariadb_statements(None)):
            rows(connection, statement)
        link = connection._sock  # type: ignore[attr-defined]  # as the source does
        link.sendall(dump.packet(dump.by_position(settings.server_id, file, 4)))
        buffer = memoryview(bytearray(4 * _RECEIVE_BYTES))
        held = count = wrong = 0
        is_at_end = False
        while not is_at_end:
            got = link.recv_into(buffer[held:])
            if not got:
                raise RuntimeError("the server closed the connection")
            held += got
            at = 0
            while held - at >= 4:
                end = at + 4 + int.from_bytes(buffer[at : at + 3], "little")
                if end > held:
                    break
                wrong += crc32(buffer[at + 5 : end]) != CRC_OF_ALL
                count += 1
                if buffer[at + 9] == _ROTATE and count > 2:  # the first only names the file
                    is_at_end = True
                    break
                at = end
            buffer[: held - at] = buffer[at:held]
            held -= at
        link.close()
        # The two artificial events at the start may have none.
        if wrong > 2:
            raise RuntimeError(f"{wrong} of {count} packets are damaged")
        return count

    return read


def _theirs(port: str, file: str) -> Callable[[], int]:
    """python-mysql-replication: from a server, which is all it can do; filtered, every row's values taken."""
    reader = BinLogStreamReader(
        connection_settings={"host": "127.0.0.1", "port": int(port), "user": "root", "password": ""},
        server_id=4321,
        log_file=file,
        log_pos=4,
        resume_stream=True,
        only_schemas=[DATABASE],
        only_tables=[spec.name for spec in SPECS],
        only_events=[DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent],
        enable_logging=False,
    )

    def read() -> int:
        try:
            return sum(len(event.rows) for event in reader)
        finally:
            reader.close()

    return read


_SIDES: dict[str, Callable[..., Callable[[], int]]] = {
    "files": _files,
    "socket": _socket,
    "tls": _tls,
    "apply_files": _apply_files,
    "apply_socket": _apply_socket,
    "count_file": _count_file,
    "count_socket": _count_socket,
    "theirs": _theirs,
}


def main(arguments: list[str]) -> int:
    """Run the side that the first argument names and print what it took as JSON."""
    no_log()
    read = _SIDES[arguments[0]](*arguments[1:])
    if arguments[0] != "theirs":  # a library does not set its process's collector
        tune_collector()
    began = time.perf_counter()
    count = read()
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"count": count, "seconds": seconds, "rss_mb": peak}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
