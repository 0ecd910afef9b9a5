"""What earlier runs of the benchmarks measured: a line of JSON per benchmark and run, so that a slowdown shows.

The file is ``bench/runs.jsonl`` in the cache folder, or what BENCH_HISTORY names.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.row import Row
from tests.kit.install import CACHE

FILE = Path(os.environ.get("BENCH_HISTORY") or CACHE / "bench" / "runs.jsonl")


class History:
    """The runs in one file, as it was when this object was made."""

    def __init__(self, path: Path = FILE) -> None:
        self._path = path
        self._last: dict[tuple[str, str], float] = {}
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        self._is_cut = bool(text) and not text.endswith("\n")
        for line in text.splitlines():
            for row in _rows_of(line):
                # A side that was skipped has no value.
                if row["value"]:
                    self._last[row["what"], row["unit"]] = row["value"]

    def ratio(self, row: Row) -> float | None:
        """The value over the last run's; None without one."""
        last = self._last.get((row.what, row.unit))
        return row.value / last if last and row.value else None

    def add(self, name: str, rows: Sequence[Row]) -> None:
        """Append one run of one benchmark."""
        line = {
            "name": name, "at": datetime.now(UTC).isoformat(timespec="seconds"), "commit": _commit(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "load": round(os.getloadavg()[0], 1),
            "rows": [{"what": row.what, "value": row.value, "unit": row.unit, "note": row.note} for row in rows],
        }  # fmt: skip
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(("\n" if self._is_cut else "") + json.dumps(line, ensure_ascii=False) + "\n")


def _rows_of(line: str) -> list[dict[str, Any]]:
    """The rows of one run; none of a line that was cut off when a run was ended."""
    try:
        found: list[dict[str, Any]] = json.loads(line)["rows"]
    except ValueError:
        return []
    return found


def _commit() -> str:
    """The commit that was measured, with a + if the work tree differs from it; "" outside a repository."""
    try:
        command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
