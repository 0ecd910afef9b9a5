"""Decoding the mapped columns of a shop's log: ours against python-mysql-replication and ``mariadb-binlog -v``.

The log is a private MariaDB's, written by random shop traffic on Magento's own tables with indexer change logs, carts,
sessions and cron jobs (binlog_row_metadata = FULL), at least 60 MB; made once and kept in the cache. Each side runs in
a process of its own: ours and mariadb-binlog read the file, python-mysql-replication reads the same log from a server,
which is all it can do, with its filters set to the mapped tables and every row's values taken.
"""

from __future__ import annotations

import contextlib
import json
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.row import Row
from tests.kit.install import CACHE, lock, mariadb_programs
from tests.kit.servers import MariaDB

LOG_BYTES = 60_000_000
DATABASE = "magento"
_FOLDER = CACHE / "bench" / "decode-1"
_OURS_RUNS = 3


def rows() -> Iterator[Row]:
    """The table's lines."""
    log = shop_log()
    megabytes = log.stat().st_size / 1e6
    ours = min((_measured("ours", str(log)) for _ in range(_OURS_RUNS)), key=lambda found: float(found["seconds"]))
    count = _measured("count", str(log))
    text = min(_text_decoder_seconds(log) for _ in range(_OURS_RUNS))
    with _serving(log) as server:
        theirs = _measured("theirs", str(server.port), log.name)
    if theirs["rows"] != ours["rows"]:
        raise RuntimeError(f"the two sides read {ours['rows']} and {theirs['rows']} rows")
    note = f"{megabytes:.0f} MB, {ours['rows']:,} rows of mapped tables"
    yield Row("decode a shop's log", megabytes / ours["seconds"], "MB/s", "", note)
    yield Row("  rows of mapped tables", ours["rows"] / ours["seconds"], "rows/s")
    yield Row("  in seconds", ours["seconds"], "s", f"no slower than mariadb-binlog -v: {text:.2f} s", "best of 3")
    yield Row("  against mariadb-binlog -v", text / ours["seconds"], "x", ">= 1 x")
    times = theirs["seconds"] / ours["seconds"]
    yield Row("  against python-mysql-replication", times, "x", ">= 30 x", f"it took {theirs['seconds']:.1f} s")
    yield Row("  against cutting and counting events only", count["seconds"] / ours["seconds"], "x")
    yield Row("  memory", ours["rss_mb"], "MB RSS", "< 150 MB", f"python-mysql-replication {theirs['rss_mb']:.0f} MB")


# ------------------------------------------------------------------------------------------------ the log


def shop_log() -> Path:
    """The log file, made if it is not there yet (one to two minutes)."""
    with lock("bench-decode"):
        found = sorted(_FOLDER.glob("binlog.0*"))
        if not found:
            unfinished = _FOLDER.with_name("making-decode")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            _make(unfinished)
            shutil.rmtree(_FOLDER, ignore_errors=True)
            unfinished.rename(_FOLDER)
            found = sorted(_FOLDER.glob("binlog.0*"))
    return found[0]


def _make(folder: Path) -> None:
    from tests.kit import schema
    from tests.kit.day import random_ops
    from tests.kit.shop import Shop

    print("making a log of shop traffic, once ...", file=sys.stderr, flush=True)
    with MariaDB({"binlog_row_metadata": "FULL", "max_binlog_size": 1 << 30}) as server:
        server.run(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        connection = server.connect(database=DATABASE)
        schema.load(connection)
        shop = Shop(connection)
        shop.install()
        for number in range(60):
            shop.create_product(f"P-{number}", f"Product {number}", f"{number}.90")
        operations = random_ops(shop, random.Random(7))
        while server.log_position()[1] < LOG_BYTES:
            for _ in range(100):
                next(operations)
        file = server.binlog_files()[0]
        server.rotate()
        connection.close()
        shutil.copy(file, folder / file.name)


@contextlib.contextmanager
def _serving(log: Path) -> Iterator[MariaDB]:
    """A server whose first log file is this one."""
    with MariaDB() as server:
        server.stop()
        for old in server.datadir.glob("binlog.*"):
            old.unlink()
        shutil.copy(log, server.datadir / log.name)
        (server.datadir / "binlog.index").write_text(f"./{log.name}\n")
        server.start()
        yield server


# ------------------------------------------------------------------------------------------------ the sides


def _measured(side: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.decode", side, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise RuntimeError(f"{side} ended with {done.returncode}: {done.stderr[-1000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _text_decoder_seconds(log: Path) -> float:
    command = [str(mariadb_programs()["mariadb-binlog"]), "-v", str(log)]
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=300)
    return time.perf_counter() - began


def _ours(path: str) -> Callable[[], int]:
    from cdc.model import Start, StartKind
    from cdc.source.files import FilesSource
    from mappers.tables import TABLES

    source = FilesSource([path], TABLES, database=DATABASE)

    def read() -> int:
        for _ in source.transactions(Start(StartKind.EARLIEST)):
            pass
        return source.counters["rows_decoded"]

    return read


def _count(path: str) -> Callable[[], int]:
    """The floor: read the file and look at each event's length and type."""

    def read() -> int:
        raw = memoryview(Path(path).read_bytes())
        at, count = 4, 0
        kinds = [0] * 256
        while at < len(raw):
            kinds[raw[at + 4]] += 1
            at += int.from_bytes(raw[at + 9 : at + 13], "little")
            count += 1
        return count

    return read


def _theirs(port: str, file: str) -> Callable[[], int]:
    from pymysqlreplication import BinLogStreamReader
    from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

    from mappers.tables import TABLES

    reader = BinLogStreamReader(
        connection_settings={"host": "127.0.0.1", "port": int(port), "user": "root", "password": ""},
        server_id=4321,
        log_file=file,
        log_pos=4,
        resume_stream=True,
        only_schemas=[DATABASE],
        only_tables=[spec.name for spec in TABLES],
        only_events=[DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent],
        enable_logging=False,
    )

    def read() -> int:
        try:
            return sum(len(event.rows) for event in reader)
        finally:
            reader.close()

    return read


_SIDES: dict[str, Callable[..., Callable[[], int]]] = {"ours": _ours, "count": _count, "theirs": _theirs}


def main(arguments: list[str]) -> int:
    """Without arguments: measure and print. With a side's name: run that side and print what it took as JSON."""
    if not arguments:
        for row in rows():
            print("  ".join(cell.ljust(42) for cell in row.cells()).rstrip())
        return 0
    read = _SIDES[arguments[0]](*arguments[1:])  # what it imports is not decoding
    began = time.perf_counter()
    count = read()
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows": count, "seconds": seconds, "rss_mb": peak}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
