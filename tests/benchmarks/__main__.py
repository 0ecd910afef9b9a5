"""Runs the benchmarks and prints one table: ``python -m tests.benchmarks [name ...]``.

A benchmark is a module of this package with ``rows() -> Iterable[Row]``; it brings its own data and measures all sides
of a comparison in one go, on this machine. One that takes long says ``ONLY_BY_NAME = True``. Each run leaves a line in
a file (history.py), and the table's last column is the value over that of the last run.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import platform
import sys
from collections.abc import Sequence

import tests.benchmarks
from tests.benchmarks.history import History
from tests.benchmarks.quiet import no_log
from tests.benchmarks.row import Row


def main() -> int:
    """Measure, print, say which could not run; exit code 1 if one failed."""
    names = [found.name for found in pkgutil.iter_modules(tests.benchmarks.__path__)]
    modules = {name: importlib.import_module(f"tests.benchmarks.{name}") for name in names if name != "__main__"}
    known = {name: module for name, module in modules.items() if hasattr(module, "rows")}
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"which: {', '.join(known) or 'there are none'}")
    chosen = parser.parse_args().names or [
        name for name, module in known.items() if not getattr(module, "ONLY_BY_NAME", False)
    ]
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(known)}")
    no_log()
    history = History()
    lines: list[tuple[str, ...]] = [_with_last(Row.TITLES, "of last run")]
    failures = []
    for name in chosen:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        try:
            rows = list(known[name].rows())
            lines.extend(_with_last(row.cells(), _against_last(history, row)) for row in rows)
            history.add(name, rows)
        except Exception as error:  # noqa: BLE001  # one benchmark that cannot run must not hide the others
            failures.append(f"{name}: {type(error).__name__}: {error}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    _print(lines)
    for failure in failures:
        print(f"could not measure {failure}")
    return 1 if failures else 0


def _against_last(history: History, row: Row) -> str:
    ratio = history.ratio(row)
    return "" if ratio is None else f"{ratio:.2f}"


def _with_last(cells: tuple[str, ...], ratio: str) -> tuple[str, ...]:
    what, measured, *others = cells
    return what, measured, ratio, *others


def _print(lines: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
