"""Giant transactions read and applied to an empty replica, from a file and from a server: memory and time.

Many small mapped rows (14 million, half an hour) and wide rows of which little is mapped (1.1 GB). Run by name only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from tests.benchmarks.logs import log_of, serving
from tests.benchmarks.row import Row
from tests.benchmarks.sides import Measured, measured

ONLY_BY_NAME = True


def rows() -> Iterator[Row]:
    """Most memory the process ever had."""
    for name in ("giant-wide", "giant-narrow"):
        log = log_of(name)
        size = log.stat().st_size
        with tempfile.TemporaryDirectory(dir=log.parent) as folder:
            yield _line(f"{name}, {size / 1e9:.2f} GB, from a file", measured("apply_files", log, folder))
        with serving(log) as server, tempfile.TemporaryDirectory(dir=log.parent) as folder:
            taken = measured("apply_socket", server.port, log.name, size, folder)
            yield _line(f"{name}, {size / 1e9:.2f} GB, from a server", taken)


def _line(what: str, taken: Measured) -> Row:
    note = f"{taken.count:,} changes applied in {taken.seconds:.0f} s"
    return Row(what, taken.rss_mb, "MB RSS", "< 150 MB", note)
