"""python-mysql-replication as a side: ``python -m tests.benchmarks.peers.library port file``.

Decodes every row of the mapped tables from this log file to its end. Prints ``first`` and ``last`` and the number of
row changes.
"""

from __future__ import annotations

import sys

from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.event import RotateEvent
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

from tests.benchmarks.peers.tables import DATABASE, TABLES


def main(port: str, file: str) -> None:
    """Read and count."""
    reader = BinLogStreamReader(
        connection_settings={"host": "127.0.0.1", "port": int(port), "user": "root", "password": ""},
        server_id=4321,
        log_file=file,
        log_pos=4,
        resume_stream=True,
        blocking=True,
        only_schemas=[DATABASE],
        only_tables=list(TABLES),
        only_events=[DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent, RotateEvent],
        enable_logging=False,
    )
    count = 0
    for event in reader:
        if isinstance(event, RotateEvent):
            # The first one only names the file that is read; the load has one file.
            if event.next_binlog != file:
                break
            continue
        count += len(event.rows)
        if count == len(event.rows):
            print("first", flush=True)
    print("last", flush=True)
    reader.close()
    print(count, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
