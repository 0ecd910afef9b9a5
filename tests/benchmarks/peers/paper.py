"""Writes docs/benchmarks.md and its picture from the last run: ``python -m tests.benchmarks.peers.paper``.

The page's last part, from ``BY_HAND`` on, is written by people and stays as it is.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final
from xml.sax.saxutils import escape

from tests.benchmarks.peers.rig import RESULT, Rig
from tests.benchmarks.peers.sides import DAEMON, DAEMON_FILES, DEBEZIUM

DOCS: Final = Path(__file__).parents[3] / "docs"
PAGE, PICTURE = DOCS / "benchmarks.md", DOCS / "benchmarks.svg"

BY_HAND: Final = "## Tried and measured"
"""The heading of the part that people write."""

_PAGE_WIDTH: Final = 118
_KIND_OF_ERROR: Final = re.compile(r"^\w*(?:Exception|Error|ERROR): ")

_BUSY: Final = "The seconds only give an idea, as other programs ran beside; the processor's seconds hold.\n"

Found = Mapping[str, Any]
"""One side of the file of the last run (``Series.as_dict``)."""

_INTRO: Final = """\
# Benchmarks

## Beside other readers of the log

![Seconds that each reader takes for the same log](benchmarks.svg)

One command, `make bench ARGS=peers`, runs all of them on one server and one load: {orders:,} orders, copied one
transaction each, {changes:,} changes of mapped tables. Each side starts as a new process that knows the shop already:
Debezium has the snapshot of its tables' definitions, the daemon has its first load. All but the daemon only decode
what they read. The daemon reads, keeps the replica, renders objects, compares them with what was sent, and writes
what differs as lines of JSON, each batch on disk before its receipt.

Seconds are {rounds}, start included; *from first* counts from the first record to the last.

{rig}
"""

_HEAD: Final = """\
| reader | does | seconds | from first | CPU seconds | changes/s | memory, MB |
|---|---|---:|---:|---:|---:|---:|
"""

_END: Final = """\
A row says why its reader was skipped. Debezium reads MariaDB with a connector of its own, which could not be had for
this; its connector for MySQL refuses MariaDB. `PEERS_ORDERS=500 PEERS_ROUNDS=1 make bench ARGS=peers` is a quick run;
`python -m tests.benchmarks.peers.paper` writes this page from the last run.

## Other figures

`make bench` measures the parts: decoding, skipping, the first load, rendering, the outbox, latency. Each run leaves a
line in a file (`bench/runs.jsonl` in the cache folder, or what `BENCH_HISTORY` names), and the table says how each
value compares with the last run's, so that a slowdown shows. `python -m tests.benchmarks.million` measures the first
load of a shop of a million orders with the whole daemon, beside a dump of the same tables, and what live orders feel
of it ([a large first load](benchmarks-first-load.md); `--orders 20000`: a quick run).
"""


def main() -> None:
    """Write both files. FileNotFoundError without a run."""
    run = json.loads(RESULT.read_text(encoding="utf-8"))
    sides: list[Found] = run["sides"]
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    PAGE.write_text("\n".join(page(Rig(**run["rig"]), sides, old)), encoding="utf-8")
    PICTURE.write_text("\n".join(picture(sides)) + "\n", encoding="utf-8")
    print(f"{PAGE} and {PICTURE.name} are written")


def page(rig: Rig, sides: Sequence[Found], old: str = "") -> Iterator[str]:
    """The page's text, part by part. ``old``: the page so far, whose part that people wrote is kept."""
    first = sides[0]
    count = max(len(one["taken"]) for one in sides)
    yield _INTRO.format(
        orders=first["orders"],
        changes=first["changes"],
        rounds=f"medians of {count} rounds" if count > 1 else "those of one round",
        rig=textwrap.fill(f"Measured {rig.text}.", _PAGE_WIDTH),
    )
    if rig.is_busy:
        yield _BUSY
    for server, here in _by_server(sides):
        yield f"### {server}\n"
        yield _HEAD + "".join(_line(one) for one in here)
        yield from _ratios({one["side"]: one for one in here if one["taken"]})
    yield _END
    # A heading stands at the start of a line: the same words in a sentence are no part of the page.
    _, heading, text = old.partition(f"\n{BY_HAND}\n")
    if heading:
        yield f"{BY_HAND}\n{text}"


def _by_server(sides: Sequence[Found]) -> Iterator[tuple[str, list[Found]]]:
    for server in dict.fromkeys((one["server"], one["version"]) for one in sides):
        here = [one for one in sides if (one["server"], one["version"]) == server]
        name = {"mysql": "MySQL", "mariadb": "MariaDB"}.get(server[0], server[0])
        yield f"{name} {server[1].split('-')[0]}, {here[0]['megabytes']:.0f} MB of log", here


def _line(one: Found) -> str:
    if one["skipped"]:
        reason = _KIND_OF_ERROR.sub("", one["skipped"]).replace("|", " ")
        return f"| {one['side']} | skipped: {reason} | | | | | |\n"
    first = _from_first(one)
    cells = (
        one["side"], one["does"], f"{_median(one, 'wall_s'):.1f}", "" if first is None else f"{first:.1f}",
        f"{_median(one, 'cpu_s'):.1f}", f"{one['changes'] / _median(one, 'wall_s'):,.0f}",
        f"{max(taken['rss_mb'] for taken in one['taken']):.0f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


def _median(one: Found, name: str) -> float:
    values: list[float] = [taken[name] for taken in one["taken"]]
    return median(values)


def _from_first(one: Found) -> float | None:
    found = [taken["last_s"] - taken["first_s"] for taken in one["taken"] if taken["last_s"] is not None]
    return median(found) if found else None


def _ratios(by_name: Mapping[str, Found]) -> Iterator[str]:
    """Sentences with the ratios that the project is held to."""
    ours, theirs = by_name.get(DAEMON), by_name.get(DEBEZIUM)
    if ours is None or theirs is None:
        return
    text = (
        f"The whole daemon takes {_median(ours, 'cpu_s') / _median(theirs, 'cpu_s'):.2f} of Debezium's processor time."
        f" It runs at {_median(theirs, 'wall_s') / _median(ours, 'wall_s'):.2f} times Debezium's rate, start included"
    )
    ours_first, theirs_first = _from_first(ours), _from_first(theirs)
    if ours_first and theirs_first:
        text += f"; from the first record on, at {theirs_first / ours_first:.2f} times"
    yield text + ".\n"


# ------------------------------------------------------------------------------------------------- picture

_WIDTH, _LEFT, _BAR, _GAP, _RIGHT = 760, 230, 12, 14, 70
_OURS, _OTHERS, _CPU = "#2a6fbb", "#9a9a9a", "#d9822b"


def picture(sides: Sequence[Found]) -> Iterator[str]:
    """An SVG: per side a bar for the seconds, and below it a thin bar for the processor's."""
    measured = [one for one in sides if one["taken"]]
    longest = max(max(_median(one, "wall_s"), _median(one, "cpu_s")) for one in measured)
    scale = (_WIDTH - _LEFT - _RIGHT) / longest
    body: list[str] = []
    at = 44
    for server, here in _by_server(measured):
        body.append(_text(10, at, server, "font-weight='bold'"))
        at += 12
        for one in sorted(here, key=lambda one: _median(one, "wall_s")):
            wall, cpu = _median(one, "wall_s"), _median(one, "cpu_s")
            colour = _OURS if one["side"] in (DAEMON, DAEMON_FILES) else _OTHERS
            body.append(_text(_LEFT - 8, at + 11, one["side"], "text-anchor='end'"))
            body.append(_rectangle(at, wall * scale, _BAR, colour))
            body.append(_rectangle(at + _BAR, cpu * scale, 4, _CPU))
            body.append(_text(_LEFT + max(wall, cpu) * scale + 6, at + 12, f"{wall:.1f} s"))
            at += _BAR + _GAP
        at += 26
    size = f"viewBox='0 0 {_WIDTH} {at}' font-family='sans-serif' font-size='12'"
    yield f"<svg xmlns='http://www.w3.org/2000/svg' {size}>"
    yield f"<rect width='{_WIDTH}' height='{at}' fill='white'/>"
    title = "Seconds for the same log, start included; thin bars: processor seconds. Blue: the whole daemon."
    yield _text(10, 20, title)
    yield from body
    yield "</svg>"


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f"<text x='{x:.0f}' y='{y:.0f}' {more}>{escape(text)}</text>"


def _rectangle(y: float, width: float, height: float, colour: str) -> str:
    return f"<rect x='{_LEFT}' y='{y:.0f}' width='{max(width, 1):.1f}' height='{height}' fill='{colour}'/>"


if __name__ == "__main__":
    main()
