"""Decoding mapped columns: ours against python-mysql-replication and ``mariadb-binlog -v``, four logs (logs.py).

Ours reads files, and the same log from a server through a plain socket and through TLS; mariadb-binlog reads the file;
python-mysql-replication reads from the server. What mapped columns are: those of the real mapping.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.logs import log_of, serving
from tests.benchmarks.row import Row
from tests.benchmarks.sides import fastest, measured, text_decoder_seconds

_TARGETS = {"mix": ">= 30 x", "narrow": "", "inserts": "", "updates": ">= 100 x"}
_TITLES = {
    "mix": "decode a shop's log",
    "narrow": "decode narrow inserts (8 columns)",
    "inserts": "decode wide inserts (132 columns)",
    "updates": "decode wide updates (132 columns, 2 images)",
}


def rows() -> Iterator[Row]:
    """The table's lines."""
    for name in _TITLES:
        yield from _one_log(name)


def _one_log(name: str) -> Iterator[Row]:
    log = log_of(name)
    size = log.stat().st_size
    megabytes = size / 1e6
    ours = fastest("files", log)
    text = min(text_decoder_seconds(log) for _ in range(3))
    with serving(log, tls=True) as server:
        live = fastest("socket", server.port, log.name, size)
        tls = fastest("tls", server.port, log.name, size)
        theirs = measured("theirs", server.port, log.name)
    for other in (live, tls, theirs):
        if other.count != ours.count:
            raise RuntimeError(f"the sides read {ours.count} and {other.count} rows of {name}")
    note = f"{megabytes:.0f} MB, {ours.count:,} rows of mapped tables, {ours.seconds:.2f} s, best of 3"
    yield Row(_TITLES[name], ours.count / ours.seconds, "rows/s", "", note)
    yield Row("  log", megabytes / ours.seconds, "MB/s", "", f"{ours.rss_mb:.0f} MB RSS")
    yield Row("  through a socket", megabytes / live.seconds, "MB/s", "", f"{live.rss_mb:.0f} MB RSS, log-in included")
    yield Row("  through TLS", megabytes / tls.seconds, "MB/s", "", f"{tls.rss_mb:.0f} MB RSS")
    yield Row("  against mariadb-binlog -v", text / ours.seconds, "x", ">= 1 x", f"it took {text:.2f} s")
    yield Row(
        "  against python-mysql-replication",
        theirs.seconds / ours.seconds,
        "x",
        _TARGETS[name],
        f"it took {theirs.seconds:.1f} s and {theirs.rss_mb:.0f} MB RSS",
    )
