"""Record the demo's log again: ``.venv/bin/python -m tests.record_demo [FILE]``.

A private MariaDB with ``binlog_row_metadata=FULL`` gets Magento's tables, a fresh install's seeds and a small shop's
day. The log file that it writes, from its first byte to the server's stop, is the demo's input: names and types of
columns come from the log itself. The server's clock is set along the day, so the recording spans working hours although
it takes seconds.
"""

from __future__ import annotations

import datetime
import random
import re
import shutil
import sys
from pathlib import Path

from tests.kit import schema
from tests.kit.servers import MariaDB, Option
from tests.kit.shop import Shop
from tests.kit.shop_day import play

TARGET = Path(__file__).resolve().parents[1] / "cdc" / "demo" / "shop-day.000001"
DATABASE = "magento"
OPENING = datetime.datetime(2026, 3, 2, 7, 0, tzinfo=datetime.UTC)
MAX_BYTES = 3_000_000
OPTIONS: dict[str, Option] = {"log_bin": "shop-day", "server_id": 4201, "binlog_row_metadata": "FULL"}

_MAGIC = b"\xfebin"
_EMAIL = re.compile(rb"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_ALLOWED_DOMAIN = b"@example.com"


class DayClock:
    """Gives a later time at each transaction: a few seconds, as in a shop where several things go on."""

    def __init__(self, start: datetime.datetime, seed: int) -> None:
        self._now = start.timestamp()
        self._rng = random.Random(seed)

    def __call__(self) -> float:
        self._now += self._rng.uniform(5, 95)
        return self._now


def record(target: Path, *, seed: int = 1) -> None:
    """Write the log to ``target``. Raises Unavailable without MariaDB, ValueError when the recording is no good."""
    with MariaDB(OPTIONS) as server:
        connection = server.connect()
        with connection.cursor() as cursor:
            cursor.execute(f"SET timestamp={OPENING.timestamp():.0f}")
            cursor.execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
        connection.select_db(DATABASE)
        schema.load(connection)
        shop = Shop(connection, seed=seed, clock=DayClock(OPENING, seed))
        shop.install()
        play(shop, seed=seed)
        connection.close()
        files = server.binlog_files()
        server.stop()  # ends the file as a server does, with its stop event
        if len(files) != 1:
            raise ValueError(f"the day fills {len(files)} log files, one is wanted")
        check(files[0].read_bytes())
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files[0], target)


def check(log: bytes) -> None:
    """Raise ValueError unless the log is whole, small, and names nobody who might exist."""
    if not log.startswith(_MAGIC):
        raise ValueError("the recording is no binlog file")
    if len(log) > MAX_BYTES:
        raise ValueError(f"the recording has {len(log):,} bytes, more than {MAX_BYTES:,}")
    others = {found for found in _EMAIL.findall(log) if not found.endswith(_ALLOWED_DOMAIN)}
    if others:
        raise ValueError(f"the recording holds addresses outside example.com: {sorted(others)[:3]}")


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    record(target)
    print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
