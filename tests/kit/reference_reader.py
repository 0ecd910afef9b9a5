"""python-mysql-replication's reading of a log, and whether a value of its is the same as ours."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import WriteRowsEvent

from cdc.model import Value
from tests.kit.servers import Server


def inserted(server: Server, database: str, file: str) -> Iterator[dict[str, Any]]:
    """The rows that were inserted in this file, by column. Raises whatever that library raises."""
    reader = BinLogStreamReader(
        connection_settings={"host": "127.0.0.1", "port": server.port, "user": "root", "password": ""},
        server_id=99, log_file=file, log_pos=4, resume_stream=True, only_schemas=[database],
        only_events=[WriteRowsEvent], enable_logging=False,
    )  # fmt: skip
    try:
        for event in reader:
            for row in event.rows:
                yield row["values"]
    finally:
        reader.close()


def is_same(ours: Value, theirs: Any) -> bool:
    """Whether both mean the same, each in its own form."""
    if ours is None or theirs is None:
        return ours is theirs
    try:
        return bool(_in_their_form(ours, theirs) == _plain(theirs))
    except (ValueError, ArithmeticError):
        return False


def _in_their_form(ours: Value, theirs: Any) -> Any:
    if isinstance(theirs, Decimal):
        return Decimal(str(ours))
    if isinstance(theirs, datetime.datetime):
        return datetime.datetime.fromisoformat(str(ours))
    if isinstance(theirs, datetime.date):
        return datetime.date.fromisoformat(str(ours))
    if isinstance(theirs, datetime.timedelta):
        return _duration(str(ours))
    if isinstance(theirs, set):
        return set(str(ours).split(","))
    if isinstance(theirs, dict | list) or (isinstance(ours, str) and isinstance(theirs, bool | int | float | bytes)):
        return json.loads(str(ours))
    if isinstance(ours, int) and isinstance(theirs, str):
        return f"{ours:0{len(theirs)}b}"
    return ours


def _duration(text: str) -> datetime.timedelta:
    hours, minutes, seconds = text.lstrip("-").split(":")
    found = datetime.timedelta(hours=int(hours), minutes=int(minutes), microseconds=round(Decimal(seconds) * 1_000_000))
    return -found if text.startswith("-") else found


def _plain(theirs: Any) -> Any:
    """Their documents hold bytes where JSON has text."""
    if isinstance(theirs, dict):
        return {_plain(key): _plain(value) for key, value in theirs.items()}
    if isinstance(theirs, list):
        return [_plain(value) for value in theirs]
    return theirs
