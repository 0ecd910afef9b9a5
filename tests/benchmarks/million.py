"""The first load of a large shop with the whole daemon, beside a dump of the same tables and with orders coming in.

``python -m tests.benchmarks.million`` takes a million orders with three lines each, 500,000 customers and 50,000
products on MariaDB, some 20 minutes and 12 GB of disk; ``--orders 20000`` is a quick run, ``--server mysql`` takes
MySQL, ``--keep`` leaves the daemon's folder, ``--page`` writes docs/benchmarks-first-load.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.benchmarks.large_load import ALONE, IDLE, PHASES, QUIET_S, Found, measure
from tests.benchmarks.quiet import no_log
from tests.benchmarks.row import Row
from tests.kit.big_shop import Sizes

ONLY_BY_NAME = True
MILLION: Final = 1_000_000
SHOWN_TABLES: Final = 14
PAGE: Final = Path(__file__).parents[2] / "docs" / "benchmarks-first-load.md"


def rows() -> Iterator[Row]:
    """The whole million, or MILLION_ORDERS orders, on MariaDB."""
    yield from lines(measure("mariadb", sizes_of(int(os.environ.get("MILLION_ORDERS", MILLION)))))


def sizes_of(orders: int) -> Sizes:
    """A shop with so many orders, in the proportions of the million."""
    return Sizes(orders, max(1, orders // 2), max(1, orders // 20))


def lines(found: Found) -> Iterator[Row]:
    """What was measured, with its goal."""
    share = found.orders / MILLION
    loaded = f"{found.rows:,} rows in {found.load_s:.0f} s; {found.server}, {found.orders:,} orders"
    yield Row("rows read", found.rows / found.load_s, "rows/s", "", loaded)
    if found.dump_s is not None:
        dumped = found.rows / found.dump_s
        size = f"{found.dump_bytes / 1e6:,.0f} MB in {found.dump_s:.1f} s"
        yield Row("rows dumped by mysqldump to wc -c", dumped, "rows/s", "", size)
        yield Row("rows read, over rows dumped", found.rows / found.load_s / dumped, "times")
    rest_s = found.sent_s - found.load_s
    sent = f"{found.objects:,} in {rest_s:.0f} s"
    yield Row("objects rendered and sent", found.objects / rest_s, "objects/s", "", sent)
    goal = "< 1,800 s" if share == 1 else ""
    yield Row(
        "start to first_load_sent", found.sent_s, "s", goal, f"{found.cpu_s:.0f} s of processor time, idle time too"
    )
    yield Row("most memory", found.rss_mb, "MB RSS", "< 150 MB")
    yield Row("state, all sent", found.state_mb, "MB", f"< {1500 * share:,.0f} MB")
    yield Row("state, at its largest", found.state_peak_mb, "MB", "", "messages that wait, and SQLite's journal")
    for table, megabytes in list(found.tables_mb.items())[:SHOWN_TABLES]:
        yield Row(f"of it {table}", megabytes, "MB", "", "with its indexes")
    yield from _felt(found)


def _felt(found: Found) -> Iterator[Row]:
    """What the shop and its live orders feel of the load."""
    yield Row("live orders that never came", found.lost, "", "0")
    for what, by_phase, base, goal in (
        ("commit to line in the file", found.latency_ms, IDLE, "at most 2 times idle"),
        ("a shop's transaction", found.writes_ms, ALONE, ""),
    ):
        for phase in (ALONE, IDLE, *PHASES):
            if phase not in by_phase:
                continue
            p50, p99, count = by_phase[phase]
            note = f"p50 {p50:,.1f} ms, {count:,} orders"
            if phase != base and base in by_phase:
                note += f", {p99 / by_phase[base][1]:.1f} times {base}"
            yield Row(f"{what}, {phase}, p99", p99, "ms", goal if phase in PHASES else "", note)


_INTRO: Final = """\
# A large first load

A shop of {orders:,} orders with three lines each is filled on a private server ({server}). Then the daemon starts with
an empty state and sends every object as a line of JSON, each batch on disk before its receipt. Meanwhile an order is
placed every tenth of a second; its latency is the time from COMMIT's return until its line item is in the file.

Measured {day} on {machine}, {cores} cores, Python {python}. Client, server and daemon share the cores. The load average
was {busy:.1f} when the run began: with others at work all times are longer, those of live orders most of all.

| what | measured | goal | note |
|---|---:|---|---|
"""


def page(found: Found, day: str) -> str:
    """The text of docs/benchmarks-first-load.md."""
    head = _INTRO.format(orders=found.orders, server=found.server, day=day, machine=platform.machine(),
                         cores=os.cpu_count(), busy=found.busy, python=platform.python_version())  # fmt: skip
    body = "".join(f"| {' | '.join(row.cells())} |\n" for row in lines(found))
    how = "`python -m tests.benchmarks.million --page` writes this page; `--orders 20000` is a quick run."
    return f"{head}{body}\n{how}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table; 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.million", description=__doc__)
    parser.add_argument(
        "--orders", type=int, default=MILLION, help="orders (default a million); all else in proportion"
    )
    parser.add_argument("--server", choices=("mariadb", "mysql"), default="mariadb", help="default mariadb")
    parser.add_argument("--folder", type=Path, help="make the daemon's folder here, not among temporary files")
    parser.add_argument("--keep", action="store_true", help="leave the daemon's folder")
    parser.add_argument("--quiet-s", type=float, default=QUIET_S, help="seconds without a load, before and after it")
    parser.add_argument("--set", action="append", default=[], metavar="TOML", help="a line of settings for the daemon")
    parser.add_argument("--json", type=Path, help="also write what was measured into this file")
    parser.add_argument("--page", action="store_true", help=f"also write docs/{PAGE.name}")
    options = parser.parse_args(arguments)
    no_log()
    found = measure(options.server, sizes_of(options.orders), options.folder, keep=options.keep,
                    extra="\n".join(options.set), quiet_s=options.quiet_s)  # fmt: skip
    if options.json is not None:
        options.json.write_text(json.dumps(found.as_dict(), indent=1), encoding="utf-8")
    cells = [Row.TITLES, *(row.cells() for row in lines(found))]
    widths = [max(len(line[at]) for line in cells) for at in range(len(Row.TITLES))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if options.page:
        PAGE.write_text(page(found, datetime.now(UTC).date().isoformat()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
