"""The whole daemon against what a shop could use instead, all on one live server and one load in one run.

Sides: Debezium's embedded engine (changes as JSON), go-mysql's canal (changes as JSON), python-mysql-replication (bare
decoding), ``mariadb-binlog -v`` (text), and the daemon: read, replica, render, compare, outbox, lines of JSON on disk.
All but the daemon only decode. Load: ``PEERS_ORDERS`` orders (12,000), copied one transaction each.

Each round runs every side once, from the start of its process, in an order that turns by one each round. Wall times
hold on a machine that does nothing else; processor time (``os.wait4``) also beside other work. Wants some ten minutes;
``PEERS_ORDERS=500 PEERS_ROUNDS=1`` one. ``python -m tests.benchmarks.peers.paper`` then writes the page in docs. A side
whose toolchain cannot be had is skipped with the reason.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.benchmarks.peers.load import Load, copy_files, make_shop, play
from tests.benchmarks.peers.rig import RESULT, described
from tests.benchmarks.peers.sides import FILES, LIVE, Scene, Side
from tests.benchmarks.peers.table import Series, lines
from tests.benchmarks.peers.timing import Taken
from tests.benchmarks.row import Row
from tests.kit.install import Unavailable
from tests.kit.servers import MariaDB, MySQL, Option, Server

ONLY_BY_NAME = True
ORDERS = int(os.environ.get("PEERS_ORDERS", "12000"))
ROUNDS = int(os.environ.get("PEERS_ROUNDS", "3"))
SERVERS: Final[tuple[type[Server], ...]] = (MySQL, MariaDB)
_COMMON: Final[Mapping[str, Option]] = {"max_binlog_size": 1 << 30, "innodb_buffer_pool_size": "512M"}
OPTIONS: Final[Mapping[str, Mapping[str, Option]]] = {
    "mysql": _COMMON,
    # Files alone name columns only with it. Every live reader gets the same larger log.
    "mariadb": {**_COMMON, "binlog_row_metadata": "FULL", "binlog_annotate_row_events": "OFF"},
}
_REASON_CHARACTERS: Final = 160


def rows() -> Iterator[Row]:
    """The table's lines, for each server in turn."""
    found: list[Series] = []
    load = os.getloadavg()[0]
    for kind in SERVERS:
        with kind(OPTIONS[kind.flavor]) as server:
            found += compared(server, ORDERS, ROUNDS)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(
        json.dumps({"rig": described(load)._asdict(), "sides": [one.as_dict() for one in found]}, indent=1)
    )
    yield from lines(found)


def compared(server: Server, orders: int, rounds: int, names: Sequence[str] = ()) -> list[Series]:
    """What each side took on this server, and on MariaDB also from files. ``names``: these sides only."""
    with tempfile.TemporaryDirectory(prefix="peers-") as text:
        folder = Path(text)
        sides = [
            side for side in (*LIVE, *(FILES if server.flavor == "mariadb" else ())) if not names or side.name in names
        ]
        templates = make_shop(server)
        scene = Scene(server, folder, rounds)
        series = _prepared(scene, sides)
        scene.load = play(server, templates, orders)
        scene.files = copy_files(server, scene.load, folder / "log")
        _tell(f"{server.flavor} {server.version}: {orders:,} orders, {scene.load.megabytes:.0f} MB of log")
        for number in range(rounds):
            _round(scene, series, number)
        for one in series:
            one.close(scene.load, scene.wanted)
        _must_agree(scene.load, series)
        return series


def _prepared(scene: Scene, sides: Sequence[Side]) -> list[Series]:
    """A series per side; what has to be built or set up before the load is, and a side that cannot be is skipped."""
    found = []
    for side in sides:
        series = Series(side, scene.server.flavor, scene.server.version)
        found.append(series)
        try:
            side.prepare(scene)
        except (Unavailable, RuntimeError) as reason:
            series.skipped = str(reason).strip().splitlines()[-1][-_REASON_CHARACTERS:]
            _tell(f"{side.name} is skipped: {series.skipped}")
    return found


def _round(scene: Scene, series: Sequence[Series], number: int) -> None:
    # The first side of the first round is python-mysql-replication: it counts the changes that others wait for.
    turned = [*series[number % len(series) :], *series[: number % len(series)]]
    for one in turned:
        if one.skipped:
            continue
        with tempfile.TemporaryDirectory(dir=scene.folder) as folder:
            taken = one.side.run(scene, Path(folder))
        one.taken.append(taken)
        if one.side.counts:
            scene.wanted = taken.records
        _tell(f"round {number + 1}: {one.side.name}: {_words(taken)}")


def _must_agree(load: Load, series: Sequence[Series]) -> None:
    """Every side that counts changes read as many; RuntimeError if not."""
    counts = {(one.side.name, taken.records) for one in series if one.side.tells_changes for taken in one.taken}
    if len({count for _, count in counts}) > 1:
        raise RuntimeError(f"the sides read different numbers of changes: {sorted(counts)}")


def _words(taken: Taken) -> str:
    told = f"{taken.records:,} records, " if taken.records else ""
    return f"{told}{taken.wall_s:.1f} s, {taken.cpu_s:.1f} s of CPU, {taken.rss_mb:.0f} MB RSS"


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
