"""Passing over tables that are not mapped, against a bare loop that counts events and verifies their checksums."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.logs import log_of, serving
from tests.benchmarks.row import Row
from tests.benchmarks.sides import fastest


def rows() -> Iterator[Row]:
    """From a file and from a server, which has to keep up itself."""
    log = log_of("unmapped")
    size = log.stat().st_size
    ours, bare = fastest("files", log), fastest("count_file", log)
    with serving(log) as server:
        live = fastest("socket", server.port, log.name, size)
        counted = fastest("count_socket", server.port, log.name)
    note = f"{size / 1e6:.0f} MB, {bare.count:,} events"
    yield Row("skip tables that are not mapped, file", size / 1e6 / ours.seconds, "MB/s", "", note)
    yield Row("  against reading, counting and verifying checksums", bare.seconds / ours.seconds, "x", ">= 0.5 x")
    yield Row("skip tables that are not mapped, socket", size / 1e6 / live.seconds, "MB/s", "", "log-in included")
    yield Row("  against receiving, counting and verifying checksums", counted.seconds / live.seconds, "x", ">= 0.5 x")
